"""One's own settings: password, time zone, language, theme."""

import re

import pytest
from sqlalchemy import text

DISPLAY = "/settings/display"
NEW = "seven quiet lanterns by the sea"


def test_a_changed_password_ends_everything_else(sign_in, make_user, api):
    user = make_user()
    here, there, program = sign_in(user), sign_in(user), api(user)
    form = {"current_password": user.password, "new_password": NEW}
    assert here.post("/settings/password", form).status_code == 303
    assert here.get("/settings").status_code == 200
    assert there.get("/settings").status_code != 200
    assert program.get("/me/tasks").status_code == 401
    tokens = [
        api(None).post("/tokens", {"login": user.login, "password": password}).status_code
        for password in (user.password, NEW)
    ]
    assert tokens == [401, 201]


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        ("wrong", NEW, "current_password"),
        ("", NEW, "current_password"),
        (None, "short", "new_password"),
        (None, "passwordpassword", "new_password"),
        (None, "", "new_password"),
    ],
)
def test_a_refused_change_changes_nothing(current, new, field, sign_in, make_user, session):
    user = make_user()
    browser = sign_in(user)
    before = session.execute(text("SELECT hash FROM users")).scalar_one()
    form = {
        "current_password": user.password if current is None else current,
        "new_password": new,
    }
    answer = browser.post("/settings/password", form)
    assert answer.status_code == 422
    assert f'id="field-{field}-error"' in answer.text
    assert session.execute(text("SELECT hash FROM users")).scalar_one() == before
    assert browser.get("/settings").status_code == 200


def test_the_time_zone_is_one_that_exists(sign_in, make_user, session):
    browser = sign_in(make_user())
    zone = text("SELECT time_zone FROM users")
    assert browser.post(DISPLAY, {"time_zone": "Asia/Yekaterinburg"}).status_code == 303
    assert session.execute(zone).scalar_one() == "Asia/Yekaterinburg"
    for wrong in ("Mars/Olympus", "../../etc/passwd", "UTC\n"):
        assert browser.post(DISPLAY, {"time_zone": wrong}).status_code == 422
    assert browser.post(DISPLAY, {"time_zone": ""}).status_code == 303
    assert session.execute(zone).scalar_one() is None


def test_the_digest_is_off_until_it_is_chosen(sign_in, make_user, session):
    browser = sign_in(make_user())
    digest = text("SELECT digest FROM users")
    assert session.execute(digest).scalar_one() == "off"
    assert browser.post("/settings/digest", {"digest": "daily"}).status_code == 303
    assert session.execute(digest).scalar_one() == "daily"
    assert 'value="daily" selected' in browser.get("/settings").text
    for wrong in ("", "hourly"):
        assert browser.post("/settings/digest", {"digest": wrong}).status_code == 422
    assert browser.post("/settings/digest", {"digest": "off"}).status_code == 303
    assert session.execute(digest).scalar_one() == "off"


def test_language_is_the_setting_then_the_cookie_then_the_browsers(sign_in, make_user, app):
    def lang(client, **headers):
        return client.get("/settings", follow_redirects=True, headers=headers).text

    user = make_user()
    browser = sign_in(user)
    russian = {"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.5"}
    assert '<html lang="ru"' in lang(browser.client, **russian)
    assert '<html lang="en"' in lang(browser.client)
    answer = browser.post("/preferences", {"lang": "en", "next": "/settings"})
    assert (answer.status_code, answer.location) == (303, "/settings")
    assert '<html lang="en"' in lang(browser.client, **russian)
    elsewhere = sign_in(user)
    assert '<html lang="en"' in lang(elsewhere.client, **russian)


def test_the_setting_shows_what_was_chosen_in_this_browser(sign_in, make_user, session):
    browser = sign_in(make_user())
    browser.client.set_cookie("lang", "ru")
    browser.client.set_cookie("theme", "dark")
    page = browser.get("/settings").text
    assert '<html lang="ru" data-theme="dark"' in page
    assert 'value="ru" selected' in page
    assert 'value="dark" selected' in page
    chosen = {"locale": "", "theme": "", "time_zone": "", "shortcuts": "on"}
    page = browser.post(DISPLAY, chosen, follow_redirects=True).text
    assert '<html lang="en">' in page
    assert 'value="ru" selected' not in page


def test_theme_and_language_work_signed_out_and_take_nothing_else(anonymous, session):
    assert anonymous.post("/preferences", {"theme": "dark"}).status_code == 303
    assert 'data-theme="dark"' in anonymous.get("/sign-in").text
    anonymous.post("/preferences", {"theme": "system"})
    assert "data-theme=" not in anonymous.get("/sign-in").text
    answer = anonymous.post("/preferences", {"theme": "<script>", "lang": "xx"})
    assert answer.status_code == 303
    assert "Set-Cookie" not in answer.headers


def test_what_was_chosen_for_display_is_shown_and_can_be_undone(sign_in, make_user, session):
    browser = sign_in(make_user())
    chosen = {"locale": "ru", "theme": "dark", "time_zone": "Asia/Tokyo", "shortcuts": "off"}
    page = browser.post(DISPLAY, chosen, follow_redirects=True).text
    assert '<html lang="ru" data-theme="dark"' in page
    assert "Страницы показываются так, как вы выбрали." in page
    shown = session.execute(text("SELECT locale, theme, time_zone, shortcuts FROM users")).one()
    assert tuple(shown) == ("ru", "dark", "Asia/Tokyo", False)
    notice = page.partition('id="flashes"')[2].partition("</form>")[0]
    before = dict(re.findall(r'name="(\w+)" value="(\w*)"', notice))
    assert before == {"locale": "", "theme": "", "time_zone": "", "shortcuts": "on"}
    undone = browser.post(DISPLAY, before, follow_redirects=True).text
    assert '<html lang="en">' in undone


@pytest.mark.parametrize("field", ["locale", "theme"])
def test_a_choice_that_there_is_not_is_refused_beside_its_field(field, sign_in, make_user, session):
    browser = sign_in(make_user())
    answer = browser.post(DISPLAY, {field: "xx"})
    assert answer.status_code == 422
    assert f'id="field-{field}-error"' in answer.text
    assert session.execute(text(f"SELECT {field} FROM users")).scalar_one() is None


def test_home_is_the_page_that_matters_most_to_the_role(sign_in, make_user):
    homes = {
        role: sign_in(make_user(role)).get("/").location
        for role in ("developer", "manager", "accountant", "administrator")
    }
    assert homes == {
        "developer": "/tasks/mine",
        "manager": "/tasks",
        "accountant": "/report",
        "administrator": "/analytics",
    }

"""One-time links: the first administrator, and a new password."""

import re

import pytest
from sqlalchemy import text

from app.auth import commands
from app.kernel.errors import Conflict, NotFound

FORM = {
    "login": "root2",
    "email": "root2@ates.example",
    "password": "eleven tulips under a bridge",
}
OTHER = "seven quiet lanterns by the sea"


def test_the_first_administrator_comes_by_a_link_that_works_once(
    call, anonymous, new_browser, session
):
    url = f"/invitations/{call(commands.invite_first_administrator)}"
    assert anonymous.get(url).status_code == 200
    assert anonymous.get(url).status_code == 200  # looking at it does not use it up
    weak = anonymous.post(url, {**FORM, "password": "short"})
    assert weak.status_code == 422
    assert anonymous.post(url, FORM).status_code == 303
    assert session.execute(text("SELECT role::text FROM users")).all() == [("administrator",)]
    assert anonymous.get("/people").status_code == 200
    assert new_browser().get(url).status_code == 404
    assert new_browser().post(url, {**FORM, "login": "root3"}).status_code == 404


def test_a_weak_password_does_not_use_the_link_up_when_the_form_has_a_key(call, anonymous):
    url = f"/invitations/{call(commands.invite_first_administrator)}"
    keyed = {**FORM, "idempotency_key": "k1"}
    assert anonymous.post(url, {**keyed, "password": "short"}).status_code == 422
    assert anonymous.post(url, keyed).status_code == 303


def test_there_is_only_one_first_administrator(call, make_user):
    token = call(commands.invite_first_administrator)
    make_user("administrator")
    with pytest.raises(Conflict):
        call(commands.invite_first_administrator)
    with pytest.raises(Conflict):
        call(commands.accept_first_administrator, token, **FORM)


def test_a_newer_link_replaces_the_older(call):
    older, newer = (call(commands.invite_first_administrator) for _ in range(2))
    with pytest.raises(NotFound):
        call(commands.accept_first_administrator, older, **FORM)
    assert call(commands.accept_first_administrator, newer, **FORM)


def test_a_link_ends_by_itself_and_is_stored_hashed(call, owner_url, session):
    import sqlalchemy as sa

    token = call(commands.invite_first_administrator)
    dump = session.execute(text("SELECT row_to_json(t)::text FROM invitations t")).scalar_one()
    assert token not in dump
    engine = sa.create_engine(owner_url)
    with engine.begin() as owner:
        owner.execute(
            text("""UPDATE invitations SET created_at = now() - interval '2 days',
                    expires_at = now() - interval '1 second'""")
        )
    engine.dispose()
    with pytest.raises(NotFound):
        call(commands.accept_first_administrator, token, **FORM)


def test_an_administrator_lets_a_person_choose_a_new_password(
    sign_in, make_user, anonymous, api, session
):
    user = make_user()
    browser, program = sign_in(user), api(user)
    admin = sign_in(make_user("administrator"))
    shown = admin.post(f"/people/{user.id}/password")
    assert shown.status_code == 200
    url = re.search(r"http://localhost(/invitations/[\w-]+)", shown.text)[1]
    assert user.login in anonymous.get(url).text
    assert anonymous.post(url, {"password": user.login * 3}).status_code == 422
    assert anonymous.post(url, {"password": OTHER}).status_code == 303
    assert anonymous.get("/settings").status_code == 200
    assert browser.get("/settings").status_code != 200
    assert program.get("/me/tasks").status_code == 401
    old = api(None).post("/tokens", {"login": user.login, "password": user.password})
    new = api(None).post("/tokens", {"login": user.login, "password": OTHER})
    assert (old.status_code, new.status_code) == (401, 201)


@pytest.mark.parametrize("case", ["a service", "deactivated", "missing"])
def test_who_has_no_password_gets_no_link(case, call, make_user, session):
    admin = make_user("administrator")
    user = make_user("internalservice" if case == "a service" else "developer")
    if case == "deactivated":
        session.execute(text("UPDATE users SET is_active = false WHERE id = :id"), {"id": user.id})
    user_id = 999_999 if case == "missing" else user.id
    with pytest.raises(NotFound):
        call(commands.invite_to_reset_password, admin.actor, user_id=user_id)


def test_guessing_links_is_throttled(anonymous):
    url = "/invitations/" + "A" * 43
    statuses = [anonymous.post(url, FORM).status_code for _ in range(21)]
    assert statuses == [404] * 20 + [429]


def test_the_link_is_not_logged(call, anonymous, capsys):
    token = call(commands.invite_first_administrator)
    anonymous.get(f"/invitations/{token}")
    logged = capsys.readouterr().err
    assert "/invitations/<token>" in logged
    assert token not in logged

"""Sessions: their limits, and that what has ended is refused at once."""

import pytest
from sqlalchemy import text

from app.auth import commands


def state_of(browser):
    return browser.get("/settings").status_code


def test_a_cookie_replayed_after_sign_out_is_refused(sign_in, make_user, app):
    browser = sign_in(make_user())
    cookie = browser.client.get_cookie("ates")
    assert state_of(browser) == 200
    assert browser.post("/sign-out").status_code == 303
    thief = app.test_client()
    thief.set_cookie("ates", cookie.value)
    assert thief.get("/settings").location.startswith("/sign-in")


def test_signing_out_twice_is_no_error(sign_in, make_user):
    browser = sign_in(make_user())
    browser.post("/sign-out")
    answer = browser.client.get("/sign-in")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("column", "moment", "status"),
    [
        ("last_seen_at", "now() - interval '11 hours 59 minutes'", 200),
        ("last_seen_at", "now() - interval '12 hours 1 minute'", 302),
        ("expires_at", "now() + interval '1 minute'", 200),
        ("expires_at", "now() - interval '1 second'", 302),
    ],
)
def test_idle_and_absolute_limits(column, moment, status, sign_in, make_user, session):
    browser = sign_in(make_user())
    session.execute(
        text(f"UPDATE sessions SET created_at = now() - interval '14 days', {column} = {moment}")
    )
    answer = browser.get("/settings")
    assert answer.status_code in ({200} if status == 200 else {302, 303})


def test_being_seen_is_written_at_most_once_a_minute(sign_in, make_user, session):
    browser = sign_in(make_user())
    seen = text("SELECT last_seen_at, xmin::text FROM sessions")
    before = session.execute(seen).one()
    state_of(browser)
    assert session.execute(seen).one() == before
    session.execute(text("UPDATE sessions SET last_seen_at = now() - interval '2 minutes'"))
    state_of(browser)
    moved = session.execute(seen).one()
    assert moved.last_seen_at >= before.last_seen_at
    state_of(browser)
    assert session.execute(seen).one() == moved


def test_deactivation_ends_sessions_and_tokens_at_once(sign_in, make_user, api, call):
    user, admin = make_user("developer"), make_user("administrator")
    make_user("developer")
    browser, program = sign_in(user), api(user)
    assert program.get("/me/tasks").status_code == 200
    call(commands.set_active, admin.actor, user_id=user.id, is_active=False)
    assert state_of(browser) != 200
    assert program.get("/me/tasks").status_code == 401
    call(commands.set_active, admin.actor, user_id=user.id, is_active=True)
    assert state_of(browser) != 200
    assert program.get("/me/tasks").status_code == 401


def test_a_person_sees_and_ends_their_sessions_and_nobody_elses(sign_in, make_user, session):
    user, other = make_user(), make_user()
    here, there, foreign = sign_in(user), sign_in(user), sign_in(other)
    numbers = text("SELECT number FROM sessions WHERE user_id = :id ORDER BY number")
    own = session.execute(numbers, {"id": user.id}).scalars().all()
    others = session.execute(numbers, {"id": other.id}).scalar_one()
    assert here.get("/settings").text.count('id="session-') == 2
    assert here.post(f"/settings/sessions/{others}").status_code == 404
    assert here.post("/settings/sessions/999999").status_code == 404
    assert here.post(f"/settings/sessions/{own[1]}").status_code == 303
    assert [state_of(here), state_of(foreign)] == [200, 200]
    assert state_of(there) != 200


def test_all_other_sessions_can_be_ended(sign_in, make_user):
    user, other = make_user(), make_user()
    here, there, foreign = sign_in(user), sign_in(user), sign_in(other)
    assert here.post("/settings/sessions").status_code == 303
    assert [state_of(here), state_of(foreign)] == [200, 200]
    assert state_of(there) != 200


def test_an_administrator_ends_all_access_of_a_person(sign_in, make_user, api):
    user = make_user()
    browser, program = sign_in(user), api(user)
    admin = sign_in(make_user("administrator"))
    assert admin.post(f"/people/{user.id}/access").status_code == 303
    assert state_of(browser) != 200
    assert program.get("/me/tasks").status_code == 401


def test_a_role_counts_from_the_next_request_on(sign_in, make_user, call):
    user, admin = make_user("developer"), make_user("administrator")
    make_user("developer")
    browser = sign_in(user)
    assert browser.get("/tasks").status_code == 403
    call(commands.change_role, admin.actor, user_id=user.id, role="manager")
    assert browser.get("/tasks").status_code == 200


def test_an_expired_session_sends_htmx_to_the_sign_in_page(anonymous):
    answer = anonymous.post("/tasks", {"name": "x"}, htmx=True)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/sign-in"
    assert answer.text == ""


def test_what_has_ended_is_pruned(sign_in, make_user, session, call):
    user = make_user()
    sign_in(user)
    kept = sign_in(user)
    session.execute(
        text("""UPDATE sessions SET created_at = now() - interval '20 days',
                expires_at = now() - interval '1 day'
                WHERE number = (SELECT min(number) FROM sessions)""")
    )
    assert call(commands.prune_access)["sessions"] == 1
    assert state_of(kept) == 200

"""Signing in and out by the form."""

import re

import pytest
from sqlalchemy import text

CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
SESSIONS = text("SELECT user_id, user_agent, expires_at > now() + interval '13 days' FROM sessions")
AUDIT = text("SELECT action, result, actor_id, subject_id FROM audit_log ORDER BY id")


@pytest.fixture
def post(client):
    """Sends the form as a browser does: with the cookie and the token of the page shown."""

    def post(login, password, **more):
        client.delete_cookie("ates")
        token = CSRF.search(client.get("/sign-in").text)[1]
        form = {"csrf_token": token, "login": login, "password": password, **more}
        return client.post("/sign-in", data=form, headers={"User-Agent": "a browser"})

    return post


def test_the_right_password_opens_a_session(client, post, make_user, session):
    user = make_user("developer")
    answer = post(user.login.upper(), user.password)
    assert (answer.status_code, answer.location) == (303, "/")
    assert session.execute(SESSIONS).all() == [(user.id, "a browser", True)]
    assert client.get("/settings").status_code == 200
    assert session.execute(AUDIT).all() == [("sign_in", "done", user.id, user.id)]


def test_the_cookie_carries_an_opaque_id_and_nothing_else(client, post, make_user):
    user = make_user()
    post(user.login, user.password)
    with client.session_transaction() as cookie:
        kept = dict(cookie)
    assert set(kept) == {"_user_id", "_permanent"}
    assert len(kept["_user_id"]) >= 43  # 256 bits in base64


def test_signing_in_again_ends_the_session_of_before(sign_in, make_user, session):
    user = make_user()
    browser = sign_in(user)
    with browser.client.session_transaction() as cookie:
        before = cookie["_user_id"]
    form = {"login": user.login, "password": user.password}
    assert browser.post("/sign-in", form).status_code == 303
    with browser.client.session_transaction() as cookie:
        assert cookie["_user_id"] != before
        assert "csrf_token" not in cookie
    assert len(session.execute(SESSIONS).all()) == 1


@pytest.mark.parametrize("case", ["unknown login", "wrong password", "deactivated", "a service"])
def test_who_may_not_sign_in_gets_the_same_answer(case, post, make_user, session):
    user = make_user("internalservice" if case == "a service" else "other")
    login = "nobody" if case == "unknown login" else user.login
    if case == "deactivated":
        session.execute(text("UPDATE users SET is_active = false"))
    password = "wrong " * 4 if case == "wrong password" else user.password
    answer = post(login, password)
    assert answer.status_code == 422
    assert "Wrong login or password" in answer.text
    body = re.sub(r'value="[^"]*"|<code>.*?</code>|"X-CSRFToken":"[^"]*"', "", answer.text)
    reference = post("nobody at all", "wrong " * 4)
    assert body == re.sub(
        r'value="[^"]*"|<code>.*?</code>|"X-CSRFToken":"[^"]*"', "", reference.text
    )
    assert session.execute(SESSIONS).all() == []
    refused = session.execute(AUDIT).all()[0]
    assert refused[:3] == ("sign_in", "refused", None)


def test_only_a_path_of_ours_is_gone_on_to(post, make_user):
    user = make_user()
    targets = {
        "/tasks/mine?cursor=1": "/tasks/mine?cursor=1",
        "https://elsewhere.example/": "/",
        "//elsewhere.example/": "/",
        "/\\elsewhere.example": "/",
        "javascript:alert(1)": "/",
        "/\tx": "/",
    }
    for asked, gone_to in targets.items():
        assert post(user.login, user.password, next=asked).location == gone_to


def test_a_page_that_needs_a_person_comes_back_to_itself(client, post, make_user):
    assert client.get("/settings?x=1").location == "/sign-in?next=/settings?x%3D1"
    user = make_user()
    assert post(user.login, user.password, next="/settings?x=1").location == "/settings?x=1"


def test_the_password_is_rehashed_when_parameters_change(post, make_user, session):
    from argon2 import PasswordHasher

    user = make_user()
    weak = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(user.password)
    session.execute(text("UPDATE users SET hash = :hash"), {"hash": weak})
    assert post(user.login, user.password).status_code == 303
    stored = session.execute(text("SELECT hash FROM users")).scalar_one()
    assert "$m=19456,t=2,p=1$" in stored
    assert post(user.login, user.password).status_code == 303


def test_a_stranger_cannot_tell_by_the_time_whether_a_login_exists(call, make_user):
    """An unknown login costs a verification too (within a factor of two, medians of seven)."""
    import statistics
    import time

    from app.auth import commands

    user = make_user()

    def median_s(login):
        times = []
        for _ in range(7):
            began = time.process_time()
            with pytest.raises(commands.WrongCredentials):
                call(commands.verify_credentials, login=login, password="wrong " * 4)
            times.append(time.process_time() - began)
        return statistics.median(times)

    known, unknown = median_s(user.login), median_s("nobody")
    assert 0.5 < unknown / known < 2

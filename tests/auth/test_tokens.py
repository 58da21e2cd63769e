"""API tokens: got for a password, stored hashed, limited, revoked."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.auth import commands
from app.kernel.errors import BadInput, Forbidden, NotFound

TOKENS = text("SELECT token_hash, revoked_at, expires_at, last_used_at, scopes FROM api_tokens")


def test_a_login_and_password_give_a_token_that_works(api, make_user, app):
    user = make_user()
    answer = api(None).post("/tokens", {"login": user.login, "password": user.password})
    assert answer.status_code == 201
    assert set(answer.json) == {"token", "expires_at"}
    expires = datetime.fromisoformat(answer.json["expires_at"])
    assert timedelta(hours=23) < expires - datetime.now(UTC) < timedelta(hours=25)
    headers = {"Authorization": f"Bearer {answer.json['token']}"}
    assert app.test_client().get("/api/v1/me/tasks", headers=headers).status_code == 200


def test_the_database_holds_only_its_hash(api, make_user, session):
    user = make_user()
    answer = api(None).post("/tokens", {"login": user.login, "password": user.password})
    token = answer.json["token"]
    assert len(token.removeprefix("ates_")) >= 43  # 256 bits
    dump = session.execute(text("SELECT row_to_json(t)::text FROM api_tokens t")).scalar_one()
    assert token not in dump
    audited = session.execute(text("SELECT details::text FROM audit_log")).scalars().all()
    assert token not in str(audited)


@pytest.mark.parametrize("case", ["unknown login", "wrong password", "deactivated", "a service"])
def test_refusals_look_alike(case, api, make_user, session):
    user = make_user("internalservice" if case == "a service" else "other")
    if case == "deactivated":
        session.execute(text("UPDATE users SET is_active = false"))
    login = "nobody" if case == "unknown login" else user.login
    password = "wrong" if case == "wrong password" else user.password
    answer = api(None).post("/tokens", {"login": login, "password": password})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="aTES"'
    said = {name: answer.json[name] for name in ("type", "title", "status", "detail", "instance")}
    assert said == {
        "type": "/api/docs#wrong-login-or-password",
        "title": "Wrong login or password",
        "status": 401,
        "detail": "Wrong login or password",
        "instance": "/api/v1/tokens",
    }


def test_a_revoked_token_is_refused_at_once(api, make_user):
    program = api(make_user())
    assert program.delete("/tokens/current").status_code == 204
    assert program.get("/me/tasks").status_code == 401
    assert program.delete("/tokens/current").status_code == 401


@pytest.mark.parametrize("change", ["expires_at = now()", "revoked_at = now()"])
def test_an_ended_token_is_refused(change, api, make_user, owner_url):
    import sqlalchemy as sa

    program = api(make_user())
    engine = sa.create_engine(owner_url)
    with engine.begin() as owner:
        owner.execute(
            text(f"UPDATE api_tokens SET created_at = now() - interval '1 day', {change}")
        )
    engine.dispose()
    assert program.get("/me/tasks").status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic YTpi",
        "Bearer ates_" + "A" * 43,
        "Bearer ates_" + "A" * 5000,
        "Bearer ates_\x00" + "A" * 43,
        "bearer " + "é" * 43,
        "Bearer " + "A" * 43 + " " + "B" * 43,
    ],
)
def test_what_is_no_token_is_refused(header, app):
    headers = {"Authorization": header}
    answer = app.test_client().get("/api/v1/me/tasks", headers=headers)
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"


def test_the_api_takes_no_cookies_and_pages_take_no_tokens(sign_in, api, make_user, app):
    user = make_user()
    assert sign_in(user).get("/api/v1/me/tasks").status_code == 401
    token = api(user).token
    headers = {"Authorization": f"Bearer {token}"}
    answer = app.test_client().get("/tasks/mine", headers=headers)
    assert answer.location.startswith("/sign-in")


def test_a_token_can_be_limited_to_some_actions(call, make_user, app):
    user = make_user("accountant")
    issued = call(
        commands.issue_token,
        user.actor,
        user_id=user.id,
        name="reports only",
        lifetime=timedelta(days=1),
        scopes=["see_all_transfers"],
    )
    client = app.test_client()
    headers = {"Authorization": f"Bearer {issued.token}"}
    assert client.get("/api/v1/transfers", headers=headers).status_code == 200
    assert client.get("/api/v1/me/tasks", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"lifetime": timedelta(0)}, "days"),
        ({"lifetime": timedelta(days=366)}, "days"),
        ({"scopes": ["rule_the_world"]}, "scopes"),
        ({"scopes": []}, "scopes"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(values, field, call, make_user, session):
    user = make_user()
    sensible = {"name": "x", "lifetime": timedelta(days=1)}
    with pytest.raises(BadInput) as refused:
        call(commands.issue_token, user.actor, user_id=user.id, **{**sensible, **values})
    assert set(refused.value.fields) == {field}
    assert session.execute(TOKENS).all() == []


def test_nobody_makes_or_revokes_a_token_of_another(call, make_user):
    user, other, admin = make_user(), make_user(), make_user("administrator")
    made = {"name": "x", "lifetime": timedelta(days=1)}
    with pytest.raises(Forbidden):
        call(commands.issue_token, user.actor, user_id=other.id, **made)
    issued = call(commands.issue_token, admin.actor, user_id=other.id, **made)
    with pytest.raises(Forbidden):
        call(commands.revoke_token, user.actor, user_id=other.id, token_id=issued.id)
    with pytest.raises(NotFound):
        call(commands.revoke_token, user.actor, user_id=user.id, token_id=issued.id)
    call(commands.revoke_token, admin.actor, user_id=other.id, token_id=issued.id)


def test_its_last_use_is_written_at_most_once_a_minute(api, make_user, session):
    program = api(make_user())
    used = text("SELECT last_used_at FROM api_tokens")
    assert session.execute(used).scalar_one() is None
    program.get("/me/tasks")
    first = session.execute(used).scalar_one()
    assert first is not None
    program.get("/me/tasks")
    assert session.execute(used).scalar_one() == first


def test_a_token_is_shown_once_in_the_settings(sign_in, make_user, session, app):
    user = make_user()
    browser = sign_in(user)
    shown = browser.post("/settings/tokens", {"token_name": "my script"})
    assert shown.status_code == 200
    import re

    token = re.search(r"ates_[A-Za-z0-9_-]{43}", shown.text)[0]
    again = browser.get("/settings")
    assert "my script" in again.text
    assert token not in again.text
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().get("/api/v1/me/tasks", headers=headers).status_code == 200
    token_id = session.execute(text("SELECT id FROM api_tokens")).scalar_one()
    assert browser.post(f"/settings/tokens/{token_id}").status_code == 303
    assert app.test_client().get("/api/v1/me/tasks", headers=headers).status_code == 401


def test_a_token_that_is_asked_for_again_by_a_reload_is_not_made_again(sign_in, make_user, session):
    browser = sign_in(make_user())
    form = {"token_name": "my script", "idempotency_key": "one"}
    assert "ates_" in browser.post("/settings/tokens", form).text
    again = browser.post("/settings/tokens", form)
    assert (again.status_code, again.location) == (303, "/settings")
    page = browser.get("/settings").text
    assert "made already, and is shown only once" in page
    assert "ates_" not in page
    assert len(session.execute(TOKENS).all()) == 1
    kept = session.execute(text("SELECT body FROM idempotency_keys")).scalar_one()
    assert bytes(kept) == b"", "nothing of the secret is kept"
    browser.post("/settings/tokens", {**form, "idempotency_key": "two"})
    assert len(session.execute(TOKENS).all()) == 2


def test_a_reload_makes_no_second_token_of_a_service_and_no_second_link(
    sign_in, make_user, session
):
    browser = sign_in(make_user("administrator"))
    service, person = make_user("internalservice"), make_user()
    for url, made in (
        (f"/people/{service.id}/tokens", "SELECT count(*) FROM api_tokens"),
        (f"/people/{person.id}/password", "SELECT count(*) FROM invitations"),
    ):
        form = {"token_name": "payments", "idempotency_key": url.replace("/", "-")}
        assert 'class="secret"' in browser.post(url, form).text
        again = browser.post(url, form, follow_redirects=True).text
        assert "made already, and is shown only once" in again
        assert 'class="secret"' not in again
        assert session.execute(text(made)).scalar_one() == 1


def test_a_stale_session_asks_for_the_password_first(sign_in, make_user, session):
    user = make_user()
    browser = sign_in(user)
    session.execute(text("UPDATE sessions SET authenticated_at = now() - interval '11 minutes'"))
    asked = browser.post("/settings/tokens", {"token_name": "x"})
    assert asked.status_code == 422
    assert "This is not your password" in asked.text
    wrong = browser.post("/settings/tokens", {"token_name": "x", "own_password": "wrong"})
    assert wrong.status_code == 422
    assert session.execute(TOKENS).all() == []
    with browser.client.session_transaction() as cookie:
        before = cookie["_user_id"]
    right = {"token_name": "x", "own_password": user.password}
    assert browser.post("/settings/tokens", right).status_code == 200
    with browser.client.session_transaction() as cookie:
        assert cookie["_user_id"] != before  # a new id at re-authentication
    assert len(session.execute(TOKENS).all()) == 1

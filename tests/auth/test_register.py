"""Registering oneself, by form and by API."""

import pytest
from sqlalchemy import text

GOOD = {
    "login": "kesha",
    "email": "kesha@ates.example",
    "password": "eleven tulips under a bridge",
    "role": "developer",
}
USERS = text("SELECT login, email, role::text, is_active, is_assignable FROM users ORDER BY id")


def test_a_developer_registers_and_is_signed_in(anonymous, session):
    answer = anonymous.post("/register", GOOD)
    assert (answer.status_code, answer.location) == (303, "/")
    assert session.execute(USERS).all() == [
        ("kesha", "kesha@ates.example", "developer", True, True)
    ]
    assert anonymous.get("/settings").status_code == 200
    events = session.execute(text("SELECT type, user_id FROM outbox")).all()
    assert [event.type for event in events] == ["UserRegistered"]


def test_by_api_the_answer_holds_no_secret(api, session):
    answer = api(None).post("/users", {**GOOD, "role": "other"})
    assert answer.status_code == 201
    assert answer.json == {
        "id": answer.json["id"],
        "login": "kesha",
        "email": "kesha@ates.example",
        "role": "other",
    }
    assert session.execute(USERS).one().role == "other"


@pytest.mark.parametrize(
    "role", ["administrator", "manager", "boss", "accountant", "internalservice", "", "x"]
)
def test_nobody_gives_themselves_another_role(role, anonymous, api, session):
    assert anonymous.post("/register", {**GOOD, "role": role}).status_code == 422
    answer = api(None).post("/users", {**GOOD, "role": role})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["#/role"]
    assert session.execute(USERS).all() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("login", ""),
        ("login", "k"),
        ("login", "k" * 41),
        ("login", "ke sha"),
        ("login", "-kesha"),
        ("login", "кеша"),
        ("login", "kesha\n"),
        ("login", "<b>kesha</b>"),
        ("email", ""),
        ("email", "kesha"),
        ("email", "kesha@"),
        ("email", "ke sha@ates.example"),
        ("email", "kesha@ates.example\r\nBcc: all@ates.example"),
        ("email", "a" * 65 + "@ates.example"),
        ("email", "kesha@" + "a" * 250),
        ("email", "kesha@ates..example"),
        ("password", ""),
        ("password", "too short"),
        ("password", "p" * 129),
    ],
)
def test_each_bad_field_is_named_and_nothing_is_made(field, value, anonymous, api, session):
    form = anonymous.post("/register", {**GOOD, field: value})
    stripped_is_good = field != "password" and value.strip() == GOOD[field]
    assert form.status_code == (303 if stripped_is_good else 422)
    if stripped_is_good:
        return
    assert f'id="field-{field}-error"' in form.text
    answer = api(None).post("/users", {**GOOD, field: value})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [f"#/{field}"]
    assert session.execute(USERS).all() == []


@pytest.mark.parametrize("field", ["login", "email"])
def test_a_taken_login_or_address_is_refused_without_telling_which(field, api, session):
    program = api(None)
    program.post("/users", GOOD)
    again = {"login": "other", "email": "other@ates.example", field: GOOD[field].upper()}
    answer = program.post("/users", {**GOOD, **again})
    assert answer.status_code == 422
    assert answer.json["errors"] == [
        {"pointer": "#/login", "detail": "This login or e-mail address is taken"}
    ]
    assert len(session.execute(USERS).all()) == 1


@pytest.mark.parametrize("extra", ["id", "is_active", "balance", "assigned_to", "created_at"])
def test_nothing_takes_what_a_caller_may_not_set(extra, api, session):
    answer = api(None).post("/users", {**GOOD, extra: 1})
    assert answer.status_code == 422
    assert answer.json["errors"] == [{"pointer": f"#/{extra}", "detail": "Unknown field."}]
    assert session.execute(USERS).all() == []


def test_registration_can_be_closed(make_app, session):
    app = make_app(registration_open=False)
    client = app.test_client()
    answer = client.post("/api/v1/users", json=GOOD)
    assert answer.status_code == 403
    assert "closed" in answer.json["detail"]
    assert "Registration is closed" in client.get("/register").text
    assert session.execute(USERS).all() == []


def test_the_database_holds_the_rules_too(session):
    from sqlalchemy.exc import IntegrityError

    insert = "INSERT INTO users (login, email, role, hash) VALUES "
    for values in (
        "('x', 'x@ates.example', 'other', '$argon2id$x')",
        "('good', 'no address', 'other', '$argon2id$x')",
        "('good', 'x@ates.example', 'other', 'plain text')",
        "('good', 'x@ates.example', 'other', NULL)",
        "('good', 'x@ates.example', 'internalservice', '$argon2id$x')",
    ):
        with pytest.raises(IntegrityError):
            session.execute(text(insert + values))
        session.rollback()

"""Logs: one JSON object a line, without secrets."""

import json


def logged(capsys):
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_each_request_is_a_line(client, capsys, app):
    capsys.readouterr()
    answer = client.get("/sign-in?next=/secret")
    line = next(line for line in logged(capsys) if line["event"] == "request")
    assert line["route"] == "/sign-in"
    assert line["status"] == 200
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert "secret" not in json.dumps(line)


def test_no_secret_is_ever_logged(anonymous, make_user, api, capsys):
    user = make_user()
    anonymous.post("/sign-in", {"login": user.login, "password": user.password})
    token = (
        api(None).post("/tokens", {"login": user.login, "password": user.password}).json["token"]
    )
    with anonymous.client.session_transaction() as cookie:
        session_id = cookie["_user_id"]
    text = capsys.readouterr().err
    for secret in (user.password, token, session_id, anonymous.csrf_token):
        assert secret not in text


def test_named_secrets_and_newlines_are_defused(app, capsys):
    import structlog

    structlog.get_logger("test").info("x", password="tulips", token="t1", note="a\nb")
    line = capsys.readouterr().err.strip()
    assert line.count("\n") == 0
    assert "tulips" not in line
    assert json.loads(line)["note"] == "a\nb"


def test_other_libraries_log_in_the_same_form(app, capsys):
    import logging

    logging.getLogger("some.library").warning("careful\nforged")
    line = json.loads(capsys.readouterr().err.strip())
    assert line["event"] == "careful\nforged"
    assert line["logger"] == "some.library"

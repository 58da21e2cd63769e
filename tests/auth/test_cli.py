"""`flask user …` and `flask token …`."""

import pytest
from sqlalchemy import text


@pytest.fixture
def run(app):
    return lambda *words, **options: app.test_cli_runner().invoke(args=[*words], **options)


def test_an_account_with_a_password_from_standard_input(run, session, api):
    words = ("user", "create", "root2", "--email", "r@ates.example", "--role", "administrator")
    result = run(*words, "--password-stdin", input="eleven tulips under a bridge\n")
    assert result.exit_code == 0
    assert "tulips" not in result.output
    body = {"login": "root2", "password": "eleven tulips under a bridge"}
    assert api(None).post("/tokens", body).status_code == 201


def test_a_made_password_is_printed_once(run, api):
    result = run("user", "create", "dev", "--email", "d@ates.example", "--role", "developer")
    password = result.stdout.split("Password: ")[1].strip()
    body = {"login": "dev", "password": password}
    assert api(None).post("/tokens", body).status_code == 201


def test_refusals_are_one_line_and_exit_code_1(run, make_user):
    make_user("developer", "dev")
    result = run("user", "create", "dev", "--email", "d@ates.example", "--role", "developer")
    assert (result.exit_code, result.stderr) == (1, "Error: login: This login is taken\n")
    result = run("token", "create", "nobody")
    assert (result.exit_code, result.stderr) == (1, "Error: There is no user nobody\n")


@pytest.mark.parametrize(
    "words",
    [
        ("user", "create", "dev", "--role", "developer"),
        ("user", "create", "dev", "--email", "d@ates.example", "--role", "king"),
        ("token", "create", "dev", "--days", "0"),
        ("token", "create", "dev", "--days", "many"),
        ("user", "nonsense"),
    ],
)
def test_wrong_calls_are_exit_code_2(words, run):
    assert run(*words).exit_code == 2


@pytest.mark.parametrize(
    "words", [("user",), ("user", "create"), ("user", "set-role"), ("token", "create")]
)
def test_each_has_help(words, run):
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_service_gets_a_token_that_is_printed_alone(run, make_user, app):
    make_user("internalservice", "payments")
    result = run("token", "create", "payments", "--days", "3", "--scope", "pay_to_workers")
    assert result.exit_code == 0
    headers = {"Authorization": f"Bearer {result.stdout.strip()}"}
    client = app.test_client()
    assert client.get("/api/v1/me/tasks", headers=headers).status_code == 403
    assert client.delete("/api/v1/tokens/current", headers=headers).status_code == 403


def test_roles_and_activity(run, make_user, session):
    user, _ = make_user("developer", "dev"), make_user("developer")
    state = text("SELECT role::text, is_active FROM users WHERE id = :id")
    assert run("user", "set-role", "dev", "manager").exit_code == 0
    assert session.execute(state, {"id": user.id}).one() == ("manager", True)
    assert run("user", "deactivate", "dev").exit_code == 0
    assert session.execute(state, {"id": user.id}).one() == ("manager", False)
    assert run("user", "activate", "dev").exit_code == 0
    assert session.execute(state, {"id": user.id}).one() == ("manager", True)


def test_the_links_are_addresses_of_ours(run, make_user, client):
    link = run("user", "invite-first-admin").stdout.strip()
    assert link.startswith("http://localhost/invitations/")
    assert client.get(link.removeprefix("http://localhost")).status_code == 200
    make_user("developer", "dev")
    link = run("user", "reset-password", "dev").stdout.strip()
    assert client.get(link.removeprefix("http://localhost")).status_code == 200

"""Errors as pages and as problem+json, and nothing internal in either."""

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.kernel import errors
from app.web.access import public

RAISED = [
    (errors.Malformed(), 400),
    (errors.Forbidden(), 403),
    (errors.NotFound(), 404),
    (errors.Conflict("The task is finished already"), 409),
    (errors.BadInput(fields={"name": "Too long"}), 422),
    (errors.TooManyRequests(retry_after_s=7), 429),
    (errors.Unavailable(), 503),
    (OperationalError("SELECT 'secret'", {}, Exception("secret")), 503),
    (PoolTimeout("secret"), 503),
    (RuntimeError("secret"), 500),
]


@pytest.fixture
def app(make_app):
    """An application of the test's own: routes are added to it."""
    return make_app()


@pytest.fixture
def failing(app):
    """A page and an API call that raise what they are told to."""
    told = {}

    def fail():
        raise told["error"]

    for url in ("/fail", "/api/v1/fail"):
        app.add_url_rule(url, url, public(fail))
        app.extensions["ates-policies"][url] = "public"
    return told


@pytest.mark.parametrize(("error", "status"), RAISED)
def test_under_api_it_is_problem_json(error, status, failing, client):
    failing["error"] = error
    answer = client.get("/api/v1/fail")
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    said = answer.json
    assert set(said) - {"errors"} == {
        "type", "title", "status", "detail", "instance", "request_id",
    }  # fmt: skip
    assert said["status"] == status
    assert said["instance"] == "/api/v1/fail"
    assert said["request_id"] == answer.headers["X-Request-ID"]
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    if status == 503:
        assert answer.headers["Retry-After"] == "2"
    if status == 429:
        assert answer.headers["Retry-After"] == "7"
    if status == 422:
        assert said["errors"] == [{"pointer": "#/name", "detail": "Too long"}]


@pytest.mark.parametrize(("error", "status"), RAISED)
@pytest.mark.parametrize("is_htmx", [False, True])
def test_on_pages_it_is_a_page(error, status, is_htmx, failing, client):
    failing["error"] = error
    headers = {"HX-Request": "true"} if is_htmx else {}
    answer = client.get("/fail", headers=headers)
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert "data-error-title" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert "secret" not in answer.text
    assert ("HX-Retarget" in answer.headers) is is_htmx


def test_an_unforeseen_error_is_logged_with_its_request(failing, client, capsys):
    failing["error"] = RuntimeError("the cause\nforged line")
    answer = client.get("/fail")
    logged = [line for line in capsys.readouterr().err.splitlines() if "internal_error" in line]
    assert len(logged) == 1
    assert answer.headers["X-Request-ID"] in logged[0]
    assert "the cause\\nforged line" in logged[0]


def test_wrong_methods_and_addresses(client, api):
    wrong = client.post("/healthz")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert client.get("/nowhere").status_code == 404
    answer = api(None).get("/nowhere")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert client.get("/api/v1/tokens").status_code == 405


def test_a_body_that_is_too_large(sign_in, make_user, api):
    large = "x" * (1024 * 1024 + 1)
    user = make_user()
    assert sign_in(user).post("/tasks", {"name": large}).status_code == 413
    assert api(user).post("/tasks", {"name": large}).status_code == 413
    many = {f"field{number}": "x" for number in range(300)}
    answer = sign_in(user).client.post("/tasks", data=many, content_type="multipart/form-data")
    assert answer.status_code == 413


def test_when_the_error_page_itself_fails_there_is_a_bare_one(failing, client, app):
    failing["error"] = errors.NotFound()
    app.jinja_env.loader = None
    answer = client.get("/fail")
    assert answer.status_code == 404
    assert "<h1 data-error-title>Not found</h1>" in answer.text


def test_without_a_database_pages_answer_503_and_health_answers(make_app):
    away = "postgresql://ates@/ates?host=/nonexistent"
    client = make_app(database_url=away).test_client()
    assert client.get("/healthz").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json["reasons"] == ["the database cannot be reached"]
    with client.session_transaction() as cookie:
        cookie["_user_id"] = "x" * 43
    answer = client.get("/settings")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert "data-error-title" in answer.text


def test_an_unmigrated_database_is_not_ready(client, owner_url):
    import sqlalchemy as sa

    assert client.get("/readyz").json["reasons"] == []
    engine = sa.create_engine(owner_url)
    with engine.begin() as owner:
        owner.execute(sa.text("UPDATE alembic_version SET version_num = '0002_users'"))
    assert "0002_users" in client.get("/readyz").json["reasons"][0]
    with engine.begin() as owner:
        owner.execute(sa.text("UPDATE alembic_version SET version_num = '9999_newer'"))
    ahead = client.get("/readyz")
    assert (ahead.status_code, ahead.json["reasons"]) == (200, []), "it is being deployed to"
    assert "9999_newer" in ahead.json["warnings"][0]
    with engine.begin() as owner:
        owner.execute(sa.text("DROP TABLE alembic_version"))
    engine.dispose()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["reasons"]) == (503, ["the database is not migrated"])


def test_a_ledger_in_another_currency_is_not_ready(make_app, owner_url):
    client = make_app(currency="EUR").test_client()
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "the ledger is in USD" in answer.json["reasons"][0]


def test_when_all_connections_are_taken_health_answers_and_the_rest_is_503(
    app, api, make_user, client
):
    import time
    from contextlib import ExitStack

    from app.kernel.db import db

    program = api(make_user())
    with ExitStack() as taken:
        with app.app_context():
            pool = db.engine.pool
            for _ in range(pool.size() + pool._max_overflow):
                taken.enter_context(db.engine.connect())
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").json["reasons"] == ["all database connections are taken"]
        began = time.monotonic()
        answer = program.get("/me/tasks")
        assert time.monotonic() - began < 4  # 2 s, on a machine that does nothing else
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert program.get("/me/tasks").status_code == 200


@pytest.mark.parametrize(("role", "url"), [("manager", "/tasks"), ("developer", "/tasks/mine")])
def test_whoever_finds_nothing_is_told_where_to_search(role, url, anonymous, make_user, sign_in):
    page = (
        sign_in(make_user(role)).get("/nowhere").text.partition("<main")[2].partition("</main")[0]
    )
    nobody = anonymous.get("/nowhere").text

    assert "Look for it among the tasks" in page
    assert f'href="{url}" data-dialog="search"' in page
    assert "Look for it among the tasks" not in nobody
    assert 'data-dialog="search"' not in nobody


def test_a_bad_address_is_told_from_a_bad_form_and_leads_to_the_page(sign_in, make_user):
    browser = sign_in(make_user("manager"))
    page = browser.get("/tasks?state=unknown")
    assert page.status_code == 422
    assert "The address is not right" in page.text
    assert "marked fields" not in page.text
    assert '<a class="button primary" href="/tasks">Show all tasks</a>' in page.text


def test_a_used_link_leads_a_visitor_to_signing_in(client):
    page = client.get("/invitations/none").text
    assert "The link is not valid any more" in page
    assert '<a class="button primary" href="/sign-in">' in page
    assert "first page" not in page

"""Headers and cookies of every answer."""

import pytest

from app.kernel.actor import Actor
from app.kernel.policy import Role
from app.web import context

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    "url", ["/sign-in", "/nowhere", "/api/v1/me/tasks", "/healthz", "/static/app.css", "/api/docs"]
)
def test_security_headers_are_on_every_answer(url, client):
    headers = client.get(url).headers
    assert headers["Content-Security-Policy"] == CSP
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert len(headers["X-Request-ID"]) == 16
    assert "Strict-Transport-Security" not in headers  # COOKIE_SECURE=0: no TLS here


@pytest.mark.parametrize("url", ["/settings", "/tasks/mine", "/account", "/"])
def test_pages_with_data_are_not_kept(url, sign_in, make_user):
    answer = sign_in(make_user()).get(url)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "HX-Request" in answer.headers["Vary"]


def test_files_are_kept_for_as_long_as_they_stay_the_same(client):
    import re

    page = client.get("/sign-in").text
    url = re.search(r'href="(/static/styles\.css\?v=[0-9a-f]{12})"', page)[1]
    assert "immutable" in client.get(url).headers["Cache-Control"]
    assert client.get("/static/styles.css").headers["Cache-Control"] == "no-cache"
    assert client.get("/static/app.css").headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in client.get(url).headers


def test_a_page_waits_for_one_stylesheet_that_holds_every_part(client):
    page = client.get("/sign-in").text
    assert page.count('rel="stylesheet"') == 1
    assert page.count("<script") == client.get("/api/docs").text.count("<script") == 2
    found = client.get("/static/styles.css")
    assert found.mimetype == "text/css"
    for part in ("app.css", "components.css", "print.css"):
        assert client.get(f"/static/{part}").text in found.text
    assert "@media print {\n/* Paper" in found.text
    again = client.get("/static/styles.css", headers={"If-None-Match": found.headers["ETag"]})
    assert again.status_code == 304


def test_over_tls_cookies_and_headers_are_strict(make_app):
    client = make_app(cookie_secure=True, session_cookie_name="__Host-ates").test_client()
    answer = client.get("/sign-in", base_url="https://localhost")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-ates=")
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")


def test_an_unknown_host_is_refused(client):
    assert client.get("/sign-in", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/sign-in", headers={"Host": "localhost:8000"}).status_code == 200


@pytest.mark.parametrize(("hops", "address"), [(0, "127.0.0.1"), (1, "192.0.2.7")])
def test_forwarded_headers_count_only_behind_a_configured_proxy(hops, address, make_app, session):
    from sqlalchemy import text

    client = make_app(proxy_hops=hops).test_client()
    body = {"login": "nobody", "password": "wrong wrong wrong"}
    forwarded = {"X-Forwarded-For": "203.0.113.1, 192.0.2.7"}
    client.post("/api/v1/tokens", json=body, headers=forwarded)
    line = text("SELECT host(ip) FROM audit_log")
    assert session.execute(line).scalar_one() == address


def test_an_address_that_is_none_does_not_break_the_log(make_app):
    client = make_app(proxy_hops=1).test_client()
    answer = client.get("/sign-in", headers={"X-Forwarded-For": "unknown"})
    assert answer.status_code == 200


def test_full_pages_for_boosted_links_and_restored_history(sign_in, make_user):
    from app.web import htmx

    browser = sign_in(make_user())
    app = browser.client.application
    cases = {
        (): False,
        ("HX-Request",): True,
        ("HX-Request", "HX-Boosted"): False,
        ("HX-Request", "HX-History-Restore-Request"): False,
    }
    for names, fragment in cases.items():
        with app.test_request_context(headers=dict.fromkeys(names, "true")):
            assert htmx.wants_fragment() is fragment


@pytest.mark.parametrize(
    ("url", "word", "label"),
    [
        ("/tasks/mine", "page", "My tasks"),
        ("/tasks/reassignment", "true", "All tasks"),
        ("/system/events", "true", "Health"),
        ("/corrections", "true", "Analytics"),
        ("/settings", None, None),
    ],
)
def test_a_page_says_where_in_the_navigation_it_is(url, word, label, sign_in, make_user):
    import re

    nav = (
        sign_in(make_user("administrator")).get(url).text.partition("<nav")[2].partition("</nav")[0]
    )
    found = re.findall(r'aria-current="(\w+)">([^<]+)<', nav)
    assert found == ([(word, label)] if word else [])


@pytest.mark.parametrize(
    ("role", "label"),
    [
        (Role.ACCOUNTANT, "Report"),
        (Role.MANAGER, "All tasks"),
        (Role.DEVELOPER, "My tasks"),
    ],
)
def test_a_story_is_found_where_its_reader_finds_tasks(app, role, label, monkeypatch):
    monkeypatch.setattr(context, "signed_in", lambda: Actor(1, "kesha", role))
    with app.test_request_context("/tasks/1"):
        current = [link.label for link in context.navigation() if link.current]
    assert current == [label]


@pytest.mark.parametrize(
    ("role", "labels"),
    [
        (Role.MANAGER, ["All tasks", "My tasks", "My account"]),
        (Role.DEVELOPER, ["My tasks", "My account"]),
        (Role.ACCOUNTANT, ["My tasks", "My account", "Report", "Mail"]),
    ],
)
def test_whoever_is_assigned_no_tasks_finds_their_own_pages_last(app, role, labels, monkeypatch):
    monkeypatch.setattr(context, "signed_in", lambda: Actor(1, "kesha", role))
    with app.test_request_context("/tasks"):
        assert [link.label for link in context.navigation()] == labels

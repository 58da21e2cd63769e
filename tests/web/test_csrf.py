"""CSRF: every unsafe route of pages wants the token; the API takes no cookies."""

import pytest


def unsafe_pages(app):
    for rule in app.url_map.iter_rules():
        if rule.methods & {"POST", "PUT", "PATCH", "DELETE"} and not rule.rule.startswith("/api/"):
            yield rule.rule.replace("<token>", "A" * 43).replace("<int:", "<")


def test_no_unsafe_page_works_without_its_token(app, sign_in, make_user):
    import re

    # A role for each, since a role that may not is refused before the token is looked at.
    browsers = [sign_in(make_user(role)) for role in ("administrator", "accountant", "manager")]
    for rule in unsafe_pages(app):
        url = re.sub(r"<\w+>", "1", rule)
        for csrf_token in ("", "x", "IjAwMDAi.aaaaaa.bbbbbb"):
            statuses = {
                browser.client.post(url, data={"csrf_token": csrf_token}).status_code
                for browser in browsers
            }
            assert statuses <= {400, 403}, url
            assert 400 in statuses, url


def test_a_token_of_another_session_is_refused(sign_in, make_user, app):
    from itsdangerous import URLSafeTimedSerializer

    browser = sign_in(make_user())
    signer = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token")
    browser.csrf_token = signer.dumps("1" * 40)
    answer = browser.post("/settings/display", {"time_zone": "UTC"})
    assert answer.status_code == 400


def test_the_token_may_come_in_htmxs_header(sign_in, make_user):
    browser = sign_in(make_user())
    headers = {"X-CSRFToken": browser.csrf_token, "HX-Request": "true"}
    answer = browser.client.post("/settings/display", data={"time_zone": "UTC"}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"] == "/settings"


def test_tokens_survive_a_rotation_of_the_secret_key(settings, make_user, sign_in, make_app):
    browser = sign_in(make_user())
    fallbacks = (settings.secret_key,)
    client = make_app(secret_key="f" * 48, secret_key_fallbacks=fallbacks).test_client()
    client.set_cookie("ates", browser.client.get_cookie("ates").value)
    form = {"csrf_token": browser.csrf_token, "time_zone": "UTC"}
    assert client.post("/settings/display", data=form).status_code == 303


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_safe_methods_change_nothing(method, app, sign_in, make_user, session):
    from sqlalchemy import text

    browser = sign_in(make_user("administrator"))
    fingerprint = text("""
        SELECT md5(string_agg(t::text, '|')) FROM (
          SELECT (SELECT md5(string_agg(u::text, ',' ORDER BY id)) FROM users u),
                 (SELECT md5(string_agg(s::text, ',' ORDER BY number)) FROM sessions s),
                 (SELECT count(*) FROM tasks), (SELECT count(*) FROM outbox),
                 (SELECT count(*) FROM api_tokens), (SELECT count(*) FROM invitations)) t
    """)
    before = session.execute(fingerprint).scalar_one()
    for rule in app.url_map.iter_rules():
        if "GET" in rule.methods and "<" not in rule.rule:
            getattr(browser.client, method)(rule.rule)
    assert session.execute(fingerprint).scalar_one() == before

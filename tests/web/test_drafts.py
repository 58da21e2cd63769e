"""What was typed survives an old token and an ended session, and is given back to its writer."""

from __future__ import annotations

import re

import pytest
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import text

HERE = {"Sec-Fetch-Site": "same-origin", "Referer": "http://localhost/tasks/new?x=1"}
TYPED = {"name": "Oil the hinges", "description": "All <of> them.", "draft": "task"}


@pytest.fixture
def browser(sign_in, make_user):
    return sign_in(make_user())


def old_token(app):
    return URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps("1" * 40)


def send(browser, form, **headers):
    return browser.client.post("/tasks", data=form, headers={**HERE, **headers})


def fields(page):
    """The form that gives back what was typed: what it would send."""
    form = page.partition('aria-labelledby="again-title"')[2].partition("</form>")[0]
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    texts = re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL)
    return {name: value.replace("&lt;", "<").replace("&gt;", ">") for name, value in hidden + texts}


def test_a_page_that_is_too_old_gives_the_text_back_with_a_fresh_token(
    browser, app, session, make_user
):
    form = {**TYPED, "idempotency_key": "k" * 32, "csrf_token": old_token(app)}
    answer = send(browser, form)
    assert answer.status_code == 400
    again = fields(answer.text)
    assert again == {**form, "csrf_token": again["csrf_token"]}
    assert again["csrf_token"] != form["csrf_token"]
    assert send(browser, again).status_code == 303
    assert session.execute(text("SELECT name, description FROM tasks")).one() == (
        TYPED["name"],
        TYPED["description"],
    )


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}])
def test_what_another_site_sent_is_not_offered_to_be_sent(headers, browser, app):
    answer = send(browser, {**TYPED, "csrf_token": old_token(app)}, **headers)
    assert answer.status_code == 400
    assert TYPED["name"] not in answer.text


def test_an_ended_session_gives_the_text_back_and_leads_back_to_the_page(anonymous):
    answer = anonymous.client.post("/tasks", data=TYPED, headers=HERE)
    assert answer.status_code == 401
    assert fields(answer.text)["description"] == TYPED["description"]
    assert 'href="/sign-in?next=/tasks/new?x%3D1"' in answer.text
    assert "Set-Cookie: draft-taken" not in str(answer.headers)


def test_a_part_of_a_page_sends_back_to_the_page(anonymous):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/tasks/mine"}
    answer = anonymous.client.post("/tasks", data=TYPED, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/sign-in?next=/tasks/mine"
    elsewhere = {"HX-Request": "true", "HX-Current-URL": "http://evil.example/tasks/mine"}
    answer = anonymous.client.post("/tasks", data=TYPED, headers=elsewhere)
    assert answer.headers["HX-Redirect"] == "/sign-in"


def test_passwords_are_never_given_back(anonymous, app):
    form = {"login": "kesha", "password": "a very secret one", "csrf_token": old_token(app)}
    answer = anonymous.client.post("/sign-in", data=form, headers=HERE)
    assert answer.status_code == 400
    assert fields(answer.text)["login"] == "kesha"
    assert "a very secret one" not in answer.text
    assert 'name="password" type="password"' in answer.text


@pytest.mark.parametrize(("name", "is_taken"), [("Oil the hinges", True), ("Not [so]", False)])
def test_a_draft_goes_when_it_was_taken(name, is_taken, browser, make_user):
    answer = browser.post("/tasks", {**TYPED, "name": name})
    assert answer.status_code == (303 if is_taken else 422)
    cookies = answer.headers.getlist("Set-Cookie")
    assert any(cookie.startswith("draft-taken=task;") for cookie in cookies) is is_taken


def test_a_draft_has_a_plain_name(browser, make_user):
    answer = browser.post("/tasks", {**TYPED, "draft": "a b\r\nc"})
    assert not any("draft-taken" in cookie for cookie in answer.headers.getlist("Set-Cookie"))

"""An address that only takes forms leads to the page of its form."""

import re

import pytest

from app.web.sessions import API_PREFIX
from tests.web.test_policy_walk import url_of

WAYS = [
    ("developer", "/settings/password", "/settings"),
    ("developer", "/settings/tokens/7", "/settings"),
    ("developer", "/notifications/reading", "/notifications"),
    ("developer", "/tasks/7/completion", "/tasks/7"),
    ("developer", "/people/7/role", "/"),
    ("developer", "/sign-out", "/"),
    ("administrator", "/people/7/role", "/people/7"),
    ("administrator", "/corrections/7/approval", "/corrections"),
    ("administrator", "/system/dead-letters/retry", "/system/dead-letters"),
    ("accountant", "/payouts", "/"),
]


@pytest.mark.parametrize(("role", "opened", "page"), WAYS)
def test_opening_it_leads_to_its_page(role, opened, page, sign_in, make_user):
    answer = sign_in(make_user(role)).get(f"{opened}?x=1")
    assert (answer.status_code, answer.location) == (303, page)


def test_no_page_of_a_form_is_a_dead_end(app, sign_in, make_user):
    browser = sign_in(make_user("administrator"))
    rules = list(app.url_map.iter_rules())
    pages = {rule.rule for rule in rules if "GET" in rule.methods}
    forms = [rule for rule in rules if rule.rule not in pages]
    forms = [rule for rule in forms if not rule.rule.startswith(API_PREFIX)]
    assert len(forms) > 20
    for rule in forms:
        answer = browser.get(url_of(rule))
        assert answer.status_code == 303, rule
        assert not re.fullmatch("/sign-in.*", answer.location), rule


def test_nobody_signs_in_first(anonymous):
    page = anonymous.get("/settings/password", follow_redirects=True)
    assert page.request.full_path == "/sign-in?next=/settings"
    assert "Sign in" in page.text


def test_what_is_no_form_of_a_page_is_refused_as_before(anonymous, sign_in, make_user):
    assert anonymous.post("/healthz").status_code == 405
    assert anonymous.get("/api/v1/tokens").status_code == 405
    browser = sign_in(make_user())
    assert browser.get("/settings/password", htmx=True).headers["HX-Redirect"] == "/settings"

"""The visitors of the other tests notice what they are there to notice."""

from __future__ import annotations

import pytest
from playwright.sync_api import Error

pytestmark = pytest.mark.browser
STYLE = "document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">x</p>')"


@pytest.mark.parametrize(
    ("what", "done"),
    [
        ("Content Security Policy", STYLE),
        ("page error: lost", "setTimeout(() => { throw new Error('lost') })"),
        ("error: said", "console.error('said')"),
    ],
)
def test_what_no_page_may_do_is_noticed(visit, what, done):
    visitor = visit()
    visitor.open("/sign-in").evaluate(done)
    visitor.page.wait_for_timeout(300)
    assert any(what in problem for problem in visitor.problems), visitor.problems
    visitor.problems.clear()


def test_another_origin_is_noticed(visit):
    visitor = visit()
    with pytest.raises(Error, match="ERR_"):
        visitor.page.goto("http://localhost:9/")
    assert visitor.problems.pop(0) == "request to http://localhost:9/"
    visitor.problems.clear()

"""A wrong word in a page's address: the page stays, and says beside the field what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

# Who reads it, the address, which words are wrong, and what is said.
WRONG = [
    ("developer", "/account?period=nonsense", ["period"], "A date such as 2026-11-30"),
    ("accountant", "/report?period=nonsense", ["period"], "A date such as 2026-11-30"),
    ("accountant", "/report?from=2026-11-30&to=2026-11-01", ["to"], "ends before it begins"),
    ("accountant", "/report?from=soon&to=never", ["from", "to"], "A date such as"),
    ("accountant", "/report?user_id=me&kind=gift", ["user_id", "kind"], "no such kind"),
    ("accountant", "/report/sums?q=" + "x" * 101, ["q"], "At most 100 characters"),
    ("accountant", "/reconciliation?from=2020-13-01", ["from"], "No such date"),
    ("administrator", "/analytics?from=2020-01-01&to=2026-01-01", ["to"], "At most a year"),
    ("administrator", "/analytics/dear?period=soon", ["period"], "A date such as"),
]


@pytest.mark.parametrize(("role", "url", "names", "said"), WRONG)
def test_the_page_stays(
    make_user: Callable, sign_in: Any, role: str, url: str, names: list[str], said: str
) -> None:
    answer = sign_in(make_user(role)).get(url)
    html = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "data-error-title" not in html, "not a page of errors"
    assert said in html.split('id="filter-error"')[1].split("</p>")[0]
    for name in names:
        field = html.split(f'name="{name}"')[1].split(">")[0]
        assert 'aria-invalid="true" aria-describedby="filter-error"' in field
    assert html.count('aria-invalid="true"') == len(names)


def test_what_was_typed_stands_in_its_field(make_user: Callable, sign_in: Any) -> None:
    browser = sign_in(make_user("accountant"))
    html = browser.get('/report?period="soon"&q=perch').get_data(as_text=True)
    assert 'value="&#34;soon&#34;"' in html
    assert 'value="perch"' in html
    right = browser.get("/report?period=month&q=perch").get_data(as_text=True)
    assert "filter-error" not in right


def test_what_is_no_field_of_the_page_is_an_error(make_user: Callable, sign_in: Any) -> None:
    browser = sign_in(make_user("accountant"))
    assert browser.get("/report?period=soon", htmx=True).status_code == 422
    html = browser.get("/balances?cursor=x").get_data(as_text=True)
    assert "data-error-title" in html

"""Corrections on pages: asked for on a transfer's page, decided by somebody else, seen by both."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.accounting.board import earn
from tests.reports.conftest import MONDAY, Week

REVERSALS = "SELECT count(*) FROM account_transfers WHERE kind = 'reversal'"


@pytest.fixture
def transfer_id(week: Week) -> int:
    """A fee that nobody has reversed."""
    found: int = week.company.value(
        "SELECT max(id) FROM account_transfers t WHERE kind = 'assign_fee'"
        " AND NOT EXISTS (SELECT FROM corrections c WHERE c.transfer_id = t.id)"
    )
    return found


def test_one_asks_another_approves(week: Week, sign_in: Any, transfer_id: int) -> None:
    before = week.company.value(REVERSALS)
    asker, decider = sign_in(week.accountant), sign_in(week.second)
    url = f"/transfers/{transfer_id}"
    answer = asker.post(f"{url}/correction", {"reason": "charged <twice>"})
    assert (answer.status_code, answer.location) == (303, url)
    assert "waits for approval" in asker.get(url).get_data(as_text=True)
    correction_id = week.company.value("SELECT max(id) FROM corrections")
    own = asker.get("/corrections").get_data(as_text=True)
    row = own.split(f'id="correction-{correction_id}"')[1].split("</tr>")[0]
    assert "Approve" not in row
    assert "Take back" in row
    assert "charged &lt;twice&gt;" in row
    asker.post(f"/corrections/{correction_id}/approval")
    assert week.company.value(REVERSALS) == before, "not by oneself"
    decider.post(f"/corrections/{correction_id}/approval")
    assert week.company.value(REVERSALS) == before + 1
    page = asker.get(url).get_data(as_text=True)
    assert "Reversed by" in page
    assert "Ask for its reversal" not in page
    week.company.post()
    assert not week.company.broken_rules()


def test_without_a_reason_the_form_comes_back(week: Week, sign_in: Any, transfer_id: int) -> None:
    browser = sign_in(week.accountant)
    answer = browser.post(f"/transfers/{transfer_id}/correction", {"reason": " "})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.get_data(as_text=True)


def test_a_second_request_is_refused_and_shown(week: Week, sign_in: Any, transfer_id: int) -> None:
    browser = sign_in(week.accountant)
    browser.post(f"/transfers/{transfer_id}/correction", {"reason": "x"})
    answer = browser.post(f"/transfers/{transfer_id}/correction", {"reason": "y"})
    assert answer.status_code == 409
    assert week.company.value("SELECT count(*) FROM corrections WHERE state = 'requested'") == 1


def test_a_refusal_moves_nothing(week: Week, sign_in: Any, transfer_id: int) -> None:
    before = week.company.value(REVERSALS)
    sign_in(week.accountant).post(f"/transfers/{transfer_id}/correction", {"reason": "x"})
    correction_id = week.company.value("SELECT max(id) FROM corrections")
    sign_in(week.second).post(f"/corrections/{correction_id}/refusal", {"note": "it is right"})
    assert week.company.value(REVERSALS) == before
    assert "it is right" in sign_in(week.second).get("/corrections").get_data(as_text=True)
    assert sign_in(week.second).post("/corrections/999/approval").status_code == 404


def test_whoever_decides_sees_the_task_and_is_asked_before_either_answer(
    week: Week, sign_in: Any, make_user: Any, transfer_id: int
) -> None:
    sign_in(week.accountant).post(f"/transfers/{transfer_id}/correction", {"reason": "x"})
    task_id = week.company.value(
        "SELECT task_id FROM account_transfers WHERE id = :id", id=transfer_id
    )
    administrator = sign_in(make_user("administrator"))
    page = administrator.get("/corrections").text
    row = page.split('<tr id="correction-')[1].split("</tr>")[0]
    assert f'href="/tasks/{task_id}"' in row
    assert "/transfers/" not in row
    assert administrator.get(f"/tasks/{task_id}").status_code == 200
    assert row.count("data-confirm=") == row.count('class="sure"') == 1
    assert 'data-confirm-label="Approve the correction"' in row
    assert 'name="note"' in row
    assert f"Why ({week.accountant.login} reads it)" in row
    assert "Its reversal can be asked for anew" in row


def test_administrators_decide_and_others_see_nothing(
    week: Week, sign_in: Any, make_user: Any
) -> None:
    administrator = sign_in(make_user("administrator"))
    assert 'href="/corrections"' in administrator.get("/analytics").text
    assert administrator.get("/corrections").status_code == 200
    for role in ("manager", "boss", "developer"):
        assert sign_in(make_user(role)).get("/corrections").status_code == 403


def test_the_closing_report_tells_what_was_paid_late_and_sealed(week: Week, sign_in: Any) -> None:
    browser = sign_in(week.accountant)
    day = week.company.value("SELECT max(day) FROM business_days WHERE status = 'closed'")
    html = browser.get(f"/payouts/{day}").get_data(as_text=True)
    head = week.company.value(
        "SELECT encode(hash, 'hex') FROM ledger_blocks b JOIN business_days d"
        " ON d.sealed_block = b.id WHERE d.day = :day",
        day=day,
    )
    assert head in html.replace("<wbr>", "")
    assert "Transfers counted" not in html, "there are none"
    earn(week.company, week.people[0].id, MONDAY + timedelta(days=5))
    html = browser.get(f"/payouts/{day}").get_data(as_text=True)
    assert "Transfers counted on a later day</dt><dd>1<" in html
    assert browser.get("/payouts/2026-11-22").status_code == 404, "it goes on"
    assert browser.get("/payouts/soon").status_code == 422

"""A reversal: linked, once, for a reason, by two people; roll-ups and income follow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time
from typing import Any

import pytest

from app.accounting import commands
from app.kernel.errors import BadInput, Conflict, Forbidden, NotFound
from app.tasks import commands as tasks
from tests.company import Company

TODAY = "(business_now() AT TIME ZONE 'UTC')::date"


@pytest.fixture
def ids(company: Company, make_user: Callable[..., Any]) -> dict[str, Any]:
    """A developer with a fee, a reward and a payout, and two accountants; transfers by kind."""
    developer = make_user("developer")
    task = company.call(tasks.create_task, developer.actor, name="Feed the bird")
    company.call(tasks.complete_task, developer.actor, task.task_id)
    company.post()
    tomorrow = company.value(f"SELECT {TODAY} + 1")
    company.at(datetime.combine(tomorrow, time(1), UTC))
    company.call(commands.pay_to_workers, make_user("internalservice").actor)
    company.post()
    rows = company.rows("SELECT kind::text, id FROM account_transfers")
    accountants = {"anna": make_user("accountant").actor, "boris": make_user("accountant").actor}
    return {**{row.kind: row.id for row in rows}, **accountants, "developer": developer}


def reverse(company: Company, ids: dict[str, Any], kind: str) -> int:
    asked = company.call(commands.request_correction, ids["anna"], ids[kind], reason="a mistake")
    assert (asked.state, asked.reversal_id) == ("requested", None)
    done = company.call(commands.approve_correction, ids["boris"], asked.id)
    assert done.state == "done"
    reversal_id: int = done.reversal_id
    return reversal_id


@pytest.mark.parametrize("kind", ["assign_fee", "completion_reward", "payout"])
def test_a_reversal_moves_the_same_money_back(
    company: Company, ids: dict[str, Any], kind: str
) -> None:
    [was] = company.rows("SELECT * FROM account_transfers WHERE id = :id", id=ids[kind])
    income = company.value("SELECT sum(income) FROM ledger_days")
    reversal_id = reverse(company, ids, kind)
    company.post()
    [row] = company.rows("SELECT * FROM account_transfers WHERE id = :id", id=reversal_id)
    [now] = company.rows("SELECT * FROM account_transfers WHERE id = :id", id=ids[kind])
    assert now == was, "nothing is edited"
    assert (row.debit_account_id, row.credit_account_id) == (
        was.credit_account_id,
        was.debit_account_id,
    )
    assert (row.amount, row.delta_balance) == (was.amount, -was.delta_balance)
    assert (row.reverses_id, row.description) == (was.id, "a mistake")
    assert row.business_day == company.value(f"SELECT {TODAY}"), "it counts on the open day"
    assert company.balances()[ids["developer"].id] == -was.delta_balance
    changed = company.value("SELECT sum(income) FROM ledger_days") - income
    assert changed == (0 if kind == "payout" else was.delta_balance), "a payout is not income"
    assert not company.broken_rules()


def test_what_was_sent_back_is_paid_again_at_the_end_of_the_open_day(
    company: Company, ids: dict[str, Any], make_user: Callable[..., Any]
) -> None:
    amount = company.value("SELECT amount FROM payouts")
    reverse(company, ids, "payout")
    tomorrow = company.value(f"SELECT {TODAY} + 1")
    company.at(datetime.combine(tomorrow, time(1), UTC))
    closed = company.call(commands.pay_to_workers, make_user("internalservice").actor)
    company.post()
    assert (closed.paid_count, closed.paid_total) == (1, amount)
    assert not company.broken_rules()


def test_once_and_never_a_reversal_of_a_reversal(company: Company, ids: dict[str, Any]) -> None:
    reversal_id = reverse(company, ids, "assign_fee")
    with pytest.raises(Conflict, match="already"):
        company.call(commands.request_correction, ids["anna"], ids["assign_fee"], reason="again")
    with pytest.raises(Conflict, match="cannot be reversed"):
        company.call(commands.request_correction, ids["anna"], reversal_id, reason="undo")
    assert company.value("SELECT count(*) FROM account_transfers WHERE kind = 'reversal'") == 1


def test_the_one_who_asks_does_not_approve(company: Company, ids: dict[str, Any]) -> None:
    asked = company.call(commands.request_correction, ids["anna"], ids["payout"], reason="x")
    with pytest.raises(Forbidden):
        company.call(commands.approve_correction, ids["anna"], asked.id)
    assert company.value("SELECT count(*) FROM account_transfers WHERE kind = 'reversal'") == 0


def test_an_administrator_may_approve_and_not_ask(
    company: Company, ids: dict[str, Any], make_user: Callable[..., Any]
) -> None:
    admin = make_user("administrator").actor
    with pytest.raises(Forbidden):
        company.call(commands.request_correction, admin, ids["payout"], reason="x")
    asked = company.call(commands.request_correction, ids["anna"], ids["payout"], reason="x")
    assert company.call(commands.approve_correction, admin, asked.id).state == "done"


def test_where_nobody_else_could_approve_it_is_done_and_says_so(
    company: Company, ids: dict[str, Any]
) -> None:
    company.rows(
        "UPDATE users SET is_active = false WHERE id = :id RETURNING id", id=ids["boris"].user_id
    )
    done = company.call(commands.request_correction, ids["anna"], ids["payout"], reason="alone")
    assert done.state == "done"
    assert company.value("SELECT decided_alone FROM corrections")


def test_a_refused_one_may_be_asked_for_again(company: Company, ids: dict[str, Any]) -> None:
    asked = company.call(commands.request_correction, ids["anna"], ids["payout"], reason="x")
    refused = company.call(commands.refuse_correction, ids["boris"], asked.id, note="it is right")
    assert refused.state == "refused"
    with pytest.raises(Conflict):
        company.call(commands.approve_correction, ids["boris"], asked.id)
    reverse(company, ids, "payout")


def test_two_who_approve_at_once_reverse_once(
    company: Company, ids: dict[str, Any], make_user: Callable[..., Any]
) -> None:
    asked = company.call(commands.request_correction, ids["anna"], ids["payout"], reason="x")
    approvers = [ids["boris"], make_user("administrator").actor] * 2

    def approve(actor: Any) -> bool:
        try:
            company.call(commands.approve_correction, actor, asked.id)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(approve, approvers)) == [False, False, False, True]
    company.post()
    assert not company.broken_rules()


def test_bad_input_changes_nothing(company: Company, ids: dict[str, Any]) -> None:
    request = commands.request_correction
    for reason in ("", "  ", "x" * 401, "a\x00b", "\ud800"):
        with pytest.raises(BadInput):
            company.call(request, ids["anna"], ids["payout"], reason=reason)
    with pytest.raises(NotFound):
        company.call(request, ids["anna"], 10**9, reason="x")
    with pytest.raises(Forbidden):
        company.call(request, ids["developer"].actor, ids["payout"], reason="x")
    assert company.value("SELECT count(*) FROM corrections") == 0

"""Each planned scenario, as it is declared, broken in each way: some check of money finds it."""

from __future__ import annotations

import sqlalchemy as sa

from app.events import EVENTS
from app.guardian.checks import CHECKS
from app.guardian.scenario import COUNTERPARTIES, PAYOUT, STEPS, Step
from tests.guardian.test_checks import saboteur

__all__ = ["saboteur"]

TWICE = """
INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
  owner_account_id, amount, balance_after, account_version, timestamp, business_day, task_id)
SELECT uuidv7(), kind, debit_account_id, credit_account_id, owner_account_id, amount,
       balance_after, account_version + 1000, timestamp, business_day, task_id
FROM account_transfers WHERE id = ({one})
"""


def breaks_of(step: Step) -> dict[str, str]:
    """By what is wrong: how it comes about."""
    entry = f"SELECT min(id) FROM logs WHERE type = '{step.log}'"
    event = f"SELECT event_id FROM logs WHERE id = ({entry})"
    transfer = f"SELECT id FROM account_transfers WHERE event_id = ({event})"
    return {
        "no log entry": f"DELETE FROM logs WHERE id = ({entry})",
        "no event": f"DELETE FROM outbox WHERE event_id = ({event})",
        "no transfer": f"DELETE FROM account_transfers WHERE id = ({transfer})",
        "two transfers": TWICE.format(one=transfer),
        "another price": f"""UPDATE task_prices SET {step.price} = {step.price} + 1
          WHERE task_id = (SELECT task_id FROM logs WHERE id = ({entry}))""",
        "another amount": f"""UPDATE account_transfers SET amount = amount + 1
          WHERE id = ({transfer})""",
        "another kind of event": f"""UPDATE outbox SET type = 'BusinessDayClosed'
          WHERE event_id = ({event})""",
    }


def breaks_of_a_closing() -> dict[str, str]:
    one = "SELECT min(id) FROM payouts"
    transfer = f"SELECT transfer_id FROM payouts WHERE id = ({one})"
    event = f"SELECT event_id FROM account_transfers WHERE id = ({transfer})"
    return {
        "no payout": f"DELETE FROM payouts WHERE id = ({one})",
        "no event": f"DELETE FROM outbox WHERE event_id = ({event})",
        "no transfer": f"DELETE FROM account_transfers WHERE id = ({transfer})",
        "no mail": f"DELETE FROM emails WHERE payout_id = ({one})",
        "another mail": f"UPDATE emails SET kind = 'closing' WHERE payout_id = ({one})",
        "two transfers": TWICE.format(one=transfer),
        "another amount": f"UPDATE payouts SET amount = amount + 1 WHERE id = ({one})",
        "another day": f"""UPDATE account_transfers SET business_day = business_day + 1
          WHERE id = ({transfer})""",
        "another amount in the event": f"""UPDATE outbox
          SET payload = jsonb_set(payload, '{{amount}}', '1') WHERE event_id = ({event})""",
        "somebody is not paid": f"""WITH unpaid AS (DELETE FROM payouts WHERE id = ({one}))
          DELETE FROM account_transfers WHERE id = ({transfer})""",
    }


SCENARIOS = {step.log: breaks_of(step) for step in STEPS} | {
    "the end of a day": breaks_of_a_closing()
}


def test_each_scenario_broken_in_each_way_is_found(saboteur: sa.Connection) -> None:
    assert found_by_money_checks(saboteur) == []
    for scenario, breaks in SCENARIOS.items():
        for what, sabotage in breaks.items():
            assert saboteur.execute(sa.text(sabotage)).rowcount, f"{scenario}: {what}"
            assert found_by_money_checks(saboteur), f"not found: {scenario}: {what}"
            saboteur.rollback()


def test_what_is_declared_is_what_there_is() -> None:
    events = {event.__name__ for event in EVENTS}
    assert {PAYOUT.event, *(step.event for step in STEPS)} <= events
    assert COUNTERPARTIES.keys() == {PAYOUT.transfer, *(step.transfer for step in STEPS)}


def found_by_money_checks(connection: sa.Connection) -> list[str]:
    return [
        check.name
        for check in CHECKS
        if check.is_money and connection.execute(sa.text(check.whole)).first() is not None
    ]

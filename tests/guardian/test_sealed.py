"""What the nightly check of the sealed ledger names, and what is none of its business."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from app.guardian.checks import BY_NAME
from tests.guardian.test_checks import saboteur

__all__ = ["saboteur"]
SEALED = "the sealed ledger is as it was sealed"
FIRST = "SELECT min(id) FROM account_transfers"
COPY = """
INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
  owner_account_id, amount, balance_after, account_version, timestamp, business_day, task_id, xid)
SELECT uuidv7(), kind, debit_account_id, credit_account_id, owner_account_id, amount,
       balance_after, 1000000, timestamp, business_day, task_id, {xid}
FROM account_transfers ORDER BY id LIMIT 1 RETURNING id
"""
ANOTHER_DIGEST = """
UPDATE ledger_blocks SET digests = set_byte(digests, 8, 255 - get_byte(digests, 8)) WHERE id = 1
"""
# Each field of the first transfer, changed a little.
CHANGES = (
    "event_id = uuidv7()",
    "kind = CASE kind WHEN 'payout' THEN 'reversal' ELSE 'payout' END::transfer_kind",
    "debit_account_id = credit_account_id, credit_account_id = debit_account_id",
    "owner_account_id = debit_account_id + credit_account_id - owner_account_id",
    "amount = amount + 1",
    "balance_after = balance_after - 1",
    "account_version = account_version + 1000000",
    "timestamp = timestamp + interval '1 microsecond'",
    "recorded_at = recorded_at + interval '1 microsecond'",
    "business_day = business_day - 1",
    "late = NOT late",
    "task_id = task_id + 1",
    "description = 'as if it had always said so'",
    f"reverses_id = ({FIRST}), kind = 'reversal'",
    "xid = (xid::text::bigint - 1)::text::xid8",
)


def _found(connection: sa.Connection) -> list[Any]:
    return list(connection.execute(sa.text(BY_NAME[SEALED].whole)).all())


def _value(connection: sa.Connection, statement: str) -> Any:
    return connection.execute(sa.text(statement)).scalar_one()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.split()[0])
def test_a_transfer_with_another_value_is_named(saboteur: sa.Connection, change: str) -> None:
    first = _value(saboteur, FIRST)
    saboteur.execute(sa.text(f"UPDATE account_transfers SET {change} WHERE id = ({FIRST})"))
    [row] = _found(saboteur)
    assert row.transfer == first
    assert row.block == 1


def test_a_transfer_that_is_missing_is_named(saboteur: sa.Connection) -> None:
    first = _value(saboteur, FIRST)
    saboteur.execute(sa.text(f"DELETE FROM account_transfers WHERE id = ({FIRST})"))
    [row] = _found(saboteur)
    assert (row.block, row.transfer) == (1, first)


def test_a_transfer_that_was_put_in_is_named_and_a_new_one_is_not(
    saboteur: sa.Connection,
) -> None:
    put_in = _value(saboteur, COPY.format(xid="xid"))
    [row] = _found(saboteur)
    assert (row.block, row.transfer) == (None, put_in)
    saboteur.rollback()
    _value(saboteur, COPY.format(xid="pg_current_xact_id()"))
    assert _found(saboteur) == [], "what is not sealed yet is for the next block"


def test_a_seal_that_was_made_anew_is_named(saboteur: sa.Connection) -> None:
    first = _value(saboteur, FIRST)
    saboteur.execute(sa.text(ANOTHER_DIGEST))
    found = _found(saboteur)
    assert [row.block for row in found if row.transfer is None] == [1]
    assert not found[0].is_whole
    assert [row.transfer for row in found if row.transfer is not None] == [first]

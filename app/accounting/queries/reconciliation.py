"""Reconciliation: what has to be equal, counted on both sides, and each difference by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql
from app.kernel.periods import Period

SHOWN = 50

_DURING = """>= CAST(:first AS date)::timestamp AT TIME ZONE :timezone
  AND {column} < (CAST(:last AS date) + 1)::timestamp AT TIME ZONE :timezone"""
_LOG_TIME = "l.timestamp " + _DURING.format(column="l.timestamp")
_TRANSFER_TIME = "t.timestamp " + _DURING.format(column="t.timestamp")
# What became of the event of a log entry that has no transfer. Looked up for these alone: the log
# has many partitions, each with an index of its own.
_FATE = """
CASE WHEN d.state = 'parked' THEN 'parked' WHEN d.state = 'discarded' THEN 'discarded'
     WHEN (SELECT bool_or((o.xid, o.id) > (c.xid, c.id)) FROM outbox o, outbox_cursors c
           WHERE o.event_id = l.event_id AND c.consumer = 'accounting')
       THEN 'waiting' ELSE 'missing' END
"""


def _board_against_ledger(log_types: str, kind: str) -> tuple[str, str]:
    """Counts and differences of the log entries of `log_types` and the transfers of `kind`."""
    counts = f"""
    SELECT (SELECT count(*) FROM logs l WHERE l.type IN ({log_types}) AND {_LOG_TIME}),
           (SELECT count(*) FROM account_transfers t WHERE t.kind = '{kind}' AND {_TRANSFER_TIME})
    """
    differences = f"""
    SELECT {_FATE} AS fault, l.task_id, NULL::bigint AS transfer_id, u.id AS user_id, u.login,
           l.timestamp AS at, NULL::date AS day, NULL::bigint AS cents
    FROM logs l JOIN users u ON u.id = l.user_id
    LEFT JOIN account_transfers t ON t.event_id = l.event_id AND t.kind = '{kind}'
    LEFT JOIN dead_letters d ON d.event_id = l.event_id AND d.consumer = 'accounting'
    WHERE l.type IN ({log_types}) AND {_LOG_TIME} AND t.id IS NULL
    UNION ALL
    SELECT 'unfounded', t.task_id, t.id, u.id, u.login, t.timestamp, t.business_day, t.delta_balance
    FROM account_transfers t
    JOIN accounts a ON a.id = t.owner_account_id JOIN users u ON u.id = a.user_id
    WHERE t.kind = '{kind}' AND {_TRANSFER_TIME} AND NOT EXISTS (
      SELECT FROM logs l WHERE l.task_id = t.task_id AND l.event_id = t.event_id
        AND l.type IN ({log_types}))
    """
    return counts, differences


_PAYOUT_COUNTS = """
SELECT (SELECT count(*) FROM payouts p WHERE p.business_day BETWEEN :first AND :last),
       (SELECT count(*) FROM account_transfers t
        WHERE t.kind = 'payout' AND t.business_day BETWEEN :first AND :last)
"""
_PAYOUTS = """
SELECT 'transfer' AS fault, NULL::bigint AS task_id, p.transfer_id, a.user_id, u.login,
       NULL::timestamptz AS at, p.business_day AS day, p.amount AS cents
FROM payouts p JOIN accounts a ON a.id = p.account_id JOIN users u ON u.id = a.user_id
LEFT JOIN account_transfers t ON t.id = p.transfer_id AND t.kind = 'payout'
  AND (t.owner_account_id, t.amount, t.business_day) = (p.account_id, p.amount, p.business_day)
WHERE p.business_day BETWEEN :first AND :last AND t.id IS NULL
UNION ALL
SELECT 'payout', NULL, t.id, a.user_id, u.login, t.timestamp, t.business_day, t.amount
FROM account_transfers t
JOIN accounts a ON a.id = t.owner_account_id JOIN users u ON u.id = a.user_id
WHERE t.kind = 'payout' AND t.business_day BETWEEN :first AND :last
  AND NOT EXISTS (SELECT FROM payouts p WHERE p.transfer_id = t.id)
"""
_MAIL_COUNTS = """
SELECT (SELECT count(*) FROM payouts p WHERE p.business_day BETWEEN :first AND :last),
       (SELECT count(*) FROM emails e JOIN payouts p ON p.id = e.payout_id
        WHERE e.state = 'sent' AND p.business_day BETWEEN :first AND :last)
"""
_MAILS = """
SELECT coalesce('mail_' || e.state::text, 'mail_none') AS fault, NULL::bigint AS task_id,
       p.transfer_id, a.user_id, u.login, e.queued_at AS at, p.business_day AS day,
       p.amount AS cents
FROM payouts p JOIN accounts a ON a.id = p.account_id JOIN users u ON u.id = a.user_id
LEFT JOIN emails e ON e.payout_id = p.id
WHERE p.business_day BETWEEN :first AND :last AND e.state IS DISTINCT FROM 'sent'
"""
_SUMS = """
coalesce(sum(t.amount) FILTER (WHERE t.kind = 'assign_fee'), 0)::bigint AS fees,
coalesce(sum(t.amount) FILTER (WHERE t.kind = 'completion_reward'), 0)::bigint AS rewards,
coalesce(sum(t.amount) FILTER (WHERE t.kind = 'payout'), 0)::bigint AS payouts,
coalesce(sum(t.delta_balance) FILTER (WHERE r.kind <> 'payout'), 0)::bigint AS corrections,
coalesce(sum(t.delta_balance) FILTER (WHERE r.kind = 'payout'), 0)::bigint AS payouts_reversed,
count(*)::int AS transfers
"""
_SAME = """
(d.fees, d.rewards, d.payouts, d.corrections, d.payouts_reversed, d.transfers) IS DISTINCT FROM
(s.fees, s.rewards, s.payouts, s.corrections, s.payouts_reversed, s.transfers)
"""
_DAY_COUNTS = """
SELECT (SELECT coalesce(sum(transfers), 0)::bigint FROM ledger_days
        WHERE business_day BETWEEN :first AND :last),
       (SELECT count(*) FROM account_transfers WHERE business_day BETWEEN :first AND :last)
"""
_DAYS = f"""
SELECT 'day' AS fault, NULL::bigint AS task_id, NULL::bigint AS transfer_id,
       NULL::bigint AS user_id, NULL::text AS login, NULL::timestamptz AS at,
       coalesce(d.business_day, s.business_day) AS day,
       coalesce(d.income, 0) - coalesce(s.fees - s.rewards - s.corrections, 0) AS cents
FROM (SELECT t.business_day, {_SUMS}
      FROM account_transfers t LEFT JOIN account_transfers r ON r.id = t.reverses_id
      WHERE t.business_day BETWEEN :first AND :last GROUP BY 1) AS s
FULL JOIN (SELECT * FROM ledger_days WHERE business_day BETWEEN :first AND :last) AS d
  ON d.business_day = s.business_day
WHERE {_SAME}
"""
_ACCOUNT_COUNTS = """
SELECT (SELECT coalesce(sum(transfers), 0)::bigint FROM account_days
        WHERE business_day BETWEEN :first AND :last),
       (SELECT count(*) FROM account_transfers WHERE business_day BETWEEN :first AND :last)
"""
_ACCOUNTS = f"""
SELECT 'account' AS fault, NULL::bigint AS task_id, NULL::bigint AS transfer_id, a.user_id,
       u.login, NULL::timestamptz AS at, coalesce(d.business_day, s.business_day) AS day,
       coalesce(d.delta, 0)
         - coalesce(s.rewards - s.fees - s.payouts + s.corrections + s.payouts_reversed, 0) AS cents
FROM (SELECT t.owner_account_id, t.business_day, {_SUMS}
      FROM account_transfers t LEFT JOIN account_transfers r ON r.id = t.reverses_id
      WHERE t.business_day BETWEEN :first AND :last GROUP BY 1, 2) AS s
FULL JOIN (SELECT * FROM account_days WHERE business_day BETWEEN :first AND :last) AS d
  ON (d.account_id, d.business_day) = (s.owner_account_id, s.business_day)
JOIN accounts a ON a.id = coalesce(d.account_id, s.owner_account_id)
JOIN users u ON u.id = a.user_id
WHERE {_SAME}
"""

# Each: its name, what counts both sides, what lists the differences: one statement together.
CHECKS: dict[str, tuple[str, str]] = {
    "fees": _board_against_ledger("'create', 'assign'", "assign_fee"),
    "rewards": _board_against_ledger("'complete'", "completion_reward"),
    "payouts": (_PAYOUT_COUNTS, _PAYOUTS),
    "mails": (_MAIL_COUNTS, _MAILS),
    "days": (_DAY_COUNTS, _DAYS),
    "accounts": (_ACCOUNT_COUNTS, _ACCOUNTS),
}


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Two sides that have to be equal, and where they are not (the first SHOWN differences)."""

    name: str
    left: int
    right: int
    difference_count: int
    differences: Sequence[Any]


def reconcile(session: Session, period: Period) -> list[Reconciled]:
    """Compare both sides of each check, over any period of business days."""
    names = {
        "first": period.first,
        "last": period.last,
        "timezone": settings.current().business_timezone,
    }
    return [_check(session, name, names) for name in CHECKS]


def _check(session: Session, name: str, names: dict[str, Any]) -> Reconciled:
    counts, differences = CHECKS[name]
    statement = f"""
    SELECT sides.*, x.* FROM ({counts}) AS sides (left_count, right_count)
    LEFT JOIN (SELECT y.*, count(*) OVER () AS of FROM ({differences}) AS y
               ORDER BY y.day NULLS FIRST, y.at, y.task_id LIMIT :shown) AS x ON true
    ORDER BY x.day NULLS FIRST, x.at, x.task_id
    """
    rows = session.execute(sql(statement), {**names, "shown": SHOWN}).all()
    found = [row for row in rows if row.fault is not None]
    return Reconciled(
        name, rows[0].left_count, rows[0].right_count, found[0].of if found else 0, found
    )

"""Transfers as lines of CSV, put together by PostgreSQL: an export has a million of them.

The columns and their text are those of `app.accounting.spreadsheet`, whose rules are repeated here
in SQL; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from app.accounting.queries.filters import LedgerFilter
from app.accounting.queries.sums import Totals
from app.kernel.db import sql

CHUNK = 5_000

_TIME = """
replace(to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '.000000', '')
  || '+00:00'"""
# Text that somebody wrote: quoted, and so that no spreadsheet runs it as a formula.
TEXT = r"""
coalesce('"' || replace(
  CASE WHEN left({text}, 1) IN ('=', '+', '-', '@', E'\t', E'\r')
            AND {text} !~ '^-?[0-9]{{1,15}}[.][0-9]{{2}}$'
       THEN '''' || {text} ELSE {text} END, '"', '""') || '"', '')"""
_LINE = f"""
concat_ws(',', t.id, {_TIME.format(column="t.timestamp")},
  {_TIME.format(column="t.recorded_at")}, to_char(t.business_day, 'YYYY-MM-DD'),
  CASE WHEN t.late THEN 'late' ELSE '' END, u.login, t.kind, coalesce(k.ticket_key, ''),
  {TEXT.format(text="k.name")}, {TEXT.format(text="t.description")},
  t.delta_balance * 0.01, t.balance_after * 0.01, t.event_id)"""
# The next lines, newest first, as one text, and what their transfers add to each sum.
LINES = f"""
SELECT string_agg(x.line, E'\\r\\n') AS text, count(*) AS lines, min(x.business_day) AS last_day,
       (array_agg(x.id))[count(*)] AS last_id,
       coalesce(sum(x.amount) FILTER (WHERE x.kind = 'assign_fee'), 0)::bigint,
       coalesce(sum(x.amount) FILTER (WHERE x.kind = 'completion_reward'), 0)::bigint,
       coalesce(sum(x.amount) FILTER (WHERE x.kind = 'payout'), 0)::bigint,
       coalesce(sum(x.delta) FILTER (WHERE x.reversed_kind <> 'payout'), 0)::bigint,
       count(*),
       coalesce(sum(x.delta) FILTER (WHERE x.reversed_kind = 'payout'), 0)::bigint
FROM (
  SELECT {_LINE} AS line, t.id, t.business_day, t.kind, t.amount, t.delta_balance AS delta,
         r.kind AS reversed_kind
  FROM account_transfers t
  JOIN accounts a ON a.id = t.owner_account_id
  JOIN users u ON u.id = a.user_id
  LEFT JOIN tasks k ON k.id = t.task_id
  LEFT JOIN account_transfers r ON r.id = t.reverses_id
  WHERE {{where}} ORDER BY t.business_day DESC, t.id DESC LIMIT :limit) AS x
"""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of CSV without the end of the last one, how many, and their sums."""

    text: str
    count: int
    sums: Totals


def transfer_lines(session: Session, wanted: LedgerFilter) -> Iterator[Lines]:
    """Every transfer of the filter, newest first, CHUNK lines at a time, in constant memory."""
    before: tuple[date, int] | None = None
    while True:
        where, names = wanted.where(before)
        statement = sql(LINES.replace("{where}", where))
        text, count, last_day, last_id, *sums = session.execute(
            statement, {**names, "limit": CHUNK}
        ).one()
        if count:
            yield Lines(text, count, Totals(*sums))
        if count < CHUNK:
            return
        before = (last_day, last_id)

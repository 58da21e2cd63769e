"""Sums of the ledger, for the report's tiles, charts and tables: by day, by person, in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.accounting.queries.filters import LedgerFilter
from app.kernel import direct, settings
from app.kernel.db import sql
from app.kernel.people import people_sql

# Employees' balances, the largest debt first, each with what today brought.
BALANCES = sql("""
SELECT a.id, a.user_id, u.login, a.balance, coalesce(d.rewards, 0) AS rewards_today,
       coalesce(d.fees, 0) AS fees_today
FROM (SELECT id, user_id, balance FROM accounts
      WHERE kind = 'employee' AND (CAST(:after_balance AS bigint) IS NULL
        OR (balance, id) < (:after_balance, :after_id))
      ORDER BY balance DESC, id DESC LIMIT :limit) AS a
JOIN users u ON u.id = a.user_id
LEFT JOIN account_days d ON d.account_id = a.id AND d.business_day = :today
ORDER BY a.balance DESC, a.id DESC
""")
ALL_BALANCES = sql("""
SELECT count(*) AS all_count, coalesce(sum(balance), 0)::bigint AS all_sum,
       count(*) FILTER (WHERE balance > 0) AS owed_count,
       coalesce(sum(balance) FILTER (WHERE balance > 0), 0)::bigint AS owed_sum,
       count(*) FILTER (WHERE balance < 0) AS debtor_count,
       coalesce(sum(balance) FILTER (WHERE balance < 0), 0)::bigint AS debt_sum
FROM accounts WHERE kind = 'employee'
""")
# The balances of all in one row: their count and sum, the highest of them, and whose they are.
ACCOUNT_HOLDERS = sql(f"""
WITH holders AS MATERIALIZED (
  SELECT u.id, u.login, a.balance, a.id AS account_id
  FROM accounts a JOIN users u ON u.id = a.user_id WHERE a.kind = 'employee')
SELECT count(*), coalesce(sum(balance), 0)::bigint,
       (SELECT json_agg(json_build_array(id, login, balance) ORDER BY balance DESC, account_id DESC)
        FROM (SELECT * FROM holders ORDER BY balance DESC, account_id DESC LIMIT :highest) AS h),
       {people_sql("holders")}
FROM holders
""")
_COLUMNS_OF_SUMS = """
coalesce(sum({t}fees), 0)::bigint, coalesce(sum({t}rewards), 0)::bigint,
coalesce(sum({t}payouts), 0)::bigint, coalesce(sum({t}corrections), 0)::bigint,
coalesce(sum({t}transfers), 0)::bigint, coalesce(sum({t}payouts_reversed), 0)::bigint
"""
SUMS_OF_DAYS = sql(f"""
SELECT t.business_day, {_COLUMNS_OF_SUMS.format(t="t.")} FROM ledger_days t
WHERE t.business_day BETWEEN :first AND :last GROUP BY 1 ORDER BY 1
""")
SUMS_OF_ACCOUNT_DAYS = sql(f"""
SELECT t.business_day, {_COLUMNS_OF_SUMS.format(t="t.")}
FROM account_days t JOIN accounts a ON a.id = t.account_id
WHERE a.user_id = :user_id AND t.business_day BETWEEN :first AND :last GROUP BY 1 ORDER BY 1
""")
# What a transfer adds to each sum; a reversal belongs to the kind that it reverses.
_MOVED = """
coalesce(sum(t.amount) FILTER (WHERE t.kind = 'assign_fee'), 0)::bigint,
coalesce(sum(t.amount) FILTER (WHERE t.kind = 'completion_reward'), 0)::bigint,
coalesce(sum(t.amount) FILTER (WHERE t.kind = 'payout'), 0)::bigint,
coalesce(sum(t.delta_balance) FILTER (WHERE r.kind <> 'payout'), 0)::bigint,
count(*),
coalesce(sum(t.delta_balance) FILTER (WHERE r.kind = 'payout'), 0)::bigint
"""
SUMS_OF_TRANSFERS = f"""
SELECT t.business_day, {_MOVED}
FROM account_transfers t LEFT JOIN account_transfers r ON r.id = t.reverses_id
WHERE {{where}} GROUP BY 1 ORDER BY 1
"""
SUMS_OF_PEOPLE = f"""
SELECT a.user_id, u.login, {_MOVED}
FROM account_transfers t LEFT JOIN account_transfers r ON r.id = t.reverses_id
JOIN accounts a ON a.id = t.owner_account_id JOIN users u ON u.id = a.user_id
WHERE {{where}} GROUP BY 1, 2 ORDER BY sum(t.delta_balance) FILTER (WHERE t.kind <> 'payout')
  DESC NULLS LAST, 1 LIMIT :limit
"""
NOW = sql("SELECT to_char(business_now() AT TIME ZONE :timezone, 'YYYY-MM-DD HH24:MI:SS')")
# The balances at the end of a day are those of now less what later days moved. At the end of a
# closed day none is above zero, and what lies below was frozen; before the first day there is none.
_POSITIONS = """
SELECT coalesce(sum(b.balance) FILTER (WHERE b.balance > 0), 0)::bigint AS liabilities,
       coalesce(sum(b.balance) FILTER (WHERE b.balance < 0), 0)::bigint AS debts,
       count(*) FILTER (WHERE b.balance > 0) AS creditors,
       count(*) FILTER (WHERE b.balance < 0) AS debtors
"""
POSITIONS = sql(f"""
SELECT 0::bigint AS liabilities, debts, 0::bigint AS creditors, debtors::bigint FROM business_days
WHERE day = :last AND status = 'closed'
UNION ALL
{_POSITIONS} FROM (
  SELECT a.balance - coalesce(later.delta, 0) AS balance FROM accounts a
  LEFT JOIN (SELECT account_id, sum(delta) AS delta FROM account_days
             WHERE business_day > :last GROUP BY account_id) AS later ON later.account_id = a.id
  WHERE a.kind = 'employee' AND :last >= (SELECT min(day) FROM business_days)) AS b
HAVING NOT EXISTS (SELECT FROM business_days WHERE day = :last AND status = 'closed')
""")
POSITIONS_OF = sql(f"""
{_POSITIONS} FROM (
  SELECT sum(d.delta) AS balance FROM accounts a JOIN account_days d ON d.account_id = a.id
  WHERE a.user_id = :user_id AND d.business_day <= :last) AS b
""")


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of a filter in minor units.

    `corrections` are reversals of fees and rewards, signed for the employees; the company's income
    is fees less rewards less corrections. `payouts_reversed` came back and are no income.
    """

    fees: int = 0
    rewards: int = 0
    payouts: int = 0
    corrections: int = 0
    transfers: int = 0
    payouts_reversed: int = 0

    @property
    def income(self) -> int:
        return self.fees - self.rewards - self.corrections

    @property
    def delta(self) -> int:
        """What they moved on the employees' accounts."""
        return self.rewards - self.fees - self.payouts + self.corrections + self.payouts_reversed

    def __add__(self, other: Totals) -> Totals:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Totals(*(mine + theirs for mine, theirs in pairs))


def totals(session: Session, wanted: LedgerFilter) -> Totals:
    """The sums of the filter: those of its days together."""
    return sum(sums_by_day(session, wanted).values(), Totals())


def sums_by_day(session: Session, wanted: LedgerFilter) -> dict[date, Totals]:
    """The sums of each business day on which the filter has transfers, in order of the days.

    From the roll-ups where they can tell, else from the transfers themselves.
    """
    where, names = wanted.where(of_all=True)
    if not wanted.is_whole:
        statement = sql(SUMS_OF_TRANSFERS.format(where=where))
    else:
        statement = SUMS_OF_DAYS if wanted.user_id is None else SUMS_OF_ACCOUNT_DAYS
    read = direct.Read(statement, names, is_search=bool(wanted.words))
    return {row[0]: Totals(*row[1:]) for row in direct.rows(session, read)}


def sums_by_person(
    session: Session, wanted: LedgerFilter, *, limit: int = 500
) -> list[tuple[int, str, Totals]]:
    """Whose transfers the filter holds: user id, login and sums, who earned most first."""
    where, names = wanted.where()
    statement = sql(SUMS_OF_PEOPLE.format(where=where))
    rows = session.execute(statement, {**names, "limit": limit})
    return [(row[0], row[1], Totals(*row[2:])) for row in rows]


def positions(session: Session, wanted: LedgerFilter) -> Any:
    """What was owed at the end of the period: `liabilities` to employees, `debts` of theirs.

    Of everyone, or of the filter's person; kind and words do not change what somebody is owed.
    """
    if wanted.user_id is None:
        return session.execute(POSITIONS, {"last": wanted.period.last}).one()
    names = {"last": wanted.period.last, "user_id": wanted.user_id}
    return session.execute(POSITIONS_OF, names).one()


def balances(
    session: Session, today: date, *, after: tuple[int, int] | None = None, limit: int
) -> Sequence[Any]:
    """Employees' balances, the largest debt first, with today's rewards and fees.

    `limit` + 1 of them to tell whether more follow; `after` is the balance and the account's id of
    the last one of the page above.
    """
    balance, account_id = after or (None, None)
    names = {"after_balance": balance, "after_id": account_id, "today": today, "limit": limit + 1}
    return session.execute(BALANCES, names).all()


def all_balances(session: Session) -> Any:
    """How many balances employees have, and their sum: of all, above zero, and below.

    As `all_count` and `all_sum`, `owed_count` and `owed_sum`, `debtor_count` and `debt_sum`.
    """
    return session.execute(ALL_BALANCES).one()


class Holder(NamedTuple):
    """Somebody who has an account, with its balance now in minor units."""

    user_id: int
    login: str
    balance: int


class Holders(NamedTuple):
    """Those who have an account: how many, their sum, the highest balances, and all by login.

    `by_login` is a text with a line for each of the first OFFERED_MAX: the id and the login.
    """

    all_count: int
    all_sum: int
    highest: list[Holder]
    by_login: str


def account_holders(session: Session, *, highest: int) -> Holders:
    """Those who have an account, among them those of the `highest` balances, from the top."""
    [row] = direct.rows(session, direct.Read(ACCOUNT_HOLDERS, {"highest": highest}))
    count, total, rows, by_login = row
    return Holders(count, total, [Holder(*one) for one in rows or ()], by_login)


def clock_words(session: Session) -> str:
    """The business time now, as files print it: ISO 8601 in the business time zone."""
    zone = settings.current().business_timezone
    return f"{session.execute(NOW, {'timezone': zone}).scalar_one()} {zone}"

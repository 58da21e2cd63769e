"""One's own account: the balance, today's earnings, and the statement with a running balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.kernel import settings
from app.kernel.db import sql
from app.kernel.errors import NotFound
from app.kernel.periods import Period

PAGE = 50
PAGE_MAX = 200

BALANCE_OF = sql("""
SELECT coalesce(a.balance, 0) AS balance, coalesce(d.rewards, 0) AS rewards_today,
       coalesce(d.fees, 0) AS fees_today, today.day AS business_day, business_now() AS as_of
FROM (SELECT (business_now() AT TIME ZONE :timezone)::date AS day) AS today
LEFT JOIN accounts a ON a.user_id = :user_id
LEFT JOIN account_days d ON d.account_id = a.id AND d.business_day = today.day
""")
# A page of a statement, newest first. The running balance is that of the newest row of the page,
# the balance of now less what later days and later rows of its day moved, less what the rows above
# it moved: from now backwards, since people look at recent days. It is summed up once, not for each
# row; and the account is a value, so that the index gives its rows in their order.
STATEMENT_LINES = sql("""
WITH own AS (SELECT id, balance FROM accounts WHERE user_id = :user_id),
page AS MATERIALIZED (
  SELECT t.id, t.timestamp, t.recorded_at, t.business_day, t.late, t.kind, t.delta_balance,
         t.balance_after, t.description, t.task_id, t.event_id, t.owner_account_id
  FROM account_transfers t
  WHERE t.owner_account_id = (SELECT id FROM own)
    AND t.business_day BETWEEN :first AND least(CAST(:last AS date), CAST(:before_day AS date))
    AND (t.business_day, t.id) < (coalesce(CAST(:before_day AS date), 'infinity'),
                                  coalesce(CAST(:before_id AS bigint), 0))
  ORDER BY t.business_day DESC, t.id DESC LIMIT :limit
),
newest AS (SELECT business_day, id, owner_account_id FROM page
           ORDER BY business_day DESC, id DESC LIMIT 1),
top AS MATERIALIZED (
  SELECT (SELECT balance FROM own)
       - coalesce((SELECT sum(d.delta) FROM account_days d WHERE d.account_id = n.owner_account_id
                   AND d.business_day > n.business_day), 0)
       - coalesce((SELECT sum(t.delta_balance) FROM account_transfers t
                   WHERE t.owner_account_id = n.owner_account_id
                     AND t.business_day = n.business_day AND t.id > n.id), 0) AS balance
  FROM newest n
)
SELECT page.id, page.timestamp, page.recorded_at, page.business_day, page.late, page.kind,
       page.delta_balance, page.balance_after, page.description, page.task_id, page.event_id,
       k.name AS task_name, k.ticket_key,
       (top.balance - coalesce(sum(page.delta_balance) OVER above, 0))::bigint AS running_balance
FROM page CROSS JOIN top LEFT JOIN tasks k ON k.id = page.task_id
WINDOW above AS (ORDER BY page.business_day DESC, page.id DESC
                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
ORDER BY page.business_day DESC, page.id DESC
""")
# What a period did to an account: the balance before it, its sums, the balance after it. Both ends
# are the balance of now less what came since.
PERIOD_OF = sql("""
SELECT (coalesce(max(a.balance), 0) - coalesce(sum(d.delta), 0))::bigint AS opening,
       coalesce(sum(d.fees) FILTER (WHERE d.business_day <= :last), 0)::bigint AS fees,
       coalesce(sum(d.rewards) FILTER (WHERE d.business_day <= :last), 0)::bigint AS rewards,
       coalesce(sum(d.payouts) FILTER (WHERE d.business_day <= :last), 0)::bigint AS payouts,
       coalesce(sum(d.corrections + d.payouts_reversed) FILTER (WHERE d.business_day <= :last), 0)
         ::bigint AS corrections,
       (coalesce(max(a.balance), 0)
        - coalesce(sum(d.delta) FILTER (WHERE d.business_day > :last), 0))::bigint AS closing
FROM accounts a
LEFT JOIN account_days d ON d.account_id = a.id AND d.business_day >= :first
WHERE a.user_id = :user_id
""")
EARNINGS_BY_DAY = sql("""
SELECT d.business_day, d.fees, d.rewards, d.payouts, d.delta
FROM accounts a JOIN account_days d ON d.account_id = a.id
WHERE a.user_id = :user_id AND d.business_day BETWEEN :first AND :last
ORDER BY d.business_day LIMIT 4000
""")
# A person's months, with the balance that each began from coming from those before.
MONTHS_OF = sql("""
SELECT date_trunc('month', d.business_day)::date AS month, sum(d.fees)::bigint AS fees,
       sum(d.rewards)::bigint AS rewards, sum(d.payouts)::bigint AS payouts,
       sum(d.corrections + d.payouts_reversed)::bigint AS corrections,
       sum(d.delta)::bigint AS delta, sum(d.transfers)::bigint AS transfers
FROM accounts a JOIN account_days d ON d.account_id = a.id
WHERE a.user_id = :user_id AND d.business_day BETWEEN :first AND :last
GROUP BY 1 ORDER BY 1
""")
PERSON = sql("SELECT id, login FROM users WHERE id = :user_id AND role <> 'internalservice'")


@dataclass(frozen=True, slots=True)
class Balance:
    """A balance and today's movements in minor units; earned is rewards less fees."""

    balance: int
    rewards_today: int
    fees_today: int
    business_day: date
    as_of: datetime

    @property
    def earned_today(self) -> int:
        return self.rewards_today - self.fees_today


@dataclass(frozen=True, slots=True)
class StatementSums:
    """What a period did to an account, in minor units: balances at both ends and sums between."""

    opening: int
    fees: int
    rewards: int
    payouts: int
    corrections: int
    closing: int


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Lines of a statement, newest first, each with the balance after it."""

    lines: Sequence[Any]
    has_more: bool

    @property
    def before(self) -> int | None:
        """The balance before the oldest line; None when there is no line."""
        if not self.lines:
            return None
        oldest = self.lines[-1]
        balance: int = oldest.running_balance - oldest.delta_balance
        return balance


def balance_of(session: Session, user_id: int) -> Balance:
    """The balance of a person and what today brought; zero when they have no account yet."""
    names = {"user_id": user_id, "timezone": settings.current().business_timezone}
    return Balance(*session.execute(BALANCE_OF, names).one())


def statement_sums(session: Session, user_id: int, period: Period) -> StatementSums:
    """The balances at both ends of a person's period, and its sums."""
    names = {"user_id": user_id, "first": period.first, "last": period.last}
    return StatementSums(*session.execute(PERIOD_OF, names).one())


def statement_page(
    session: Session,
    user_id: int,
    period: Period,
    *,
    before: tuple[date, int] | None = None,
    limit: int = PAGE,
) -> StatementPage:
    """A page of a person's statement; `before` is the last line of the page above."""
    day, transfer_id = before or (None, None)
    names = {"user_id": user_id, "first": period.first, "last": period.last}
    lines = session.execute(
        STATEMENT_LINES,
        {**names, "before_day": day, "before_id": transfer_id, "limit": limit + 1},
    ).all()
    return StatementPage(lines[:limit], len(lines) > limit)


def earnings_by_day(session: Session, user_id: int, period: Period) -> Sequence[Any]:
    """A person's fees, rewards, payouts and their sum, by business day."""
    names = {"user_id": user_id, "first": period.first, "last": period.last}
    return session.execute(EARNINGS_BY_DAY, names).all()


def months_of(session: Session, user_id: int, period: Period) -> Sequence[Any]:
    """A person's sums by calendar month, as far as the months lie in the period."""
    names = {"user_id": user_id, "first": period.first, "last": period.last}
    return session.execute(MONTHS_OF, names).all()


def person_of(session: Session, user_id: int) -> Any:
    """The `id` and `login` of somebody who can have an account. Raises NotFound."""
    row = session.execute(PERSON, {"user_id": user_id}).one_or_none()
    if row is None:
        raise NotFound("There is no such person")
    return row

"""The ledger in a few lines of plain Python: what every balance, day, payout and report must be."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

ONE_DAY = timedelta(days=1)
SIGNS = {"assign_fee": -1, "completion_reward": 1, "payout": -1}


@dataclass(frozen=True)
class Entry:
    """A movement on somebody's account; `undoes` is the kind that a reversal reversed."""

    user_id: int
    kind: str
    delta: int
    day: date
    undoes: str | None = None


@dataclass
class Ledger:
    """Entries, payouts, and the last day that was closed."""

    entries: list[Entry] = field(default_factory=list)
    payouts: dict[tuple[date, int], int] = field(default_factory=dict)
    closed: date | None = None

    def post(self, user_id: int, kind: str, amount: int, occurred_on: date) -> None:
        """An event of a closed day counts on the first day that is open."""
        self.entries.append(Entry(user_id, kind, SIGNS[kind] * amount, self._open(occurred_on)))

    def reverse(self, entry: Entry, today: date) -> None:
        """The same money back, on the day that is open."""
        day = self._open(today)
        self.entries.append(Entry(entry.user_id, "reversal", -entry.delta, day, entry.kind))

    def close(self, day: date) -> None:
        """Pay every positive balance of each day up to `day`, in order."""
        first = self.closed + ONE_DAY if self.closed else min(entry.day for entry in self.entries)
        while first <= day:
            for user_id, balance in self.balances(first).items():
                if balance > 0:
                    self.payouts[first, user_id] = balance
                    self.entries.append(Entry(user_id, "payout", -balance, first))
            self.closed = first
            first += ONE_DAY

    def balances(self, until: date = date.max) -> dict[int, int]:
        sums: defaultdict[int, int] = defaultdict(int)
        for entry in self.entries:
            sums[entry.user_id] += entry.delta if entry.day <= until else 0
        return dict(sums)

    def sums(
        self,
        first: date = date.min,
        last: date = date.max,
        user_id: int | None = None,
        kind: str | None = None,
    ) -> dict[str, int]:
        """Fees, rewards, income and payouts of a filter, as the report's tiles show them."""
        of: defaultdict[str, int] = defaultdict(int)
        for entry in self.entries:
            if (
                first <= entry.day <= last
                and user_id in (None, entry.user_id)
                and kind in (None, entry.kind)
            ):
                corrects = entry.undoes in ("assign_fee", "completion_reward")
                of["correction" if corrects else entry.kind] += entry.delta
        fees, rewards = -of["assign_fee"], of["completion_reward"]
        income = fees - rewards - of["correction"]
        return {"fees": fees, "rewards": rewards, "income": income, "payouts": -of["payout"]}

    def _open(self, day: date) -> date:
        return day if self.closed is None else max(day, self.closed + ONE_DAY)

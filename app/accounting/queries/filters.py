"""The one filter of the accountant's report: what tiles, charts, tables and files all go by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from app.kernel.errors import BadInput
from app.kernel.like import like_literal
from app.kernel.messages import said
from app.kernel.periods import Period

KINDS = ("assign_fee", "completion_reward", "payout", "reversal")
TEXT_MAX_LENGTH = 100
WORDS_MAX = 6
# How a task's name is found: for each transfer of a short period, as far as a page goes; for all of
# them, first among the period's tasks, each of which has several; first of all for a long period.
SHORT_DAYS = 31
_NAMED = "(w.ticket_key ILIKE :{name} OR w.name ILIKE :{name})"
_TASK_OF_EACH = f"(SELECT {_NAMED} FROM tasks w WHERE w.id = t.task_id)"
_TASKS_FIRST = f"t.task_id IN (SELECT w.id FROM tasks w WHERE {_NAMED})"
_TASKS_OF_PERIOD = f"""t.task_id IN (
  SELECT w.id FROM tasks w WHERE {_NAMED} AND w.id IN (
    SELECT p.task_id FROM account_transfers p WHERE p.business_day BETWEEN :first AND :last))"""
# What a word of the filter is looked for in.
_WORD = """(
{task}
OR t.description ILIKE :{name}
OR t.owner_account_id IN (SELECT o.id FROM accounts o JOIN users v ON v.id = o.user_id
                          WHERE v.login ILIKE :{name}))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Which transfers: a period of business days, and optionally one employee, a kind, words.

    Each word is looked for in the task's ticket key and name, the description, and the login.
    Raises BadInput for a kind that there is not, or too many characters.
    """

    period: Period
    user_id: int | None = None
    kind: str | None = None
    text: str = ""

    def __post_init__(self) -> None:
        if self.kind is not None and self.kind not in KINDS:
            raise BadInput(fields={"kind": "There is no such kind of transfer"})
        if len(self.text) > TEXT_MAX_LENGTH or "\x00" in self.text:
            raise BadInput(
                fields={"q": said("At most %(count)s characters", count=TEXT_MAX_LENGTH)}
            )

    @property
    def is_whole(self) -> bool:
        """Whether every transfer of its people counts, so that the roll-ups hold its sums."""
        return self.kind is None and not self.words

    @property
    def words(self) -> list[str]:
        return self.text.split()[:WORDS_MAX]

    def where(
        self, before: tuple[date, int] | None = None, *, of_all: bool = False
    ) -> tuple[str, dict[str, Any]]:
        """SQL conditions from a fixed list, and their parameters.

        `before` is the day and the id of the last transfer of the page that was read. `of_all`: the
        statement reads every transfer, and does not stop after a page.
        """
        conditions = ["t.business_day BETWEEN :first AND :last"]
        names: dict[str, Any] = {"first": self.period.first, "last": self.period.last}
        if before is not None:
            # The scan of the index begins at the tightest day, which the pair is not taken for.
            conditions.append("(t.business_day, t.id) < (:before_day, :before_id)")
            names |= {"before_day": before[0], "before_id": before[1]}
            names["last"] = min(self.period.last, before[0])
        if self.user_id is not None:
            conditions.append(
                "t.owner_account_id = (SELECT id FROM accounts WHERE user_id = :user_id)"
            )
            names["user_id"] = self.user_id
        if self.kind is not None:
            # A constant of KINDS, so that the index of the rare kinds can be used.
            conditions.append(f"t.kind = '{self.kind}'")
        for number, word in enumerate(self.words):
            name = f"word_{number}"
            task = self._task_named(of_all=of_all).format(name=name)
            conditions.append(_WORD.format(task=task, name=name))
            names[f"word_{number}"] = f"%{like_literal(word)}%"
        return " AND ".join(conditions), names

    def _task_named(self, *, of_all: bool) -> str:
        if self.period.days > SHORT_DAYS:
            return _TASKS_FIRST
        # What one person's transfers, or those of a rare kind, are of is soon looked up.
        is_wide = self.user_id is None and self.kind in (None, "assign_fee", "completion_reward")
        return _TASKS_OF_PERIOD if of_all and is_wide else _TASK_OF_EACH

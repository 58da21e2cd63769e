"""The one filter of the accountant's report: what tiles, charts, tables and files all go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.kernel.errors import BadInput
from app.kernel.messages import said
from app.kernel.periods import Period

KINDS = ("assign_fee", "completion_reward", "payout", "reversal")
TEXT_MAX_LENGTH = 100
WORDS_MAX = 6
# What a word of the filter is looked for in.
_WORD = """(
t.task_id IN (SELECT w.id FROM tasks w
              WHERE (coalesce(w.ticket_key, '') || ' ' || w.name) ILIKE :{name})
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

    def where(self) -> tuple[str, dict[str, Any]]:
        """SQL conditions from a fixed list, and their parameters."""
        conditions = ["t.business_day BETWEEN :first AND :last"]
        names: dict[str, Any] = {"first": self.period.first, "last": self.period.last}
        if self.user_id is not None:
            conditions.append(
                "t.owner_account_id = (SELECT id FROM accounts WHERE user_id = :user_id)"
            )
            names["user_id"] = self.user_id
        if self.kind is not None:
            # A constant of KINDS, so that the index of the rare kinds can be used.
            conditions.append(f"t.kind = '{self.kind}'")
        for number, word in enumerate(self.words):
            conditions.append(_WORD.format(name=f"word_{number}"))
            names[f"word_{number}"] = f"%{_like_literal(word)}%"
        return " AND ".join(conditions), names


def _like_literal(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

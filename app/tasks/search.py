"""The search line: words of a name, ticket keys, and words such as `state:open` that filter.

    gate AV-15 state:open assignee:kesha "12:30"

Filtering words are understood in English and Russian, whatever language the page is in, so that
an address means the same to everyone. What stands in quotes is searched for as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.kernel.errors import BadInput
from app.kernel.messages import said

MAX_LENGTH = 100
ME = frozenset({"me", "я"})
NAMES = {"state": "state", "состояние": "state", "assignee": "assignee", "исполнитель": "assignee"}
STATES = {
    "open": False,
    "открыта": False,
    "открыто": False,
    "открытые": False,
    "finished": True,
    "завершена": True,
    "завершено": True,
    "завершённые": True,
    "завершенные": True,
}
_TOKEN = re.compile(r'"([^"]*)"|(\S+)')
_FILTER = re.compile(r"([^\W\d_]+):(.*)")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}-[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search line asks for; None where it does not say."""

    words: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    is_finished: bool | None = None
    assignee: str | None = None


def parse(line: str) -> Search:
    """The search that `line` asks for. Raises BadInput, with the field `q`, for what it cannot."""
    if len(line) > MAX_LENGTH:
        raise _bad(said("At most %(count)s characters", count=MAX_LENGTH))
    words, keys, filters = [], [], dict[str, str]()
    for quoted, bare in _TOKEN.findall(line):
        named = _FILTER.fullmatch(bare)
        if named:
            name = _name(named[1])
            if name in filters:
                raise _bad(said("“%(word)s:” stands there twice", word=named[1]))
            filters[name] = _value(named[1], named[2])
        elif _KEY.fullmatch(bare):
            keys.append(bare.upper())
        elif quoted or bare:
            words.append(quoted or bare)
    state = filters.get("state")
    return Search(
        words=tuple(words),
        keys=tuple(keys),
        is_finished=None if state is None else _state(state),
        assignee=filters.get("assignee"),
    )


def filters(line: str) -> bool:
    """Whether a word of the line filters, rightly or wrongly."""
    return any(_FILTER.fullmatch(bare) for _, bare in _TOKEN.findall(line))


def _name(word: str) -> str:
    name = NAMES.get(word.lower())
    if name is None:
        raise _bad(
            said(
                "“%(word)s:” is not understood, only state: and assignee: are."
                " In quotes it is searched for as it is",
                word=word,
            )
        )
    return name


def _value(word: str, value: str) -> str:
    if not value:
        raise _bad(said("Say what after “%(word)s:”", word=word))
    return value


def _state(value: str) -> bool:
    if value.lower() not in STATES:
        raise _bad(said("A state is open or finished, not “%(value)s”", value=value))
    return STATES[value.lower()]


def _bad(message: str) -> BadInput:
    return BadInput(fields={"q": message})

"""What a page of tasks shows: its filters and its search line, from the address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import request

from app.kernel.actor import Actor
from app.kernel.db import db
from app.kernel.errors import BadInput
from app.kernel.messages import said
from app.tasks import queries, search
from app.tasks.queries import TaskFilter
from app.tasks.search import Search
from app.web.arguments import whole_number
from app.web.language import translated

STATES = {"open": False, "finished": True}
_STATE_NAMES = {None: None, False: "open", True: "finished"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The search line and the filters; a word of the line that filters wins over the filter."""

    line: str
    search: Search
    state: str | None
    assigned_to: int | None
    wanted: TaskFilter
    problem: str | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.line or self.state or self.assigned_to)

    def address(self) -> dict[str, Any]:
        """The same as an address carries it: what the line says is not said twice."""
        return {
            "q": self.line or None,
            "state": None if self.search.is_finished is not None else self.state,
            "assigned_to": None if self.search.assignee else self.assigned_to,
        }


def asked_of_board(actor: Actor) -> Asked:
    """What the board is asked for; a line that is not understood has a `problem` and no rows."""
    line, found, problem = _line()
    state, assigned_to = _state(), whole_number("assigned_to")
    people = None if assigned_to is None else [assigned_to]
    if found.is_finished is not None:
        state = _STATE_NAMES[found.is_finished]
    if found.assignee:
        people = _called(found.assignee, actor)
        assigned_to = people[0] if len(people) == 1 else None
        problem = problem or (None if people else _nobody(found.assignee))
    wanted = TaskFilter(
        is_finished=STATES[state] if state else None,
        assigned_to=people,
        words=found.words,
        keys=found.keys,
    )
    return Asked(
        line=line,
        search=found,
        state=state,
        assigned_to=assigned_to,
        wanted=wanted,
        problem=problem,
    )


def asked_of_own(actor: Actor) -> Asked:
    """The same for one's own tasks, where the line may name nobody else."""
    line, found, problem = _line()
    if found.assignee and not _is_me(found.assignee, actor):
        problem = problem or translated(said("These are your own tasks: leave out whose they are"))
    wanted = TaskFilter(
        is_finished=found.is_finished,
        assigned_to=[actor.user_id],
        words=found.words,
        keys=found.keys,
    )
    state = _STATE_NAMES[found.is_finished]
    return Asked(
        line=line, search=found, state=state, assigned_to=None, wanted=wanted, problem=problem
    )


def line_filtered_before() -> bool:
    """Whether a word of the line filtered on the page that this request came from."""
    before = parse_qs(urlsplit(request.headers.get("HX-Current-URL", "")).query)
    return search.filters(before.get("q", [""])[0])


def _line() -> tuple[str, Search, str | None]:
    line = request.args.get("q", "").strip()
    try:
        return line, search.parse(line), None
    except BadInput as error:
        return line[: search.MAX_LENGTH], Search(), translated(error.fields["q"])


def _state() -> str | None:
    state = request.args.get("state") or None
    if state is not None and state not in STATES:
        raise BadInput(fields={"state": "Open or finished"})
    return state


def _called(name: str, actor: Actor) -> list[int]:
    if name.lower() in search.ME:
        return [actor.user_id]
    return queries.people_called(db.session(), name)


def _is_me(name: str, actor: Actor) -> bool:
    return name.lower() in {*search.ME, actor.login.lower()}


def _nobody(name: str) -> str:
    return translated(said("There is no login that begins with “%(name)s”", name=name))

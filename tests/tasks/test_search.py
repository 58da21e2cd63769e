"""The search line: what it understands, what it answers to what it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from app.kernel.errors import BadInput
from app.tasks import commands
from app.tasks.search import Search, parse


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", Search()),
        ("fix  the gate", Search(words=("fix", "the", "gate"))),
        ("av-15 gate", Search(words=("gate",), keys=("AV-15",))),
        ("state:open", Search(is_finished=False)),
        ("State:FINISHED", Search(is_finished=True)),
        ("состояние:завершена исполнитель:kesha", Search(is_finished=True, assignee="kesha")),
        ("assignee:me state:open", Search(is_finished=False, assignee="me")),
        ('"state:open" "two words"', Search(words=("state:open", "two words"))),
        ("at 12:30", Search(words=("at", "12:30"))),
        ('half "open', Search(words=("half", '"open'))),
    ],
)
def test_a_line_is_understood(line: str, found: Search) -> None:
    assert parse(line) == found


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("colour:red", "“colour:” is not understood"),
        ("state:ajar", "A state is open or finished, not “ajar”"),
        ("assignee:", "Say what after “assignee:”"),
        ("state:open state:finished", "“state:” stands there twice"),
        ("x" * 101, "At most 100 characters"),
    ],
)
def test_a_word_that_is_not_understood_is_told(line: str, answer: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(line)
    assert refused.value.fields["q"].startswith(answer)


@pytest.fixture
def board(make_user: Callable[..., Any], call: Callable[..., Any]) -> dict[str, Any]:
    """A board of one employee's tasks, and the people."""
    people = {"manager": make_user("manager"), "kesha": make_user("developer", "kesha")}
    for name in ("[AV-15] Fix the gate", "[AV-150] Fix the roof", "See AV-15", "Gate at 12:30"):
        made = call(commands.create_task, people["manager"].actor, name=name)
    call(commands.complete_task, people["kesha"].actor, made.task_id)
    return people


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("av-15", {"Fix the gate", "See AV-15"}),
        ("assignee:kesha state:open gate", {"Fix the gate"}),
        ("assignee:KES gate", {"Fix the gate", "Gate at 12:30"}),
        ('state:finished "12:30"', {"Gate at 12:30"}),
        ("assignee:me", set()),
    ],
)
def test_the_board_shows_what_the_line_says(
    line: str, names: set[str], board: dict[str, Any], sign_in: Callable[..., Any]
) -> None:
    page = sign_in(board["manager"]).get(f"/tasks?q={quote(line)}")
    assert page.status_code == 200
    assert shown(page.text) == names


def test_the_choices_show_what_the_line_chose(
    board: dict[str, Any], sign_in: Callable[..., Any]
) -> None:
    page = sign_in(board["manager"]).get("/tasks?q=assignee:kesha+state:open&state=finished").text
    assert shown(page) == {"Fix the gate", "Fix the roof", "See AV-15"}
    assert '<option value="open" selected>' in page
    assert f'<option value="{board["kesha"].id}" selected>' in page
    assert ' name="state"' not in page


@pytest.mark.parametrize("line", ["colour:red", "assignee:nobody"])
def test_the_board_says_what_is_wrong_with_a_line(
    line: str, board: dict[str, Any], sign_in: Callable[..., Any]
) -> None:
    browser = sign_in(board["manager"])
    for htmx in (False, True):
        answer = browser.get(f"/tasks?q={line}", htmx=htmx)
        assert answer.status_code == 422
        assert 'id="q-error"' in answer.text
        assert shown(answer.text) == set()
    assert 'aria-describedby="q-error"' in browser.get(f"/tasks?q={line}").text


def test_others_search_their_own_tasks(
    board: dict[str, Any], sign_in: Callable[..., Any], make_user: Callable[..., Any]
) -> None:
    own = sign_in(board["kesha"])
    assert shown(own.get("/tasks/mine?q=gate+state:open").text) == {"Fix the gate"}
    assert shown(own.get("/tasks/mine?q=assignee:me+roof").text) == {"Fix the roof"}
    assert own.get("/tasks/mine?q=assignee:manager1").status_code == 422
    assert shown(sign_in(make_user("other")).get("/tasks/mine?q=gate").text) == set()


def shown(page: str) -> set[str]:
    """The names of the tasks on a page."""
    rows = page.split('<a class="name"')[1:]
    return {row.partition("</a>")[0].rpartition("> ")[2].rpartition('">')[2] for row in rows}

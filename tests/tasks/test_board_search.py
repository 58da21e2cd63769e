"""What the board finds by words, and how far it counts."""

from __future__ import annotations

import pytest

from app.tasks import queries
from app.tasks.commands import create_task, create_tasks
from app.tasks.models import Draft
from app.tasks.queries import TaskFilter
from app.tasks.queries.board import FOUND_MAX


@pytest.fixture
def names_found(session, make_user, call):
    make_user("developer")
    manager = make_user("manager").actor
    for name in ("[AV-7] Oil the gate", "[AV-71] Oil the roof", "Mend AV-cables", "Fix 100% of it"):
        call(create_task, manager, name=name)

    def names_found(text):
        return [task.name for task in queries.all_tasks(session, TaskFilter(words=text.split()))]

    return names_found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("oil", ["Oil the roof", "Oil the gate"]),
        ("ROOF oil", ["Oil the roof"]),
        ("av-7", ["Oil the roof", "Oil the gate"]),
        ("AV-", ["Mend AV-cables", "Oil the roof", "Oil the gate"]),
        ("of", ["Fix 100% of it", "Oil the roof"]),
        ("100%", ["Fix 100% of it"]),
        ("%", ["Fix 100% of it"]),
        ("zq", []),
        ("nothing", []),
    ],
)
def test_words_are_found(names_found, text, found):
    assert names_found(text) == found


def test_a_search_is_counted_up_to_a_bound_and_the_page_says_so(sign_in, make_user, call):
    make_user("developer")
    manager = make_user("manager")
    call(create_tasks, manager.actor, [Draft(f"Oil hinge {n}") for n in range(FOUND_MAX + 1)])
    page = sign_in(manager)
    assert f">{FOUND_MAX}+ tasks<" in page.get("/tasks?q=hinge").text
    assert f">{FOUND_MAX + 1} tasks<" in page.get("/tasks").text
    assert ">One task<" in page.get("/tasks?q=100").text

"""The page, its counter in every header, and marking all as read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from app.accounting.commands import request_correction
from app.kernel.unread import UNREAD_MAX
from app.notifications.queries import PAGE, TASKS_OF_A_LINE
from tests.notifications.conftest import Board

BELL = re.compile(r'data-bell="([^"]*)"')
UP_TO = re.compile(r'name="up_to" value="(\d+)"')
LINE = re.compile(r'id="told-(\d+)"')
READING = "/notifications/reading"


@pytest.fixture
def ann(make_user: Callable[..., Any]) -> Any:
    return make_user("developer", "ann")


@pytest.fixture
def bob(make_user: Callable[..., Any]) -> Any:
    return make_user("developer", "bob")


@pytest.fixture
def browser(sign_in: Callable[..., Any], ann: Any) -> Any:
    return sign_in(ann)


def bell(browser: Any, url: str = "/tasks/mine") -> str:
    [count] = BELL.findall(browser.get(url).text)
    return str(count)


def test_it_says_what_happened_and_leads_to_the_story(
    board: Board, ann: Any, bob: Any, browser: Any
) -> None:
    [task] = board.give(ann, "[AV-7] Mend <the> gate")
    board.reassign_to(bob)
    board.relay()
    page = browser.get("/notifications").text
    assert page.index("Taken from you") < page.index("Given to you"), "newest first"
    assert page.count(f'href="/tasks/{task}"') == 2
    assert "Mend &lt;the&gt; gate" in page
    assert page.count("by boris") == 2
    assert page.count("unread</span>") == 2
    assert browser.get(f"/tasks/{task}").status_code == 200, "also of a task that was taken"


def test_a_correction_says_how_much_and_why_and_leads_to_its_line(
    board: Board, ann: Any, browser: Any, make_user: Callable[..., Any]
) -> None:
    company = board.company
    board.give(ann, by=ann)
    company.post()
    [fee] = company.rows("SELECT id, amount FROM account_transfers")
    done = company.call(
        request_correction, make_user("accountant").actor, fee.id, reason="<charged> by mistake"
    )
    board.relay()
    page = browser.get("/notifications").text
    assert "Corrected</span>" in page
    assert f"+${fee.amount / 100:.2f}" in page
    assert "&lt;charged&gt; by mistake" in page
    [url] = re.findall(f'href="(/account[^"]*)#line-{done.reversal_id}"', page)
    assert f'id="line-{done.reversal_id}"' in browser.get(url.replace("&amp;", "&")).text


def test_a_correction_that_waits_rings_and_leads_to_the_decision(
    board: Board, ann: Any, make_user: Callable[..., Any], sign_in: Callable[..., Any]
) -> None:
    company = board.company
    board.give(ann, by=ann)
    company.post()
    [fee] = company.rows("SELECT id, amount FROM account_transfers")
    root, eve = make_user("administrator"), make_user("accountant", "eve")
    browser = sign_in(root)
    assert "waiting for you" not in browser.get("/analytics").text
    asked = company.call(request_correction, eve.actor, fee.id, reason="<charged> twice")
    board.relay()
    assert bell(browser, "/people") == "1"
    page = browser.get("/notifications").text
    assert "Waits for you</span>" in page
    assert f"Correction of +${fee.amount / 100:.2f}</a>" in page
    assert "&lt;charged&gt; twice" in page
    assert f'href="/corrections#correction-{asked.id}"' in page
    waiting = '<span class="badge warn">1<span class="visually-hidden"> waiting for you</span>'
    assert waiting in browser.get("/analytics").text
    browser.post(f"/corrections/{asked.id}/refusal", {"note": "It was <once>"})
    board.relay()
    assert waiting not in browser.get("/analytics").text
    page = sign_in(eve).get("/notifications").text
    assert "Refused</span>" in page
    assert "<q>It was &lt;once&gt;</q>" in page
    assert f"by {root.login}" in page


def test_many_tasks_of_one_cause_are_one_line_that_names_some(
    board: Board, ann: Any, bob: Any, browser: Any
) -> None:
    board.give(ann, *(f"own {n}" for n in range(3)), by=ann)
    board.give(bob, *(f"task {n}" for n in range(TASKS_OF_A_LINE + 2)), by=bob)
    board.reassign_to(ann)
    board.relay()
    page = browser.get("/notifications").text
    assert len(LINE.findall(page)) == 1
    assert f"{TASKS_OF_A_LINE + 2} tasks were given to you" in page
    assert "3 tasks were drawn for you again, and their fees charged again" in page
    assert page.count('class="name"') == TASKS_OF_A_LINE
    assert "and 5 more" in page


def test_the_counter_is_in_every_header_and_on_what_live_pages_ask(
    board: Board, ann: Any, browser: Any, anonymous: Any
) -> None:
    assert bell(browser) == "0"
    board.give(ann)
    board.relay()
    assert bell(browser) == bell(browser, "/account") == bell(browser, "/no-such-page") == "1"
    assert 'aria-label="Notifications, unread: 1"' in browser.get("/settings").text
    for url in ("/tasks/mine/version", "/notifications/version"):
        answer = browser.get(url)
        assert answer.headers["X-Unread"] == "1"
        again = browser.client.get(url, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.headers["X-Unread"]) == (304, "1")
    assert not BELL.findall(anonymous.get("/sign-in").text)
    assert "X-Unread" not in anonymous.get("/notifications/version").headers


def test_it_counts_to_ninety_nine(board: Board, ann: Any, browser: Any) -> None:
    insert = """
        INSERT INTO notifications (user_id, actor_id, occurred_at, given)
        SELECT :id, :id, now() - n * interval '1 s', 1 FROM generate_series(1, :n) AS n
        RETURNING id"""
    board.company.rows(insert, id=ann.id, n=UNREAD_MAX - 1)
    assert bell(browser) == "99"
    board.company.rows(insert.replace("'1 s'", "'1 h'"), id=ann.id, n=1)
    assert bell(browser) == "99+"


def test_marking_as_read_leaves_what_came_after_the_page(
    board: Board, ann: Any, browser: Any
) -> None:
    board.give(ann, "seen")
    board.relay()
    [up_to] = UP_TO.findall(browser.get("/notifications").text)
    board.give(ann, "not seen")
    board.relay()
    form = {"up_to": up_to, "idempotency_key": "once"}
    for _ in range(2):
        answer = browser.post(READING, form)
        assert (answer.status_code, answer.location) == (303, "/notifications")
    assert bell(browser) == "1"
    page = browser.get("/notifications").text
    assert page.count('class="unread"') == 1
    [newest] = UP_TO.findall(page)
    browser.post(READING, {"up_to": newest})
    assert bell(browser) == "0"
    assert not UP_TO.findall(browser.get("/notifications").text), "nothing is left to mark"


def test_nobody_reads_ahead_or_for_another(
    board: Board, ann: Any, bob: Any, browser: Any, sign_in: Callable[..., Any]
) -> None:
    board.give(ann)
    board.give(bob)
    board.relay()
    assert browser.post(READING, {"up_to": "9" * 18}).status_code == 303
    assert bell(sign_in(bob)) == "1"
    board.give(ann)
    board.relay()
    assert bell(browser) == "1", "what comes later is news, whatever was asked for"
    browser.post(READING, {"up_to": "1"})
    assert bell(browser) == "1", "and what was read stays read"
    for wrong in ("", "all", "-1", "9" * 30):
        assert browser.post(READING, {"up_to": wrong}).status_code == 422


def test_pages_are_by_key_and_lines_that_come_meanwhile_move_nothing(
    board: Board, ann: Any, bob: Any, browser: Any
) -> None:
    board.give(bob)
    for n in range(2 * PAGE + 1):
        board.company.rows(
            "INSERT INTO notifications (user_id, actor_id, occurred_at, given)"
            " VALUES (:id, :id, now() - :n * interval '1 s', 1) RETURNING id",
            id=ann.id,
            n=n,
        )
    board.relay()
    url, seen = "/notifications", []
    while url:
        page = browser.get(url, htmx=url != "/notifications").text
        seen += [int(line) for line in LINE.findall(page)]
        found = re.search(r'href="(/notifications\?cursor=\d+)"', page)
        url = found[1] if found else ""
        board.give(ann, by=ann)
        board.reassign_to(ann)
        board.relay()
    assert len(seen) == len(set(seen)) == 2 * PAGE + 1
    assert seen == sorted(seen, reverse=True)
    assert browser.get("/notifications?cursor=x").status_code == 422


def test_russian_counts_in_three_forms(board: Board, ann: Any, bob: Any, browser: Any) -> None:
    for count in (2, 5, 21):
        board.give(ann, *(f"task {n}" for n in range(count)))
    board.relay()
    browser.post("/preferences", {"lang": "ru"})
    page = browser.get("/notifications").text
    for words in ("вам даны 2 задачи", "вам дано 5 задач", "вам дана 21 задача"):
        assert words in page
    assert "Уведомления, непрочитанных: 3" in page

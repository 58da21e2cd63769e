"""Who is told what, and each of it once, however often the log is read."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from app.accounting import commands as accounting
from app.auth import commands as auth
from app.kernel.db import sql
from app.notifications import commands, queries
from app.notifications.consumer import CONSUMER
from app.notifications.models import KEEP_DAYS
from app.outbox import dead_letters
from tests.notifications.conftest import Board

FROM_THE_START = "UPDATE outbox_cursors SET xid = '0', id = 0 RETURNING consumer"
WRITE_AGAIN = """
INSERT INTO outbox (event_id, type, schema_version, task_id, user_id, actor_id, occurred_at)
SELECT event_id, type, schema_version, task_id, user_id, actor_id, occurred_at FROM outbox
RETURNING id
"""
CORRECTIONS_TOLD = """
SELECT u.login, n.asked, n.approved, n.refused, a.login AS actor
FROM notifications n JOIN users u ON u.id = n.user_id JOIN users a ON a.id = n.actor_id
WHERE n.asked + n.approved + n.refused > 0
"""
COUNTS = """
SELECT n.given + n.kept + n.taken + n.paid + n.corrected + n.asked + n.approved + n.refused AS said,
       count(e.event_id) AS there
FROM notifications n LEFT JOIN notification_events e ON e.notification_id = n.id
GROUP BY n.id
"""


@pytest.fixture
def ann(make_user: Callable[..., Any]) -> Any:
    return make_user("developer", "ann")


@pytest.fixture
def bob(make_user: Callable[..., Any]) -> Any:
    return make_user("developer", "bob")


def test_a_task_that_somebody_else_created_is_told_to_its_assignee(board: Board, ann: Any) -> None:
    board.give(ann)
    assert board.told() == [("ann", 1, 0, 0, 0, "boris")]


def test_what_one_drew_oneself_is_not_news(board: Board, ann: Any) -> None:
    board.give(ann, by=ann)
    assert board.told() == []


def test_a_task_that_moves_is_told_to_both(board: Board, ann: Any, bob: Any) -> None:
    board.give(ann, by=ann)
    board.reassign_to(bob)
    assert sorted(board.told()) == [
        ("ann", 0, 0, 1, 0, "boris"),
        ("bob", 1, 0, 0, 0, "boris"),
    ]


def test_being_drawn_again_is_told_since_it_costs_the_fee_again(board: Board, ann: Any) -> None:
    board.give(ann, by=ann)
    board.reassign_to(ann)
    assert board.told() == [("ann", 0, 1, 0, 0, "boris")]


def test_a_reassignment_is_one_line_a_person_also_over_many_batches(
    board: Board, ann: Any, bob: Any
) -> None:
    board.give(ann, *(f"task {n}" for n in range(12)), by=ann)
    board.give(bob, *(f"job {n}" for n in range(9)), by=bob)
    board.reassign_to(bob)
    board.relay(batch=4)
    assert sorted(board.told()) == [
        ("ann", 0, 0, 12, 0, "boris"),
        ("bob", 12, 9, 0, 0, "boris"),
    ]
    assert all(row.said == row.there for row in board.company.rows(COUNTS))


def test_a_line_that_was_read_is_unread_again_when_it_says_more(
    board: Board, ann: Any, bob: Any
) -> None:
    call = board.company.call
    board.give(ann, *(f"task {n}" for n in range(6)), by=ann)
    board.give(bob, by=bob)
    board.reassign_to(bob)
    board.relay(batch=9, max_batches=1)
    newest = board.company.value("SELECT max(id) FROM notifications")
    for person in (ann, bob):
        call(commands.mark_read, person.actor, up_to=newest)
        assert board.unread(person) == 0
    board.relay()
    assert [board.unread(person) for person in (ann, bob)] == [1, 1]
    board.relay()
    call(commands.mark_read, ann.actor, up_to=newest)
    assert board.unread(ann) == 0


def test_whose_task_it_was_is_known_through_a_row_of_moves(
    board: Board, ann: Any, bob: Any, make_user: Callable[..., Any]
) -> None:
    [task] = board.give(ann, by=ann)
    board.reassign_to(bob)
    board.reassign_to(bob)
    board.reassign_to(ann)
    administrator = make_user("administrator", "root")
    cas = make_user("other", "cas")
    board.company.rows("UPDATE users SET is_active = false WHERE login = 'bob' RETURNING id")
    board.company.call(auth.set_active, administrator.actor, user_id=ann.id, is_active=False)
    assert sorted(board.told()) == [
        ("ann", 0, 0, 1, 0, "boris"),  # to bob
        ("ann", 0, 0, 1, 0, "root"),  # to cas
        ("ann", 1, 0, 0, 0, "boris"),  # from bob
        ("bob", 0, 0, 1, 0, "boris"),
        ("bob", 0, 1, 0, 0, "boris"),
        ("bob", 1, 0, 0, 0, "boris"),
        ("cas", 1, 0, 0, 0, "root"),
    ]
    told = board.company.rows("SELECT DISTINCT task_id FROM notification_events")
    assert [row.task_id for row in told] == [task]
    assert cas.id == board.company.value("SELECT assigned_to FROM tasks")


def test_a_correction_is_told_to_whom_it_concerns_with_its_reason(
    board: Board, ann: Any, make_user: Callable[..., Any]
) -> None:
    company = board.company
    board.give(ann, by=ann)
    company.post()
    [fee] = company.rows("SELECT id, amount FROM account_transfers")
    asker, approver = make_user("accountant", "eve"), make_user("administrator", "root")
    asked = company.call(
        accounting.request_correction, asker.actor, fee.id, reason="charged by mistake"
    )
    board.relay()
    assert not queries.lines_of(company.session, ann.id), "nothing is reversed yet"
    done = company.call(accounting.approve_correction, approver.actor, asked.id)
    board.relay()
    [line] = queries.lines_of(company.session, ann.id)
    [told] = line.told
    assert (line.corrected, line.count, line.actor_login) == (1, 1, "root")
    assert (told.kind, told.cents, told.name) == ("corrected", fee.amount, "charged by mistake")
    assert told.transfer_id == done.reversal_id
    company.rows(FROM_THE_START)
    board.relay()
    assert len(queries.lines_of(company.session, ann.id)) == 1


@pytest.fixture
def fee(board: Board, ann: Any) -> int:
    """A transfer of ann's."""
    board.give(ann, by=ann)
    board.company.post()
    return int(board.company.value("SELECT id FROM account_transfers"))


def corrections_told(board: Board) -> list[tuple[Any, ...]]:
    """Relay, and say what corrections told: to whom, asked, approved, refused, by whom."""
    board.relay()
    return sorted(tuple(row) for row in board.company.rows(CORRECTIONS_TOLD))


def test_a_correction_is_told_to_those_who_may_approve_it_and_then_to_who_asked(
    board: Board, fee: int, make_user: Callable[..., Any]
) -> None:
    company = board.company
    eve, pat = make_user("accountant", "eve"), make_user("accountant", "pat")
    root, gone = make_user("administrator", "root"), make_user("administrator", "gone")
    company.rows("UPDATE users SET is_active = false WHERE id = :id RETURNING id", id=gone.id)
    asked = company.call(accounting.request_correction, eve.actor, fee, reason="by mistake")
    waiting = [("pat", 1, 0, 0, "eve"), ("root", 1, 0, 0, "eve")]
    assert corrections_told(board) == waiting
    [line] = queries.lines_of(company.session, root.id)
    [told] = line.told
    amount = company.value("SELECT amount FROM account_transfers WHERE id = :id", id=fee)
    assert (told.kind, told.cents, told.name) == ("asked", amount, "by mistake")
    assert told.correction_id == asked.id
    company.call(accounting.approve_correction, pat.actor, asked.id)
    assert corrections_told(board) == [("eve", 0, 1, 0, "pat"), *waiting]
    company.rows(FROM_THE_START)
    assert corrections_told(board) == [("eve", 0, 1, 0, "pat"), *waiting]
    assert all(row.said == row.there for row in company.rows(COUNTS))
    company.post()
    assert not company.broken_rules()


def test_a_refusal_is_told_to_who_asked_and_taking_back_to_nobody(
    board: Board, fee: int, make_user: Callable[..., Any]
) -> None:
    company = board.company
    eve, root = make_user("accountant", "eve"), make_user("administrator", "root")
    asked = company.call(accounting.request_correction, eve.actor, fee, reason="x")
    board.relay()
    company.call(accounting.refuse_correction, root.actor, asked.id)
    told = [("eve", 0, 0, 1, "root"), ("root", 1, 0, 0, "eve")]
    assert corrections_told(board) == told
    again = company.call(accounting.request_correction, eve.actor, fee, reason="y")
    company.call(accounting.refuse_correction, eve.actor, again.id)
    assert corrections_told(board) == told, "what is decided before it was told waits for nobody"


def test_completing_is_told_to_nobody_and_a_payout_to_whom_it_was_paid(
    board: Board, ann: Any, make_user: Callable[..., Any]
) -> None:
    company = board.company
    [task] = board.give(ann, by=ann)
    from app.tasks.commands import complete_task

    company.call(complete_task, ann.actor, task)
    assert board.told() == []
    company.post()
    today = company.value("SELECT (business_now() AT TIME ZONE 'UTC')::date")
    company.at(datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC))
    company.call(accounting.pay_to_workers, make_user("accountant").actor)
    assert board.told() == [("ann", 0, 0, 0, 1, None)]
    [line] = company.call(lambda: queries.lines_of(_session(), ann.id))
    [told] = line.told
    assert told.cents == company.value("SELECT amount FROM payouts")
    assert told.business_day == today


def _session() -> Any:
    from app.kernel.db import db

    return db.session()


@pytest.fixture
def played(board: Board, ann: Any, bob: Any) -> list[tuple[Any, ...]]:
    """What a few moves told."""
    board.give(ann, "one", "two", "three")
    board.reassign_to(bob)
    board.give(bob, "four")
    board.reassign_to(bob)
    return board.told()


def test_a_replay_of_the_whole_log_changes_nothing(board: Board, played: Any) -> None:
    board.company.rows(FROM_THE_START)
    assert board.told() == played


def test_events_that_stand_in_the_log_twice_are_told_once(board: Board, played: Any) -> None:
    board.company.rows(WRITE_AGAIN)
    assert board.told() == played
    board.company.rows(FROM_THE_START)
    board.relay(batch=3)
    assert board.told() == played
    assert all(row.said == row.there for row in board.company.rows(COUNTS))


def test_control_without_looking_what_was_told_a_replay_goes_wrong(
    board: Board, played: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = "AND k.kind = s.kind) IS NULL"
    blind = str(commands.TELL).replace(look, "AND false) IS NULL")
    assert blind != str(commands.TELL)
    monkeypatch.setattr(commands, "TELL", sql(blind))
    board.company.rows(FROM_THE_START)
    assert board.relay().parked > 0
    assert board.company.rows("SELECT FROM dead_letters")


def test_two_tellers_at_once_tell_once(board: Board, ann: Any) -> None:
    board.give(ann, *(f"task {n}" for n in range(40)))
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(board.relay, batch=7) for _ in range(3)]:
            done.result(20)
    assert board.told() == [("ann", 40, 0, 0, 0, "boris")]


def test_what_is_too_old_is_not_told(board: Board, ann: Any) -> None:
    company = board.company
    now = company.value("SELECT business_now()")
    company.at(now - timedelta(days=KEEP_DAYS, minutes=5))
    board.give(ann)
    company.at(now)
    assert board.told() == []
    board.give(ann)
    assert board.told() == [("ann", 1, 0, 0, 0, "boris")]


def test_an_event_that_cannot_be_told_is_parked_for_this_consumer_alone(
    board: Board, ann: Any
) -> None:
    company = board.company
    board.give(ann)
    company.rows(
        "INSERT INTO outbox (type, schema_version, user_id) VALUES ('PayoutMade', 1, 1000000000)"
        " RETURNING id"
    )
    board.give(ann)
    assert board.relay().parked == 1
    assert company.post().parked == 0
    [letter] = company.rows("SELECT consumer, type, cause FROM dead_letters")
    assert (letter.consumer, letter.type) == ("notifications", "PayoutMade")
    assert "notifications_user_id_fkey" in letter.cause
    assert len(board.told()) == 2
    assert not company.rows("SELECT FROM account_transfers WHERE kind = 'payout'")


def test_a_letter_of_an_event_that_is_none_of_its_business_is_done_with(
    board: Board, ann: Any
) -> None:
    company = board.company
    board.give(ann)
    board.relay()
    company.rows(
        "INSERT INTO dead_letters (consumer, event_id, xid, outbox_id, type, cause, fingerprint)"
        " SELECT 'notifications', event_id, xid, id, type, 'unknown', '' FROM outbox"
        " RETURNING id"
    )
    deaf = type(CONSUMER)(CONSUMER.name, (), CONSUMER.post)
    [letter] = company.rows("SELECT id FROM dead_letters")
    assert company.call(dead_letters.retry, deaf, letter.id)
    assert company.value("SELECT state::text FROM dead_letters") == "retried"


@pytest.mark.parametrize("seed", range(2))
def test_the_counter_is_the_lines_beyond_what_was_read(
    board: Board, make_user: Callable[..., Any], seed: int
) -> None:
    random = Random(seed)
    people = [make_user("developer") for _ in range(3)]
    company = board.company
    read = dict.fromkeys((person.id for person in people), 0)
    for _ in range(25):
        person = random.choice(people)
        step = random.choice(("give", "give", "reassign", "relay", "read", "replay"))
        if step == "give":
            board.give(person, *(f"task {n}" for n in range(random.randint(1, 3))))
        elif step == "reassign":
            board.reassign_to(person)
        elif step == "relay":
            board.relay(batch=random.randint(1, 5), max_batches=random.randint(1, 9))
        elif step == "replay":
            company.rows(FROM_THE_START)
        else:
            up_to = company.value("SELECT coalesce(max(id), 0) FROM notifications")
            company.call(commands.mark_read, person.actor, up_to=up_to)
            own = "SELECT coalesce(max(id), 0) FROM notifications WHERE user_id = :id"
            read[person.id] = company.value(own, id=person.id)
        for one in people:
            lines = company.call(lambda one=one: queries.lines_of(_session(), one.id, limit=500))
            unread = board.unread(one)
            assert unread == len([line for line in lines if line.id > read[one.id]])
            assert unread == len([line for line in lines if line.is_unread])
    board.relay()
    assert all(row.said == row.there for row in company.rows(COUNTS))

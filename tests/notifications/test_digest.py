"""The digest: by choice, one a person and day, with what is unread since the last."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.accounting.commands import request_correction
from app.notifications import commands
from app.notifications.commands import DIGEST_HOUR
from app.payments.commands import send_due_mail
from tests.notifications.conftest import Board

MAILS = """
SELECT e.dedupe_key, e.message_id, u.login FROM emails e JOIN users u ON u.id = e.user_id
WHERE kind = 'digest' ORDER BY e.id
"""


class Morning:
    """The company's mornings: `queue()` runs the schedule's job, `next_day()` is a day later."""

    def __init__(self, board: Board) -> None:
        self.company = board.company
        today = self.company.value("SELECT (business_now() AT TIME ZONE 'UTC')::date")
        self.at = datetime(today.year, today.month, today.day, DIGEST_HOUR, 1, tzinfo=UTC)
        self.company.at(self.at)

    def next_day(self) -> None:
        self.at += timedelta(days=1)
        self.company.at(self.at)

    def queue(self) -> int:
        queued: int = self.company.call(commands.queue_digests)
        return queued


@pytest.fixture
def morning(board: Board) -> Morning:
    return Morning(board)


@pytest.fixture
def reader(board: Board, make_user: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a login: somebody who chose the digest, unless digest="off"."""

    def make(login: str, digest: str = "daily", locale: str | None = None) -> Any:
        person = make_user("developer", login)
        board.company.rows(
            "UPDATE users SET digest = :digest, locale = :locale WHERE id = :id RETURNING id",
            digest=digest,
            locale=locale,
            id=person.id,
        )
        return person

    return make


def test_it_comes_by_choice_and_only_when_something_is_unread(
    board: Board, morning: Morning, reader: Any
) -> None:
    ann, bob, cas, dan = (
        reader("ann"),
        reader("bob", digest="off"),
        reader("cas"),
        reader("dan"),
    )
    for person in (ann, bob, cas):
        board.give(person)
    board.relay()
    newest = board.company.value("SELECT max(id) FROM notifications")
    board.company.call(commands.mark_read, cas.actor, up_to=newest)
    assert morning.queue() == 1
    assert [row.login for row in board.company.rows(MAILS)] == ["ann"]
    assert dan.login not in str(board.company.rows(MAILS)), "nothing happened to them"


def test_there_is_one_a_day_and_nothing_is_told_in_two(
    board: Board, morning: Morning, reader: Any
) -> None:
    ann = reader("ann")
    board.give(ann, "first")
    board.relay()
    assert morning.queue() == 1
    board.give(ann, "second")
    board.relay()
    assert morning.queue() == 0, "today's was sent"
    morning.next_day()
    assert morning.queue() == 1
    morning.next_day()
    assert morning.queue() == 0, "nothing new, though nothing was read"
    mails = board.company.rows(MAILS)
    assert len({mail.message_id for mail in mails}) == len(mails) == 2
    ranges = board.company.rows(
        "SELECT after_notification, up_to_notification FROM emails ORDER BY id"
    )
    assert ranges[0].up_to_notification == ranges[1].after_notification


def test_not_before_the_morning(board: Board, morning: Morning, reader: Any) -> None:
    board.give(reader("ann"))
    board.relay()
    board.company.at(morning.at - timedelta(hours=1))
    assert morning.queue() == 0
    board.company.at(morning.at)
    assert morning.queue() == 1


def test_two_schedulers_at_once_queue_one(board: Board, morning: Morning, reader: Any) -> None:
    for number in range(5):
        board.give(reader(f"person{number}"))
    board.relay()
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda _: morning.queue(), range(4))) == 5
    assert len(board.company.rows(MAILS)) == 5


def test_a_correction_is_in_the_mail_with_its_sign(
    board: Board,
    morning: Morning,
    reader: Any,
    mail_server: Any,
    make_user: Callable[..., Any],
) -> None:
    server, company = mail_server(), board.company
    ann = reader("ann")
    board.give(ann, by=ann)
    company.post()
    [fee] = company.rows("SELECT id, amount FROM account_transfers")
    company.call(request_correction, make_user("accountant", "eve").actor, fee.id, reason="twice")
    board.relay()
    morning.queue()
    company.call(send_due_mail)
    [message] = server.temper.given
    text = message.get_body(("plain",)).get_content()
    assert f"Corrected: +${fee.amount / 100:.2f} (eve)" in text


def test_a_correction_that_waits_is_in_the_mail(
    board: Board,
    morning: Morning,
    reader: Any,
    mail_server: Any,
    make_user: Callable[..., Any],
) -> None:
    server, company = mail_server(), board.company
    board.give(reader("ann", digest="off"))
    company.post()
    [fee] = company.rows("SELECT id, amount FROM account_transfers")
    root = reader("root")
    company.rows("UPDATE users SET role = 'administrator' WHERE id = :id RETURNING id", id=root.id)
    company.call(request_correction, make_user("accountant", "eve").actor, fee.id, reason="twice")
    board.relay()
    assert morning.queue() == 1
    company.call(send_due_mail)
    [message] = server.temper.given
    text = message.get_body(("plain",)).get_content()
    assert f"Correction to approve: +${fee.amount / 100:.2f} (eve)" in text


def test_the_mail_says_it_as_text_and_html(
    board: Board, morning: Morning, reader: Any, mail_server: Any
) -> None:
    server = mail_server()
    ann, bob = reader("ann"), reader("bob", digest="off")
    board.give(ann, "[AV-7] Mend <the> gate")
    board.give(bob, *(f"task {n}" for n in range(4)), by=bob)
    board.reassign_to(ann)
    board.relay()
    morning.queue()
    assert board.company.call(send_due_mail) == 1
    [message] = server.temper.given
    [mail] = board.company.rows(MAILS)
    assert message["To"] == "ann@ates.test"
    assert message["Message-ID"] == mail.message_id
    assert message["Subject"] == "Unread notifications: 2"
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    assert "Given to you: AV-7 Mend <the> gate (boris)" in text
    assert "AV-7 Mend &lt;the&gt; gate" in html
    assert "Given to you: 4, Yours again, and charged again: 1 (boris)" in text
    for part in (text, html):
        assert "http://localhost/notifications" in part
        assert "http://localhost/settings" in part


def test_it_speaks_the_readers_language(
    board: Board, morning: Morning, reader: Any, mail_server: Any
) -> None:
    server = mail_server()
    board.give(reader("ann", locale="ru"))
    board.relay()
    morning.queue()
    board.company.call(send_due_mail)
    [message] = server.temper.given
    assert message["Subject"] == "Непрочитанных уведомлений: 1"
    assert "Дано вам: Feed the birds" in message.get_body(("plain",)).get_content()


def test_a_long_one_is_cut_and_says_so(
    board: Board, morning: Morning, reader: Any, mail_server: Any
) -> None:
    server = mail_server()
    ann = reader("ann")
    for _ in range(32):
        board.give(ann)
    board.relay()
    morning.queue()
    board.company.call(send_due_mail)
    [message] = server.temper.given
    text = message.get_body(("plain",)).get_content()
    assert message["Subject"] == "Unread notifications: 32"
    assert text.count("Feed the birds") == 30
    assert "in 2 notifications" in text


def test_accountants_see_it_among_the_mails(
    board: Board, morning: Morning, reader: Any, make_user: Any, sign_in: Any
) -> None:
    board.give(reader("ann"))
    board.relay()
    morning.queue()
    assert "Digest" in sign_in(make_user("accountant")).get("/mail").text

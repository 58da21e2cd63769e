"""Sending mail to real servers that refuse, hang, drop, are slow, and come back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from app.kernel import settings as kernel_settings
from app.payments import commands
from tests.company import Company
from tests.payments.conftest import Temper

ONE = """
SELECT state::text, attempts, last_error, message_id, due_at > now() AS later FROM emails
"""
DUE = "UPDATE emails SET due_at = now() WHERE state = 'queued' RETURNING id"


def send(company: Company, **options: Any) -> int:
    sent: int = company.call(commands.send_due_mail, **{"timeout_s": 2.0, **options})
    return sent


def test_a_payout_is_told_once(company: Company, mail_server: Any, paid: Any) -> None:
    server = mail_server()
    [person] = paid()
    assert send(company) == 1
    assert send(company) == 0
    [message] = server.temper.given
    [mail] = company.rows(ONE)
    amount = company.value("SELECT amount FROM payouts")
    assert message["To"] == f"{person.login}@ates.test"
    assert message["Message-ID"] == mail.message_id
    assert f"${amount // 100}.{amount % 100:02d}" in message["Subject"]
    assert (mail.state, mail.attempts) == ("sent", 1)
    company.post()
    assert not company.broken_rules()


def test_it_holds_the_lines_that_made_the_sum_as_text_and_html(
    company: Company, mail_server: Any, paid: Any
) -> None:
    server = mail_server()
    paid()
    send(company)
    [message] = server.temper.given
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    fee, reward = (
        company.value("SELECT assign_price FROM task_prices"),
        company.value("SELECT complete_price FROM task_prices"),
    )
    for cents in (fee, reward, reward - fee):
        assert f"{cents // 100}.{cents % 100:02d}" in text
        assert f"{cents // 100}.{cents % 100:02d}" in html
    assert "KEY-1 Feed <the> {bird}" in text
    assert "KEY-1 Feed &lt;the&gt; {bird}" in html


def test_it_speaks_the_language_that_the_person_chose(
    company: Company, mail_server: Any, paid: Any
) -> None:
    server = mail_server()
    paid(locale="ru")
    send(company)
    [message] = server.temper.given
    assert message["Subject"].startswith("Выплата за")
    assert "Награда за выполнение" in message.get_body(("html",)).get_content()


def test_a_busy_server_is_tried_again_later(company: Company, mail_server: Any, paid: Any) -> None:
    server = mail_server(Temper(data="451 come back later"))
    paid()
    assert send(company) == 0
    [mail] = company.rows(ONE)
    assert (mail.state, mail.attempts, mail.later) == ("queued", 1, True)
    assert "451" in mail.last_error
    assert send(company) == 0, "not before it is due"
    server.temper.data = "250 OK"
    company.rows(DUE)
    assert send(company) == 1
    first, second = server.temper.given
    assert first["Message-ID"] == second["Message-ID"]


def test_a_mailbox_that_does_not_exist_fails_at_once(
    company: Company, mail_server: Any, paid: Any
) -> None:
    mail_server(Temper(rcpt="550 no such mailbox"))
    paid()
    send(company)
    [mail] = company.rows(ONE)
    assert (mail.state, mail.attempts) == ("failed", 1)
    assert "550 no such mailbox" in mail.last_error


def test_a_server_that_drops_before_250_gets_the_same_mail_again(
    company: Company, mail_server: Any, paid: Any
) -> None:
    server = mail_server(Temper(drops_after_data=True))
    paid()
    assert send(company) == 0
    [mail] = company.rows(ONE)
    assert (mail.state, mail.attempts) == ("queued", 1)
    assert "handed over, but not answered" in mail.last_error
    server.temper.drops_after_data = False
    company.rows(DUE)
    assert send(company) == 1
    assert len({message["Message-ID"] for message in server.temper.given}) == 1
    assert len(company.rows("SELECT FROM payouts")) == 1


def test_one_that_never_answers_ends_as_unknown(
    company: Company, mail_server: Any, paid: Any
) -> None:
    server = mail_server(Temper(hangs_after_data=threading.Event()))
    paid()
    company.rows("UPDATE emails SET attempts = 7 RETURNING id")
    assert send(company, timeout_s=0.3) == 0
    [mail] = company.rows(ONE)
    assert (mail.state, mail.attempts) == ("unknown", 8)
    assert server.temper.given, "it was handed over"


def test_a_server_that_is_away_delays_mail_and_nothing_else(
    company: Company, mail_server: Any, paid: Any, make_user: Callable[..., Any]
) -> None:
    server = mail_server()
    server.stop()
    paid(4)
    assert len(company.rows("SELECT FROM payouts")) == 4, "the payouts are made"
    assert send(company) == 0
    states = company.rows("SELECT attempts FROM emails ORDER BY attempts DESC")
    assert [row.attempts for row in states] == [1, 1, 0, 0], "it is left alone after two attempts"
    server.start()
    company.rows(DUE)
    assert send(company) == 4
    company.post()
    assert not company.broken_rules()


def test_backoff_doubles_with_jitter(company: Company, mail_server: Any, paid: Any) -> None:
    server = mail_server()
    server.stop()
    paid()
    waits = []
    for _ in range(8):
        company.rows(DUE)
        send(company)
        waits.append(company.value("SELECT extract(epoch FROM due_at - now()) FROM emails"))
    for number, wait in enumerate(waits[:7]):
        assert 0.5 * 30 * 2**number - 5 < wait < 1.5 * 30 * 2**number
    assert company.value("SELECT state::text FROM emails") == "failed"


def test_two_senders_at_once_send_each_mail_once(
    company: Company, mail_server: Any, paid: Any
) -> None:
    server = mail_server()
    paid(6)
    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(lambda _: send(company), range(3))) == 6
    assert len(server.temper.given) == 6


def test_a_lease_that_is_over_is_taken_up_by_another(
    company: Company, mail_server: Any, paid: Any
) -> None:
    server = mail_server()
    paid()
    company.rows(
        "UPDATE emails SET state = 'sending', attempts = 1, leased_until = now() + interval '1 min'"
        " RETURNING id"
    )
    assert send(company) == 0, "its sender is at work"
    company.rows("UPDATE emails SET leased_until = now() - interval '1 s' RETURNING id")
    assert send(company) == 1
    assert server.temper.taken == 1


@pytest.mark.parametrize(
    "address",
    [
        "a@b.test\r\nBcc: everyone@b.test",
        "a@b.test, c@b.test",
        "a@b.test\nSubject: x",
        "nobody",
        "",
        "попугай@b.test",
    ],
)
def test_what_is_not_one_address_is_never_sent(
    company: Company, mail_server: Any, paid: Any, owner_url: str, address: str
) -> None:
    server = mail_server()
    paid()
    with _owner(owner_url) as connection:
        connection.exec_driver_sql("ALTER TABLE users DROP CONSTRAINT IF EXISTS users_email_check")
        connection.exec_driver_sql(
            "UPDATE users SET email = %s WHERE role = 'developer'", (address,)
        )
    assert send(company) == 0
    [mail] = company.rows(ONE)
    assert mail.state == "failed"
    assert not server.temper.given


def test_without_a_server_it_becomes_a_file(company: Company, paid: Any) -> None:
    paid()
    assert send(company) == 1
    message_id = company.value("SELECT message_id FROM emails")
    folder = company.settings.data_dir / "mail"
    assert (folder / f"{message_id.strip('<>')}.eml").is_file()


def test_a_password_is_not_sent_in_the_clear(company: Company, mail_server: Any, paid: Any) -> None:
    mail_server()
    paid()
    kernel_settings.use(replace(company.settings, smtp_url="smtp://name:secret@mail.test:2525"))
    assert send(company, timeout_s=0.2) == 0
    assert "secret" not in company.value("SELECT last_error FROM emails")


def _owner(url: str) -> Any:
    import sqlalchemy as sa

    return sa.create_engine(url, poolclass=sa.pool.NullPool).begin()

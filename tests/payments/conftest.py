"""A company whose payouts are due to be told, and mail servers of every temper."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from app.accounting import commands as accounting
from app.kernel import settings as kernel_settings
from app.kernel.settings import Settings
from app.tasks import commands as tasks
from tests.company import Company, company

__all__ = ["company", "mail_server", "paid"]


@dataclass
class Temper:
    """How a mail server behaves, and what it was given; `taken` counts what it answered 250 to."""

    rcpt: str = "250 OK"
    data: str = "250 OK"
    drops_after_data: bool = False
    hangs_after_data: threading.Event | None = None
    given: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    taken: int = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.rcpt.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.given.append(message)
        self.recipients.append(list(envelope.rcpt_tos))
        if self.drops_after_data:
            server.transport.abort()
        if self.hangs_after_data is not None:
            await server.loop.run_in_executor(None, self.hangs_after_data.wait, 30)
        self.taken += self.data.startswith("250")
        return self.data


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class MailServer:
    """A real SMTP server on loopback, which can go away and come back on the same port."""

    temper: Temper
    options: dict[str, Any] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    _controller: Controller | None = None

    def start(self) -> None:
        self._controller = Controller(
            self.temper, port=self.port, **{"hostname": "127.0.0.1", **self.options}
        )
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            if self.temper.hangs_after_data is not None:
                self.temper.hangs_after_data.set()
            self._controller.stop()
            self._controller = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@pytest.fixture
def mail_server(settings: Settings, company: Company) -> Iterator[Callable[..., MailServer]]:
    """A function of a Temper: starts such a server and makes the app send to it."""
    started: list[MailServer] = []

    def make(temper: Temper | None = None, **options: Any) -> MailServer:
        server = MailServer(temper or Temper(), options)
        server.start()
        started.append(server)
        kernel_settings.use(replace(settings, smtp_url=server.url))
        return server

    yield make
    for server in started:
        server.stop()


@pytest.fixture
def paid(company: Company, make_user: Callable[..., Any]) -> Callable[..., list[Any]]:
    """A function of n: n developers with a payout each, whose mails are queued."""

    def activate(user_ids: list[int]) -> None:
        company.rows(
            "UPDATE users SET is_active = (id = ANY (:ids)) WHERE role = 'developer' RETURNING id",
            ids=user_ids,
        )

    def make(number: int = 1, **columns: Any) -> list[Any]:
        people = [make_user("developer") for _ in range(number)]
        for person in people:
            for name, value in columns.items():
                company.rows(
                    f"UPDATE users SET {name} = :value WHERE id = :id RETURNING id",
                    value=value,
                    id=person.id,
                )
            activate([person.id])
            task = company.call(tasks.create_task, person.actor, name="[KEY-1] Feed <the> {bird}")
            company.call(tasks.complete_task, person.actor, task.task_id)
        activate([person.id for person in people])
        close_today(company, make_user)
        return people

    return make


def close_today(company: Company, make_user: Callable[..., Any]) -> None:
    """Move the clock an hour past midnight and close the day before."""
    tomorrow = company.value("SELECT (business_now() AT TIME ZONE 'UTC')::date + 1")
    company.at(datetime.combine(tomorrow, time(1), UTC))
    payer = make_user("internalservice")
    company.call(accounting.pay_to_workers, payer.actor)

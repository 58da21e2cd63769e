"""Rows 14 and 15: a mail server that refuses, hangs after DATA, or drops before it says 250."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from random import Random
from typing import Any

from flask import Flask

from app.accounting import commands as accounting
from app.accounting.consumer import CONSUMER
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.db import db, in_transaction, sql
from app.kernel.policy import Role
from app.outbox import relay
from app.payments import commands as payments
from tests.faults.storm import Stage
from tests.faults.verdict import Outcome
from tests.oracle import findings

EARN = sql("""
INSERT INTO tasks (name, assigned_to, created_by)
SELECT 'Mend ' || id, id, id FROM users WHERE role = 'developer' RETURNING id, assigned_to
""")
MAILS = sql("SELECT state::text, attempts, message_id, last_error FROM emails ORDER BY id")
LATER = sql("UPDATE emails SET due_at = now() - interval '1 second' WHERE state = 'queued'")
PAID = sql("SELECT count(*), count(DISTINCT account_id) FROM payouts")
IS_DUE = sql("SELECT EXISTS (SELECT FROM emails WHERE state = 'queued' AND due_at <= now())")
DUE_LATER = sql("SELECT count(*) FROM emails WHERE state = 'queued' AND due_at > now()")
TIMEOUT_S = 0.3


class MailServer:
    """A server of SMTP that ends each session in its own way: `refuse`, `hang`, `drop`, `take`."""

    def __init__(self) -> None:
        self.manner = "take"
        self.taken: list[Any] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stop = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._stop.set()
        self._listener.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file, contextlib.suppress(OSError):
            self._say(file, "220 ready")
            for line in file:
                word = line.split()[0].upper()
                if word == b"MAIL" and self.manner == "refuse":
                    self._say(file, "451 come back later")
                elif word == b"DATA":
                    self._say(file, "354 go on")
                    if not self._took(file):
                        return
                else:
                    self._say(file, "250 ok")

    def _took(self, file: Any) -> bool:
        lines = []
        for line in file:
            if line == b".\r\n":
                break
            lines.append(line)
        self.taken.append(message_from_bytes(b"".join(lines)))
        if self.manner == "hang":
            self._stop.wait(4 * TIMEOUT_S)
        if self.manner != "take":
            return False
        self._say(file, "250 taken")
        return True

    @staticmethod
    def _say(file: Any, words: str) -> None:
        file.write(words.encode() + b"\r\n")
        file.flush()


def refuses(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """It refuses, and hangs after DATA: payouts stand, mail waits longer and longer, then fails."""
    with _paid_company(stage) as (app, server):
        not_sent = payments.NOT_SENT
        if sabotaged:  # no backoff and no end of it
            statement = "UPDATE emails SET state = 'queued', leased_until = NULL WHERE id = :id"
            payments.NOT_SENT = sql(statement)
        try:
            outcome = Outcome()
            for attempt in range(payments.MAX_ATTEMPTS):
                server.manner = "hang" if attempt == 1 and not sabotaged else "refuse"
                _try_to_send(outcome, waits=attempt < payments.MAX_ATTEMPTS - 1)
                if sabotaged and outcome.wrong:  # nor will the rest be better
                    break
        finally:
            payments.NOT_SENT = not_sent
        states = {row.state for row in db.session.execute(MAILS)}
        outcome.check(states <= {"failed", "unknown"}, f"in the end the mails were {states}")
        _check_payouts(outcome, stage, app)
        return outcome


def drops(stage: Stage, dice: Random, *, sabotaged: bool) -> Outcome:
    """It takes a mail and drops the connection: the mail comes again, with the same Message-ID."""
    with _paid_company(stage) as (app, server):
        message = payments._message
        if sabotaged:  # each attempt is a new mail
            payments._message = lambda session, lease: _renamed(message(session, lease), dice)
        try:
            outcome = Outcome()
            for manner in ("drop", "drop", "take"):
                server.manner = manner
                _send_all(outcome)
        finally:
            payments._message = message
        known = {row.message_id for row in db.session.execute(MAILS)}
        seen = {mail["Message-ID"] for mail in server.taken}
        outcome.check(len(server.taken) > len(seen), "no mail came twice")
        outcome.check(seen == known, f"{len(seen)} different mails came of {len(known)}")
        _check_payouts(outcome, stage, app)
        return outcome


@contextlib.contextmanager
def _paid_company(stage: Stage) -> Iterator[tuple[Flask, MailServer]]:
    server = MailServer()
    with stage.system.app(smtp_url=server.url) as app, app.app_context():
        try:
            for employee in _completed_tasks():
                relay.drain(CONSUMER)
                assert employee
            in_transaction(_tomorrow)
            accounting.pay_to_workers(Actor(_someone("ann"), "ann", Role.ACCOUNTANT))
            yield app, server
        finally:
            server.close()


def _completed_tasks() -> list[int]:
    """Each developer completes a task that they were not charged for; returns who."""
    from app.tasks.commands import complete_task

    tasks = in_transaction(lambda session: session.execute(EARN).all())
    for task_id, user_id in tasks:
        complete_task(Actor(user_id, "parrot", Role.DEVELOPER), task_id)
    return [user_id for _, user_id in tasks]


def _someone(login: str) -> int:
    found = db.session.execute(sql("SELECT id FROM users WHERE login = :login"), {"login": login})
    return int(found.scalar_one())


def _tomorrow(session: Any) -> None:
    day = clock.today(session, "UTC") + timedelta(days=1)
    clock.move_to(session, clock.start_of(session, day, "UTC"))


def _try_to_send(outcome: Outcome, *, waits: bool) -> None:
    """One round for every mail; those not sent must be put off."""
    _send_all(outcome)
    if waits:
        late = db.session.execute(DUE_LATER).scalar_one()
        total = len(db.session.execute(MAILS).all())
        db.session.rollback()
        outcome.check(late == total, f"{late} of {total} mails were put off")


def _send_all(outcome: Outcome) -> None:
    in_transaction(lambda session: session.execute(LATER))
    for _ in range(8):  # a round gives up early when the server is away
        if not in_transaction(lambda session: session.execute(IS_DUE).scalar_one()):
            return
        outcome.acknowledged += payments.send_due_mail(timeout_s=TIMEOUT_S)
        outcome.attempts += 1


def _check_payouts(outcome: Outcome, stage: Stage, app: Flask) -> None:
    relay.drain(CONSUMER)
    paid, accounts = db.session.execute(PAID).one()
    db.session.rollback()
    outcome.lost += int(paid == 0)
    outcome.doubled += paid - accounts
    outcome.check(paid == accounts > 0, f"{paid} payouts to {accounts} accounts")
    rules = dict(_broken(stage, app))
    # The tasks were put in place without a log entry, so that nobody was charged for them.
    rules.pop("each task follows create, assign*, complete", None)
    outcome.wrong += [f"{rule}: {rows[:3]}" for rule, rows in rules.items()]


def _broken(stage: Stage, app: Flask) -> dict[str, list[Any]]:
    import psycopg

    with psycopg.connect(app.config["SETTINGS"].database_url) as connection:
        return findings(connection)


def _renamed(mail: Any, dice: Random) -> Any:
    del mail["Message-ID"]
    mail["Message-ID"] = f"<{dice.getrandbits(64):x}@ates>"
    return mail

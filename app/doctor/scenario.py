"""The planned scenarios, played by the real commands on tables that only the player sees.

A temporary table takes the place of each table of the board and the ledger for one connection:
the same statements, constraints and types run on the same server, in committed transactions, and
nobody's task, money or mail is touched. They are gone when the connection is closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta

from flask import Flask
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from app.accounting import commands as accounting
from app.guardian.checks import CHECKS
from app.guardian.scenario import PAYOUT
from app.kernel import clock, settings
from app.kernel.actor import Actor
from app.kernel.db import command, db, engine_options, in_transaction, sql
from app.kernel.errors import AtesError, Conflict, NotFound, Unavailable
from app.kernel.policy import Role
from app.outbox import relay
from app.tasks import commands as tasks
from app.tasks.models import Draft

TABLES = (
    "users",
    "tasks",
    "logs",
    "reassignments",
    "outbox",
    "outbox_cursors",
    "outbox_partitions",
    "dead_letters",
    "business_days",
    "task_prices",
    "accounts",
    "account_transfers",
    "account_days",
    "ledger_days",
    "ledger_blocks",
    "payouts",
    "emails",
    "audit_log",
)
PEOPLE = (
    ("doctor-manager", Role.MANAGER),
    ("doctor-accountant", Role.ACCOUNTANT),
    ("doctor-one", Role.DEVELOPER),
    ("doctor-two", Role.OTHER),
)
TASKS = 6
PATIENCE_S = 10.0

HIRE = sql("""
INSERT INTO users (role, login, email, hash)
VALUES (CAST(:role AS user_role), :login, :login || '@doctor.invalid', '$argon2id$none')
RETURNING id
""")
OPEN_COMPANY = sql("""
INSERT INTO accounts (kind, currency)
VALUES ('company_income', 'XXX'), ('company_expense', 'XXX'), ('payroll_clearing', 'XXX')
""")
ASSIGNEE = sql("SELECT assigned_to FROM tasks WHERE id = :task_id")
# What was played today happened yesterday, so that its day can be closed.
BACKDATE = sql("UPDATE outbox SET occurred_at = occurred_at - interval '1 day'")
MONEY = sql("""
SELECT count(*) AS transfers, coalesce(min(p.assign_price), 0) AS fee_min,
       coalesce(max(p.assign_price), 0) AS fee_max,
       coalesce(min(p.complete_price), 0) AS reward_min,
       coalesce(max(p.complete_price), 0) AS reward_max
FROM account_transfers t JOIN task_prices p ON p.task_id = t.task_id
""")
IN_CREDIT = sql(f"""
SELECT count(*), coalesce(sum(balance), 0) FROM accounts WHERE balance > {PAYOUT.above_cents}
""")
MAILS = sql(f"SELECT count(*) FROM emails WHERE kind = '{PAYOUT.mail}'")


class NotAsPlanned(Exception):
    """A scenario did not go as it is planned; the message says where."""


@dataclass(frozen=True, slots=True)
class Played:
    """What was played: for the line that says so."""

    tasks: int
    events: int
    paid: int

    def __str__(self) -> str:
        return f"{self.tasks} tasks, {self.events} events posted, {self.paid} paid, all as planned"


def play() -> Played:
    """Play create → assign → complete, the posting and the closing of a day.

    Raises NotAsPlanned, saying what went otherwise.
    """
    with _own_tables():
        try:
            return _play()
        except AtesError as error:
            raise NotAsPlanned(f"{type(error).__name__}: {error.message}") from error


def _play() -> Played:
    people = _hire()
    manager, accountant = people["doctor-manager"], people["doctor-accountant"]
    by_id = {actor.user_id: actor for actor in people.values()}
    made = tasks.create_tasks(manager, [Draft(f"Doctor's task {n}") for n in range(TASKS)])
    _expect(len(made) == TASKS, "not every task was created")
    _expect(manager.user_id not in {task.assigned_to for task in made}, "a manager was assigned")
    for task in made[1:]:
        tasks.complete_task(by_id[task.assigned_to], task.task_id)
    _expect_refusals(made[1].task_id, by_id[made[1].assigned_to], manager)
    _expect(tasks.reassign_tasks(manager).count == 1, "not every open task was assigned again")
    tasks.complete_task(by_id[_assignee_of(made[0].task_id)], made[0].task_id)
    events = 2 * TASKS + 1
    _backdate()
    drained = relay.drain(accounting.ACCOUNTING, patience_s=PATIENCE_S)
    _expect(drained.events == events, f"{drained.events} of {events} events were posted")
    _expect(drained.parked == 0, "an event was parked as a dead letter")
    _expect_prices(events)
    _expect_conformance()
    paid = _close(accountant)
    _expect_conformance()
    return Played(TASKS, events, paid)


def _expect_refusals(task_id: int, assignee: Actor, stranger: Actor) -> None:
    for actor, refusal in ((assignee, Conflict), (stranger, NotFound)):
        try:
            tasks.complete_task(actor, task_id)
        except refusal:
            continue
        raise NotAsPlanned(f"a second completion was not refused to {actor.login}")


def _expect_prices(events: int) -> None:
    row = in_transaction(lambda session: session.execute(MONEY).one())
    fee, reward = settings.current().assign_fee, settings.current().completion_reward
    _expect(row.transfers == events, f"{row.transfers} transfers for {events} events")
    _expect(
        fee.min_cents <= row.fee_min <= row.fee_max <= fee.max_cents, "a fee is out of its range"
    )
    _expect(
        reward.min_cents <= row.reward_min <= row.reward_max <= reward.max_cents,
        "a reward is out of its range",
    )


def _expect_conformance() -> None:
    """The guardian's own rules of money and conformance, over what was played."""
    for check in CHECKS:
        if check.is_money and _broken(check.whole):
            raise NotAsPlanned(f"not so: {check.name}")


def _close(accountant: Actor) -> int:
    day = _yesterday()
    in_credit, owed = in_transaction(lambda session: session.execute(IN_CREDIT).one())
    closed = accounting.pay_to_workers(accountant, business_day=day, patience_s=PATIENCE_S)
    _expect((closed.paid_count, closed.paid_total) == (in_credit, owed), "not all were paid")
    left, _ = in_transaction(lambda session: session.execute(IN_CREDIT).one())
    _expect(left == 0, "a balance above zero was left")
    again = accounting.pay_to_workers(accountant, business_day=day, patience_s=PATIENCE_S)
    _expect(again.already_closed, "the day was closed a second time")
    mails = in_transaction(lambda session: session.execute(MAILS).scalar_one())
    _expect(mails == in_credit, f"{mails} mails for {in_credit} payouts")
    relay.drain(accounting.ACCOUNTING, patience_s=PATIENCE_S)
    return int(closed.paid_count)


def _expect(is_so: object, otherwise: str) -> None:
    if not is_so:
        raise NotAsPlanned(otherwise)


@contextmanager
def _own_tables() -> Iterator[None]:
    """An application whose one connection has tables of its own in place of the real ones."""
    player = Flask("doctor")
    options = {**engine_options("worker"), "pool_size": 1, "max_overflow": 0, "pool_recycle": -1}
    player.config["SQLALCHEMY_DATABASE_URI"] = settings.current().sqlalchemy_url
    player.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(player)
    with player.app_context():
        try:
            _make_tables()
            yield
        except ProgrammingError as error:
            if "temporary tables" in str(error.orig):
                raise Unavailable(
                    "The role ates_app may not make temporary tables:"
                    " GRANT TEMPORARY ON DATABASE … TO ates_app"
                ) from error
            raise
        finally:
            db.session.remove()
            db.engine.dispose()


@command
def _make_tables(session: Session) -> None:
    for table in TABLES:
        session.execute(sql(f"CREATE TEMPORARY TABLE {table} (LIKE public.{table} INCLUDING ALL)"))
    session.execute(OPEN_COMPANY)


@command
def _hire(session: Session) -> dict[str, Actor]:
    hired = {}
    for login, role in PEOPLE:
        user_id = session.execute(HIRE, {"login": login, "role": role.value}).scalar_one()
        hired[login] = Actor(user_id, login, role)
    return hired


@command
def _assignee_of(session: Session, task_id: int) -> int:
    return int(session.execute(ASSIGNEE, {"task_id": task_id}).scalar_one())


@command
def _backdate(session: Session) -> None:
    session.execute(BACKDATE)


@command
def _yesterday(session: Session) -> date:
    return clock.today(session, settings.current().business_timezone) - timedelta(days=1)


@command
def _broken(session: Session, statement: str) -> bool:
    return session.execute(sql(statement)).first() is not None

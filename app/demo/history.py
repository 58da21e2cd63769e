"""Thirty business days of the demo company, played through the real commands and the relay.

The clock is set to each moment of each day; people create and complete tasks, a manager
reshuffles, the relay posts, the accountant closes the day. Nothing is written into the tables by
hand. A seeding that was cut off goes on with the first day that is not closed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from random import Random
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from app.accounting import commands as accounting
from app.auth.actors import actor_named
from app.auth.commands import create_user
from app.demo.company import LOOPBACK, PASSWORD, PEOPLE, draw_task
from app.kernel import clock, settings
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import AtesError, Forbidden
from app.kernel.policy import Role
from app.outbox import relay
from app.payments.commands import send_due_mail
from app.tasks import commands as tasks

DAYS = 30
STEPS = 10
DAY_BEGINS = timedelta(hours=9)
STEP = timedelta(minutes=54)

# Whether the history is told: it ends with the clock back at the real time, or beyond it.
STATE = sql("""
SELECT (SELECT count(*) FROM users WHERE role <> 'internalservice') AS people,
       (SELECT shift < interval '-1 minute' FROM business_clock) AS is_being_told,
       (SELECT max(day) FROM business_days WHERE status = 'closed') AS last_closed
""")
OPEN_TASKS = sql("""
SELECT t.id, t.assigned_to, u.login, u.role FROM tasks t JOIN users u ON u.id = t.assigned_to
WHERE NOT t.is_finished ORDER BY t.id
""")
REAL_TODAY = sql("SELECT (now() AT TIME ZONE :timezone)::date")
NUMBER = sql("SELECT count(*) FROM tasks")


def seed(on_progress: Callable[[int, int], None], *, days: int = DAYS) -> bool:
    """Make the demo company and its history, if there is none; returns whether it did.

    `on_progress(done, all)` is called after each day. Raises Forbidden unless this is a demo on a
    loopback address, since its password is public.
    """
    chosen = settings.current()
    if not chosen.demo or urlsplit(chosen.public_url).hostname not in LOOPBACK:
        raise Forbidden("Demo accounts are made only with ATES_DEMO=1 and a loopback PUBLIC_URL")
    people, is_being_told, last_closed = _state()
    if people and not is_being_told:
        return False
    today = _real_today()
    first = last_closed + timedelta(days=1) if last_closed else today - timedelta(days=days)
    _set_clock(first, timedelta(hours=8))
    _hire()
    for number in range((today - first).days):
        _play_day(first + timedelta(days=number))
        on_progress(number + 1, (today - first).days)
    _play_morning(today)
    _reset_clock()
    relay.drain(accounting.ACCOUNTING)
    while send_due_mail(at_once=100):
        pass
    return True


def accounts() -> list[tuple[str, Role]]:
    """The logins of the demo company; PASSWORD opens each."""
    return list(PEOPLE)


def _hire() -> None:
    for login, role in PEOPLE:
        if not _exists(login):
            create_user(
                None, login=login, email=f"{login}@ates.example", password=PASSWORD, role=role
            )


def _play_day(day: date) -> None:
    random = Random(day.toordinal())
    load = 2 if day.weekday() >= 5 else 6
    for step in range(STEPS):
        _set_clock(day, DAY_BEGINS + step * STEP)
        _create(random, random.randint(load - 2, load + 2))
        _complete(random, share=random.uniform(0.03, 0.15))
        if step == STEPS // 2 and day.weekday() < 5:
            tasks.reassign_tasks(_named("manager"))
    _set_clock(day + timedelta(days=1), timedelta(minutes=5))
    accounting.pay_to_workers(_named("accountant"), business_day=day)


def _play_morning(day: date) -> None:
    random = Random(day.toordinal())
    _set_clock(day, timedelta(minutes=10))
    _create(random, 24)
    _complete(random, share=0.15)


def _create(random: Random, count: int) -> None:
    for _ in range(count):
        login, _role = random.choice(PEOPLE)
        name, description = draw_task(random, _next_number())
        tasks.create_task(_named(login), name=name, description=description)


def _complete(random: Random, *, share: float) -> None:
    for task_id, assignee in _open_tasks():
        # Some work faster than others, so that some balances are below zero.
        if random.random() < share * (0.4 + (assignee.user_id % 5) / 4):
            tasks.complete_task(assignee, task_id)


@command
def _state(session: Session) -> tuple[int, bool, date | None]:
    row = session.execute(STATE).one()
    return row.people, row.is_being_told, row.last_closed


@command
def _exists(session: Session, login: str) -> bool:
    try:
        actor_named(session, login)
    except AtesError:
        return False
    return True


@command
def _named(session: Session, login: str) -> Actor:
    return actor_named(session, login)


@command
def _next_number(session: Session) -> int:
    return 101 + int(session.execute(NUMBER).scalar_one())


@command
def _open_tasks(session: Session) -> list[tuple[int, Actor]]:
    return [
        (row.id, Actor(row.assigned_to, row.login, Role(row.role)))
        for row in session.execute(OPEN_TASKS)
    ]


@command
def _real_today(session: Session) -> date:
    names = {"timezone": settings.current().business_timezone}
    today: date = session.execute(REAL_TODAY, names).scalar_one()
    return today


@command
def _set_clock(session: Session, day: date, after_midnight: timedelta) -> None:
    midnight: datetime = clock.start_of(session, day, settings.current().business_timezone)
    clock.move_to(session, midnight + after_midnight)


@command
def _reset_clock(session: Session) -> None:
    clock.reset(session)

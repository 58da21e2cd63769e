"""Thirty business days of the demo company, played through the real commands and the relay.

The clock is set to each moment of each day; people create and complete tasks, a manager
reshuffles, the relay posts, the accountant closes the day. Today is played up to now, and begins
with what was wrong the day before. Nothing is written into the tables by hand. A seeding that was
cut off goes on with the first day that is not closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from app.accounting import commands as accounting
from app.auth.actors import actor_named
from app.auth.commands import create_user
from app.demo.company import LOOPBACK, PASSWORD, PEOPLE, WRONG, draw_task
from app.kernel import clock, settings
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import AtesError, Forbidden
from app.kernel.policy import Role
from app.notifications.commands import mark_read
from app.notifications.consumer import CONSUMER as NOTIFICATIONS
from app.outbox import relay
from app.payments.commands import send_due_mail
from app.tasks import commands as tasks

DAYS = 30
BIGGEST_ID = 2**63 - 1
STEPS = 10
DAY_BEGINS = timedelta(hours=9)
STEP = timedelta(minutes=54)
# On all working days but Wednesdays: a fee for each open task every day would ruin everybody.
RESHUFFLES = {0, 1, 3, 4}
# What is played of today, even if it began a short while ago.
MORNING = timedelta(hours=3)

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
REAL_NOW = sql("SELECT now(), (now() AT TIME ZONE :timezone)::date")
NUMBER = sql("SELECT count(*) FROM tasks")
# Somebody's newest fee of the days before, unless a correction was asked for already.
WRONG_FEE = sql("""
SELECT max(t.id) FROM account_transfers t
JOIN accounts a ON a.id = t.owner_account_id JOIN users u ON u.id = a.user_id
WHERE u.login = :login AND t.kind = 'assign_fee' AND t.business_day < :today
  AND NOT EXISTS (SELECT FROM corrections c JOIN account_transfers w ON w.id = c.transfer_id
                  WHERE w.owner_account_id = a.id)
""")
ACTORS = sql("SELECT id, login, role FROM users WHERE login = ANY(:logins)")


Act = Callable[[], Any]


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
    now, today = _real_now()
    first = last_closed + timedelta(days=1) if last_closed else today - timedelta(days=days)
    _set_clock(_midnight(first) + timedelta(hours=8))
    _hire()
    for number in range((today - first).days):
        _play_day(first + timedelta(days=number))
        on_progress(number + 1, (today - first).days)
    _read_everything()
    _play_today(today, now)
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
    begins = _midnight(day) + DAY_BEGINS
    _play_hours(day, begins, begins + STEPS * STEP)
    _set_clock(_midnight(day + timedelta(days=1)) + timedelta(minutes=5))
    accounting.pay_to_workers(_actors()["accountant"], business_day=day)


def _read_everything() -> None:
    """Everybody has read what was told up to yesterday: only today's is news."""
    relay.drain(NOTIFICATIONS)
    for actor in _actors().values():
        mark_read(actor, up_to=BIGGEST_ID)


def _play_today(day: date, now: datetime) -> None:
    midnight = _midnight(day)
    begins = max(midnight, min(midnight + DAY_BEGINS, now - MORNING))
    _correct(day, begins)
    _play_hours(day, begins, min(now, begins + STEPS * STEP))


def _correct(today: date, moment: datetime) -> None:
    """Two fees of the days before were wrong: one is reversed, the other waits for approval."""
    actors = _actors()
    for login, (reason, is_approved) in WRONG.items():
        fee = _wrong_fee(login, today)
        if fee is None:
            continue
        ask = partial(accounting.request_correction, actors["accountant"], fee, reason=reason)
        correction = _at(moment, ask)
        if is_approved:
            _at(moment, partial(accounting.approve_correction, actors["admin"], correction.id))


def _play_hours(day: date, begins: datetime, ends: datetime) -> None:
    random = Random(day.toordinal())
    load = 2 if day.weekday() >= 5 else 6
    steps = max(1, round((ends - begins) / STEP))
    length = (ends - begins) / steps
    for step in range(steps):
        _play_step(random, begins + step * length, length, load)
        if step == STEPS // 2 and day.weekday() in RESHUFFLES:
            tasks.reassign_tasks(_actors()["manager"])


def _play_step(random: Random, begins: datetime, length: timedelta, load: int) -> None:
    """Somebody creates a task, somebody completes one, each at a moment of its own."""
    acts = [
        *_creations(random, random.randint(load - 2, load + 2)),
        *_completions(random, share=random.uniform(0.03, 0.15)),
    ]
    random.shuffle(acts)
    moments = sorted(random.random() for _ in acts)
    for moment, act in zip(moments, acts, strict=True):
        _at(begins + moment * length, act)


def _creations(random: Random, count: int) -> Iterator[Act]:
    people = list(_actors().values())
    for number in range(_next_number(), _next_number() + count):
        name, description = draw_task(random, number)
        creator = random.choice(people)
        yield partial(tasks.create_task, creator, name=name, description=description)


def _completions(random: Random, *, share: float) -> Iterator[Act]:
    for task_id, assignee in _open_tasks():
        # Some work faster than others, so that some balances are below zero.
        if random.random() < share * (0.4 + (assignee.user_id % 5) / 4):
            yield partial(tasks.complete_task, assignee, task_id)


@command
def _at(session: Session, moment: datetime, act: Act) -> Any:
    """Do `act` when the clock shows `moment`, in one transaction; returns what it returns."""
    clock.move_to(session, moment)
    return act()


@command
def _wrong_fee(session: Session, login: str, today: date) -> int | None:
    found: int | None = session.execute(WRONG_FEE, {"login": login, "today": today}).scalar_one()
    return found


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
def _actors(session: Session) -> dict[str, Actor]:
    rows = session.execute(ACTORS, {"logins": [login for login, _ in PEOPLE]})
    return {row.login: Actor(row.id, row.login, Role(row.role)) for row in rows}


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
def _real_now(session: Session) -> tuple[datetime, date]:
    names = {"timezone": settings.current().business_timezone}
    now, today = session.execute(REAL_NOW, names).one()
    return now, today


@command
def _midnight(session: Session, day: date) -> datetime:
    return clock.start_of(session, day, settings.current().business_timezone)


@command
def _set_clock(session: Session, moment: datetime) -> None:
    clock.move_to(session, moment)


@command
def _reset_clock(session: Session) -> None:
    clock.reset(session)

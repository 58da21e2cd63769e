"""Accounts: made, given a role, deactivated."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.auth import passwords, policies
from app.auth.accounts import NewAccount, checked_account
from app.auth.commands.sessions import end_access
from app.events import EmployeeUnassignable, UserRegistered
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import BadInput, Conflict, Forbidden, NotFound
from app.kernel.policy import ASSIGNABLE, Role
from app.outbox import announce, emit

# Whoever assigns tasks shares this lock: nobody is given a task while they stop being assignable.
LOCK_ROSTER = sql("SELECT pg_advisory_xact_lock(2)")
# Makes an account; no row when its login or its address is taken.
INSERT_USER = sql("""
INSERT INTO users (role, login, email, hash)
VALUES (CAST(:role AS user_role), :login, :email, :hash)
ON CONFLICT DO NOTHING RETURNING id
""")
# What is taken.
TAKEN = sql("""
SELECT EXISTS (SELECT FROM users WHERE lower(login) = lower(:login)) AS login,
       EXISTS (SELECT FROM users WHERE lower(email) = lower(:email)) AS email
""")
LOCK_USER = sql("SELECT id, role, is_active, is_assignable FROM users WHERE id = :id FOR UPDATE")
OTHER_ADMINISTRATORS = sql("""
SELECT count(*) FROM users WHERE role = 'administrator' AND is_active AND id <> :id
""")
SET_ROLE = sql("UPDATE users SET role = CAST(:role AS user_role) WHERE id = :id")
SET_ACTIVE = sql("UPDATE users SET is_active = :is_active WHERE id = :id")
# How many open tasks somebody has. Locked in the order of a hand-over: none is completed meanwhile.
OPEN_TASKS = sql("""
SELECT count(*) FROM (
  SELECT FROM tasks WHERE assigned_to = :id AND NOT is_finished ORDER BY id FOR NO KEY UPDATE) AS t
""")


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change of a person's role or activity did: open tasks given to others, if any."""

    is_new: bool
    handed_over: int = 0


NOTHING_CHANGED = Changed(is_new=False)


@command
def register_user(
    session: Session, *, login: str, email: str, password: str, role: Role | str, is_open: bool
) -> int:
    """Make an account for oneself, as `developer` or `other`. Returns its id.

    Raises Forbidden when registration is closed, BadInput for a wrong or taken login or address.
    """
    if not is_open:
        raise Forbidden("Registration is closed: ask an administrator for an account")
    account = checked_account(login=login, email=email, role=role, password=password)
    if not policies.may_register_as(account.role):
        raise BadInput(fields={"role": "Choose developer or other"})
    user_id = _insert(session, account)
    if user_id is None:
        # Which of the two it is would tell a stranger whose address has an account here.
        raise BadInput(fields={"login": "This login or e-mail address is taken"})
    audit.record(session, "register", actor_id=user_id, subject_id=user_id)
    emit(session, UserRegistered, user_id=user_id, actor_id=user_id)
    return user_id


@command
def create_user(
    session: Session,
    actor: Actor | None,
    *,
    login: str,
    email: str,
    role: Role | str,
    password: str | None = None,
) -> int:
    """Make an account of any role. Returns its id. A service gets no password, all others need one.

    Raises Forbidden, and BadInput for a wrong or taken login or address or a weak password.
    """
    if not policies.may_manage(actor):
        raise Forbidden
    account = checked_account(login=login, email=email, role=role, password=password)
    user_id = _insert(session, account)
    if user_id is None:
        raise _taken(session, account)
    actor_id = actor.user_id if actor else None
    details = {"role": account.role.value}
    audit.record(session, "create_user", actor_id=actor_id, subject_id=user_id, details=details)
    emit(session, UserRegistered, user_id=user_id, actor_id=actor_id)
    return user_id


@command
def change_role(
    session: Session, actor: Actor | None, *, user_id: int, role: Role | str
) -> Changed:
    """Give a person another role, from their next request on.

    One who can no longer be assigned tasks hands the open ones over in the same transaction.
    Raises Forbidden, NotFound, Conflict for the last administrator or when nobody can take over.
    """
    new_role = _known(role)
    user = _lock(session, actor, user_id)
    old_role = Role(user.role)
    if old_role is new_role:
        return NOTHING_CHANGED
    if not policies.may_become(old_role, new_role):
        raise Conflict("A service stays a service, and a person a person")
    if user.is_active and old_role is Role.ADMINISTRATOR:
        _keep_an_administrator(session, user_id)
    session.execute(SET_ROLE, {"id": user_id, "role": new_role.value})
    details = {"from": old_role.value, "to": new_role.value}
    _record(session, "change_role", actor, user_id, details)
    leaves = user.is_assignable and new_role not in ASSIGNABLE
    return Changed(is_new=True, handed_over=_hand_over(session, actor, user_id) if leaves else 0)


@command
def set_active(session: Session, actor: Actor | None, *, user_id: int, is_active: bool) -> Changed:
    """Activate a person, or deactivate them: their sessions and tokens end at once.

    Open tasks are handed over as in `change_role`. Raises as it does.
    """
    user = _lock(session, actor, user_id)
    if user.is_active == is_active:
        return NOTHING_CHANGED
    if not is_active and Role(user.role) is Role.ADMINISTRATOR:
        _keep_an_administrator(session, user_id)
    session.execute(SET_ACTIVE, {"id": user_id, "is_active": is_active})
    _record(session, "activate" if is_active else "deactivate", actor, user_id, {})
    if is_active:
        return Changed(is_new=True)
    end_access(session, user_id, keep_session=None)
    leaves = user.is_assignable
    return Changed(is_new=True, handed_over=_hand_over(session, actor, user_id) if leaves else 0)


def _insert(session: Session, account: NewAccount) -> int | None:
    phc = passwords.hash_password(account.password) if account.password else None
    values = {
        "role": account.role.value,
        "login": account.login,
        "email": account.email,
        "hash": phc,
    }
    user_id: int | None = session.execute(INSERT_USER, values).scalar_one_or_none()
    return user_id


def _taken(session: Session, account: NewAccount) -> BadInput:
    taken = session.execute(TAKEN, {"login": account.login, "email": account.email}).one()
    problems = {
        "login": "This login is taken" if taken.login else None,
        "email": "This address has an account already" if taken.email else None,
    }
    return BadInput(fields={name: text for name, text in problems.items() if text})


def _known(role: Role | str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise BadInput(fields={"role": "There is no such role"}) from None


def _lock(session: Session, actor: Actor | None, user_id: int) -> Row[tuple[int, str, bool, bool]]:
    if not policies.may_manage(actor):
        raise Forbidden
    if not policies.may_change(actor, user_id):
        raise Conflict("Nobody changes their own role or account; another administrator can")
    session.execute(LOCK_ROSTER)
    user = session.execute(LOCK_USER, {"id": user_id}).one_or_none()
    if user is None:
        raise NotFound
    return user


def _keep_an_administrator(session: Session, user_id: int) -> None:
    if session.execute(OTHER_ADMINISTRATORS, {"id": user_id}).scalar_one() == 0:
        raise Conflict("This is the last administrator: make another one first")


def _hand_over(session: Session, actor: Actor | None, user_id: int) -> int:
    """Give the open tasks of `user_id` to others; returns how many there were."""
    open_tasks: int = session.execute(OPEN_TASKS, {"id": user_id}).scalar_one()
    # The operator at the command line has no account: the tasks' log then names the leaver.
    actor_id = actor.user_id if actor else user_id
    announce(session, EmployeeUnassignable, user_id=user_id, actor_id=actor_id)
    return open_tasks


def _record(
    session: Session, action: str, actor: Actor | None, user_id: int, details: dict[str, str]
) -> None:
    actor_id = actor.user_id if actor else None
    audit.record(session, action, actor_id=actor_id, subject_id=user_id, details=details)

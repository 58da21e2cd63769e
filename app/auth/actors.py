"""Finding who acts where nobody has signed in: services and the command line."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import NotFound
from app.kernel.policy import Role

BY_LOGIN = sql("SELECT id, login, role FROM users WHERE lower(login) = lower(:login) AND is_active")
FIRST_OF_ROLE = sql("""
SELECT id, login, role FROM users WHERE role = CAST(:role AS user_role) AND is_active
ORDER BY id LIMIT 1
""")
# A service has no password and never signs in; its address is one that nothing is sent to.
REGISTER_SERVICE = sql("""
INSERT INTO users (login, email, role)
VALUES (:login, :login || '@service.invalid', 'internalservice') ON CONFLICT DO NOTHING
""")


def actor_named(session: Session, login: str) -> Actor:
    """The active user with this login. Raises NotFound."""
    row = session.execute(BY_LOGIN, {"login": login}).one_or_none()
    if row is None:
        raise NotFound(f"there is no active user {login!r}")
    return Actor(row.id, row.login, Role(row.role))


def first_of_role(session: Session, role: Role) -> Actor:
    """The active user of `role` who was created first. Raises NotFound."""
    row = session.execute(FIRST_OF_ROLE, {"role": role.value}).one_or_none()
    if row is None:
        raise NotFound(f"there is no active {role.value}")
    return Actor(row.id, row.login, Role(row.role))


@command
def service_actor(session: Session, login: str) -> Actor:
    """The internal service with this login, registered on first use."""
    session.execute(REGISTER_SERVICE, {"login": login})
    return actor_named(session, login)

"""Whether a person wants their notifications by mail too."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.kernel.actor import Actor
from app.kernel.db import command, sql
from app.kernel.errors import BadInput

DIGESTS = ("off", "daily")
SET_DIGEST = sql("UPDATE users SET digest = :digest WHERE id = :id")


@command
def set_digest(session: Session, actor: Actor, digest: str) -> None:
    """Mail `actor` what is unread once a day (`daily`) or not at all (`off`). Raises BadInput."""
    if digest not in DIGESTS:
        raise BadInput(fields={"digest": "Off or daily"})
    session.execute(SET_DIGEST, {"id": actor.user_id, "digest": digest})

"""Who acts: the person or service behind a command."""

from __future__ import annotations

from dataclasses import dataclass

from app.kernel.errors import Forbidden
from app.kernel.policy import Role, may


@dataclass(frozen=True, slots=True)
class Actor:
    """A signed-in user as commands and queries see them."""

    user_id: int
    login: str
    role: Role

    def may(self, action: str) -> bool:
        """Whether the actor's role may do `action` (see kernel.policy)."""
        return may(self.role, action)

    def require(self, action: str) -> None:
        """Raise Forbidden unless the actor's role may do `action`."""
        if not self.may(action):
            raise Forbidden

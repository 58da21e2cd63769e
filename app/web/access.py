"""Who may reach which route: every endpoint names its action, and none is open by omission."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, g, request

from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.db import in_transaction
from app.kernel.errors import Forbidden, NotSignedIn
from app.kernel.policy import HUMANS, POLICY, Role
from app.web.sessions import SignedIn, signed_in

View = TypeVar("View", bound=Callable[..., Any])
PUBLIC = "public"
_MARK = "_ates_action"
_EXTENSION = "ates-policies"


def requires(action: str) -> Callable[[View], View]:
    """Let only those reach the view whose role may do `action` (see kernel.policy.POLICY)."""
    if action not in POLICY:
        raise LookupError(f"no action {action!r} in the policy table")

    def mark(view: View) -> View:
        setattr(view, _MARK, action)
        return view

    return mark


def public(view: View) -> View:
    """Let anyone reach the view, signed in or not."""
    setattr(view, _MARK, PUBLIC)
    return view


def policy_of(view: Callable[..., Any]) -> str | None:
    """The action that `view` is marked with, PUBLIC, or None when somebody forgot."""
    action: str | None = getattr(view, _MARK, None)
    return action


def init_app(app: Flask) -> None:
    """Refuse, before each request, what its endpoint's action does not allow."""
    app.extensions[_EXTENSION] = {}
    public(app.view_functions["static"])
    app.before_request(_authorize)


def check_policies(app: Flask) -> None:
    """Last call of create_app: fail when an endpoint has no policy.

    What is registered later is not in the table, and is refused to everyone.
    """
    policies = {endpoint: policy_of(view) for endpoint, view in app.view_functions.items()}
    forgotten = sorted(endpoint for endpoint, action in policies.items() if action is None)
    if forgotten:
        raise LookupError(f"endpoints without @requires or @public: {', '.join(forgotten)}")
    app.extensions[_EXTENSION].update(policies)


def policies(app: Flask) -> dict[str, str]:
    """The action, or PUBLIC, of each endpoint of `app`."""
    table: dict[str, str] = app.extensions[_EXTENSION]
    return table


def refused_to_all_but() -> list[Role]:
    """Whose the page is that this request was refused: the roles that may do what it does."""
    allowed = POLICY.get(g.get("refused_action") or "", frozenset())
    return [role for role in Role if role in allowed & HUMANS]


def current_actor() -> Actor:
    """Whoever acts in this request. Raises NotSignedIn when nobody is signed in."""
    return _somebody().actor


def current_user() -> SignedIn:
    """Whoever is signed in. Raises NotSignedIn when nobody is."""
    return _somebody()


def _somebody() -> SignedIn:
    user = signed_in()
    if user is None:
        raise NotSignedIn
    return user


def _authorize() -> None:
    endpoint = request.endpoint
    if endpoint is None:
        return  # the router answers 404 or 405
    action = policies(current_app).get(endpoint)
    if action == PUBLIC:
        return
    user = _somebody()
    if action is None or not user.may(action):
        _record_denial(user, endpoint)
        g.refused_action = action
        raise Forbidden


def _record_denial(user: SignedIn, endpoint: str) -> None:
    in_transaction(
        lambda session: audit.record(
            session,
            "request",
            actor_id=user.id,
            result="refused",
            details={"endpoint": endpoint, "method": request.method},
        )
    )

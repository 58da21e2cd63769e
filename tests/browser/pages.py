"""A page of each kind, by who reads it: those that axe and the screenshots visit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# By login, None for nobody; {name} is filled in with what the demo company has.
PAGES: dict[str | None, list[str]] = {
    None: ["/sign-in", "/register", "/invitations/none", "/api/docs", "/styleguide"],
    "{employee}": [
        "/tasks/mine",
        "/tasks/new",
        "/account",
        "/settings",
        "/notifications",
        "/people",
    ],
    "admin": [
        "/tasks/mine",
        "/tasks?state=open",
        "/tasks?q=nothing-of-this-name",
        "/tasks?state=unknown",
        "/tasks/reassignment",
        "/tasks/reassignments",
        "/tasks/reassignments/{reassignment}",
        "/tasks/imports",
        "/tasks/{task}",
        "/analytics",
        "/people",
        "/people/{person}",
        "/corrections",
        "/mailbox",
        "/system",
        "/system/events",
        "/system/events?type=TaskCreated",
        "/system/events/{event}",
        "/system/dead-letters",
    ],
    "accountant": [
        "/report",
        "/report?user_id={person}",
        "/balances",
        "/close-day",
        "/payouts/{day}",
        "/accounts/{person}",
        "/transfers/{transfer}",
        "/corrections",
        "/reconciliation/comparison",
        "/exports",
        "/mail",
    ],
}
# What the names stand for: statements that say one value each.
KNOWN = {
    "task": "SELECT max(task_id) FROM logs WHERE type = 'complete'",
    "day": "SELECT max(day) FROM business_days WHERE status = 'closed'",
    "reassignment": "SELECT max(id) FROM reassignments",
    "event": "SELECT event_id FROM outbox ORDER BY id DESC LIMIT 1",
    "transfer": "SELECT max(id) FROM account_transfers WHERE kind = 'payout'",
}


def paths_of(employee: str, rows: Callable[..., list[Any]]) -> dict[str | None, list[str]]:
    """The pages, by login; `employee` is somebody with open tasks, `rows` asks the database."""
    known = {name: rows(statement)[0][0] for name, statement in KNOWN.items()}
    known["person"] = rows("SELECT id FROM users WHERE login = %s", employee)[0][0]
    return {
        login and login.format(employee=employee): [path.format(**known) for path in found]
        for login, found in PAGES.items()
    }

"""Schemathesis against our own description: no server error, no answer that it does not describe.

Bounded: a number of made-up calls for each operation, half of them right by the description and
half of them wrong, in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from app.auth import commands as auth
from app.tasks import commands as tasks
from app.tasks.models import Draft
from tests.accounting.board import NOON, charge, earn
from tests.company import Company

EXAMPLES = 15
CALLERS = {
    "accountant": ("pay_to_workers", "show_all_account_transfers"),
    "administrator": (
        "create_task",
        "negative_balances",
        "reassign_tasks",
        "show_all_assigned_tasks",
        "show_reassignment",
        "show_the_most_expensive_task",
        "today_income",
    ),
    "developer": (
        "complete_task",
        "show_account_transfers",
        "show_balance",
        "show_my_assigned_tasks",
    ),
    "nobody": ("auth_user", "register_user"),
}
# What is right by the description and still refused: a cursor of no list, a period that ends
# before it begins, a name of spaces (422); a day that cannot be closed (409); a missing row (404);
# a login that nobody has (401); one registration too many (429).
ACCEPTED = ["2xx", "401", "404", "409", "422", "429"]
CONFIG = SchemathesisConfig.from_dict(
    {"checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}}}
)


@pytest.fixture
def busy(company: Company, make_user: Callable) -> dict[str, Any]:
    """One user of each role, in a company where all that can be listed is there."""
    users = {role: make_user(role) for role in ("accountant", "administrator", "developer")}
    company.at(NOON)
    drafts = [Draft(f"[K-{number}] task {number}", "text") for number in range(6)]
    for task in company.call(tasks.create_tasks, users["developer"].actor, drafts)[:3]:
        for user in users.values():
            if user.id == task.assigned_to:
                company.call(tasks.complete_task, user.actor, task.task_id)
    for user in users.values():
        earn(company, user.id)
        charge(company, user.id)
    charge(company, make_user().id)
    company.post()
    return users


def token_of(company: Company, user: Any) -> str:
    issued = company.call(
        auth.issue_token, None, user_id=user.id, name="fuzz", lifetime=timedelta(days=1)
    )
    return str(issued.token)


def test_calls_that_the_description_allows_or_forbids(
    app: Flask, company: Company, busy: dict[str, Any]
) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, config=CONFIG)
    for caller, names in CALLERS.items():
        headers = {"Accept-Encoding": "identity"}  # in process, nobody would unpack it
        if caller in busy:
            headers["Authorization"] = f"Bearer {token_of(company, busy[caller])}"
        for name in names:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                call_often(schema.find_operation_by_id(name), mode, headers)


def call_often(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        case.call_and_validate(headers=headers)

    call()


def test_the_description_is_valid_and_every_operation_is_called(app: Flask) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    schema.validate()
    assert schema.raw_schema["openapi"].startswith("3.1")
    described = {
        result.ok().definition.raw["operationId"] for result in schema.get_all_operations()
    }
    # Revoking a token takes no input, and would end the run.
    assert described == {"revoke_token"}.union(*CALLERS.values())

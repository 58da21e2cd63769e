"""The plan of the posting statements: right for any batch, in an empty ledger and in a large one.

The statements are prepared, and PostgreSQL may keep a plan that it made when the ledger was empty;
so what matters is not what is quick now, but that nothing is ever read from end to end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from itertools import product
from statistics import median
from typing import Any

import psycopg
import pytest
from sqlalchemy import TextClause

from app.accounting.commands import posting
from app.events import Event
from app.kernel.db import db, sql
from embedded.postgres import Cluster
from tests.accounting.board import event, make_tasks, post_batch
from tests.company import Company

LARGE = 100_000
# Old transfers and prices, of tasks that are not there.
FILL = f"""
SET session_replication_role = replica;
INSERT INTO business_days (day, during)
  VALUES ('2026-01-01', '[2026-01-01 00:00+00, 2026-01-02 00:00+00)');
INSERT INTO task_prices
  SELECT 1000000 + n, 1500, 3000 FROM generate_series(1, {LARGE}) AS n;
INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
    owner_account_id, amount, balance_after, account_version, timestamp, business_day, task_id)
  SELECT uuidv7(), 'assign_fee', a.id, income.id, a.id, 1500, -1500 * n, -n,
         '2026-01-01 12:00+00', '2026-01-01', 1000000 + n
  FROM generate_series(1, {LARGE}) AS n,
       (SELECT id FROM accounts WHERE kind = 'employee' ORDER BY id LIMIT 1) AS a,
       (SELECT id FROM accounts WHERE kind = 'company_income') AS income;
RESET session_replication_role;
ANALYZE;
"""
EMPLOYEES = 20
BATCHES = (100, 5_000)
MODES = ("force_generic_plan", "force_custom_plan")
STATEMENTS = (posting.DRAW_PRICES, posting.POST)
GROWING = {"account_transfers", "task_prices"}
# Small enough to be read, if the planner knows that; a plan that is kept must not.
GROWING_SLOWLY = {"accounts", "account_days"}


@pytest.fixture
def superuser(cluster: Cluster, database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def events(company: Company, make_user: Callable) -> Callable[[int], list[Event]]:
    """Makes n fresh events about n tasks of EMPLOYEES employees, each with an account."""
    users = [make_user().id for _ in range(EMPLOYEES)]

    def make(number: int) -> list[Event]:
        tasks = make_tasks(company, users[0], number)
        return [event("created", task, users[n % EMPLOYEES]) for n, task in enumerate(tasks)]

    post_batch(company, make(EMPLOYEES))
    return make


@pytest.mark.parametrize("ledger", ["empty", "large"])
def test_posting_reads_no_table_from_end_to_end_and_no_batch_is_too_large(
    company: Company, superuser: psycopg.Connection, events: Callable, ledger: str
) -> None:
    if ledger == "large":
        superuser.execute(FILL)
    batches = [_names(company, events(size)) for size in BATCHES]
    for names, mode, statement in product(batches, MODES, STATEMENTS):
        growing = GROWING if mode == "force_custom_plan" else GROWING | GROWING_SLOWLY
        plan = _plan(superuser, statement, names, mode)
        assert not _read_from_end_to_end(plan) & growing, (mode, statement.text)
    # More often than it takes until a generic plan is kept.
    small = _seconds_per_event(company, events, size=100, times=11)
    large = _seconds_per_event(company, events, size=5_000, times=2)
    assert large <= 2 * small


def test_the_check_sees_a_table_that_is_read_from_end_to_end(
    company: Company, superuser: psycopg.Connection, events: Callable
) -> None:
    unpriced = sql("""
    SELECT count(*) FROM task_prices
    WHERE task_id NOT IN (SELECT unnest(CAST(:task_ids AS bigint[])))""")
    for mode in MODES:
        plan = _plan(superuser, unpriced, _names(company, events(100)), mode)
        assert _read_from_end_to_end(plan) == {"task_prices"}


def _seconds_per_event(company: Company, events: Callable, *, size: int, times: int) -> float:
    took_s = []
    for _ in range(times):
        batch = events(size)
        began = time.perf_counter()
        post_batch(company, batch)
        took_s.append(time.perf_counter() - began)
    return median(took_s) / size


def _names(company: Company, batch: list[Event]) -> dict[str, Any]:
    accounts = company.call(lambda: posting._locked_accounts(db.session(), batch))
    return {**company.call(posting._parameters, batch), **accounts}


def _plan(
    connection: psycopg.Connection,
    statement: TextClause,
    names: dict[str, Any],
    mode: str,
) -> dict[str, Any]:
    """The plan of a prepared statement, in a transaction like that of a posting."""
    used = list(dict.fromkeys(re.findall(r"(?<!:):(\w+)", statement.text)))
    text = re.sub(r"(?<!:):(\w+)", lambda found: f"${used.index(found[1]) + 1}", statement.text)
    with connection.transaction(), psycopg.ClientCursor(connection) as cursor:
        cursor.execute(posting.SHARE_DAY_GATE.text)
        cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
        cursor.execute(f"PREPARE statement AS {text}")
        values = ", ".join(["%s"] * len(used))
        cursor.execute(
            f"EXPLAIN (FORMAT JSON) EXECUTE statement ({values})", [names[name] for name in used]
        )
        found = cursor.fetchone()
        cursor.execute("DEALLOCATE statement")
    assert found is not None
    plan: dict[str, Any] = found[0][0]["Plan"]
    return plan


def _read_from_end_to_end(plan: dict[str, Any]) -> set[str]:
    """The tables that a plan reads without a condition on an index of all their rows."""
    found = set().union(*map(_read_from_end_to_end, plan.get("Plans", [])))
    is_scan = plan["Node Type"].endswith("Scan") and "Relation Name" in plan
    is_of_the_company = plan.get("Index Name") == "accounts_company_kind_key"
    # A bitmap's condition stands with its index, and here as the one that is checked again.
    is_conditional = plan.keys() & {"Index Cond", "Recheck Cond", "TID Cond"}
    if is_scan and not is_conditional and not is_of_the_company:
        found.add(plan["Relation Name"])
    return found

"""The hash chain: it seals what was posted, and names the row that somebody changed behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time
from typing import Any

import psycopg
import pytest
from flask import Flask

from app.accounting import commands
from app.accounting.commands import sealing
from app.accounting.queries import chain
from app.kernel.db import db, in_transaction
from app.payments import commands as payments
from app.tasks import commands as tasks
from app.tasks.models import Draft
from embedded.postgres import Cluster
from tests.company import Company


@pytest.fixture
def played(company: Company, make_user: Callable[..., Any]) -> Any:
    """A company with a closed day of 20 transfers and more."""
    accountant, developer = make_user("accountant"), make_user("developer")
    company.call(tasks.create_tasks, developer.actor, [Draft(f"Task {n}") for n in range(20)])
    for row in company.rows("SELECT id FROM tasks WHERE assigned_to = :id", id=developer.id):
        company.call(tasks.complete_task, developer.actor, row.id)
    company.post()
    tomorrow = company.value("SELECT (business_now() AT TIME ZONE 'UTC')::date + 1")
    company.at(datetime.combine(tomorrow, time(1), UTC))
    company.call(commands.pay_to_workers, accountant.actor)
    return accountant


@pytest.fixture
def superuser(cluster: Cluster, database: str, played: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def verify(company: Company, **options: Any) -> chain.Verdict:
    verdict: chain.Verdict = company.call(lambda: chain.verify_ledger(db.session(), **options))
    return verdict


def test_closing_seals_the_day_and_tells_accountants_the_hash(
    company: Company, played: Any
) -> None:
    [day] = company.rows("SELECT * FROM business_days WHERE status = 'closed'")
    assert day.sealed_block is not None
    verdict = verify(company)
    assert (verdict.fault, verdict.transfers) == (
        None,
        company.value("SELECT count(*) FROM account_transfers"),
    )
    company.call(payments.send_due_mail)
    message_id = company.value("SELECT message_id FROM emails WHERE kind = 'closing'")
    mail = (company.settings.data_dir / "mail" / f"{message_id.strip('<>')}.eml").read_text()
    assert verdict.head in mail
    assert verify(company, expected=verdict.head).fault is None
    assert verify(company, expected="0" * 64).fault == f"no block has the hash {'0' * 64}"


def test_sealing_again_changes_nothing(company: Company, played: Any) -> None:
    before = company.rows("SELECT * FROM ledger_blocks")
    assert company.call(commands.seal_ledger) == 0
    assert company.rows("SELECT * FROM ledger_blocks") == before
    assert len(company.rows("SELECT FROM emails WHERE kind = 'closing'")) == 1


def test_many_small_blocks_make_one_chain(
    company: Company, played: Any, make_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "BLOCK", 3)
    manager = make_user("manager").actor
    company.call(tasks.create_tasks, manager, [Draft(f"More {n}") for n in range(20)])
    company.post()
    assert company.call(commands.seal_ledger) == 7
    assert verify(company).fault is None
    assert verify(company).transfers == company.value("SELECT count(*) FROM account_transfers")


def test_a_transaction_that_still_runs_is_waited_for(
    company: Company, played: Any, make_user: Any
) -> None:
    """A naive chain by id would pass over what commits late; this one never does."""
    manager = make_user("manager").actor
    began, release = threading.Event(), threading.Event()

    def hold(session: Any) -> None:
        session.execute(sealing.sql("SELECT pg_current_xact_id()"))
        began.set()
        assert release.wait(10)

    thread = threading.Thread(target=lambda: company.call(in_transaction, hold))
    thread.start()
    assert began.wait(10)
    company.call(tasks.create_task, manager, name="Seen late")
    before = verify(company).transfers
    assert company.call(commands.seal_ledger) == 0
    release.set()
    thread.join(10)
    company.post()
    assert company.call(commands.seal_ledger) == 1
    assert verify(company).transfers == before + 1


CHANGES = {
    "a row's amount": (
        "UPDATE account_transfers SET amount = amount + 1 WHERE id = 5",
        "transfer 5 was changed",
    ),
    "a row's words": (
        "UPDATE account_transfers SET description = 'x' WHERE id = 7",
        "transfer 7 was changed",
    ),
    "a row's task": (
        "UPDATE account_transfers SET task_id = task_id + 1 WHERE id = 3",
        "transfer 3 was changed",
    ),
    "a row deleted": ("DELETE FROM account_transfers WHERE id = 4", "transfer 4 is missing"),
    "a row put in": (
        """INSERT INTO account_transfers (event_id, kind, debit_account_id, credit_account_id,
             owner_account_id, amount, balance_after, account_version, timestamp, business_day,
             task_id, xid)
           SELECT uuidv7(), kind, debit_account_id, credit_account_id, owner_account_id, amount, 0,
                  account_version + 1000, timestamp, business_day, task_id, xid
           FROM account_transfers WHERE id = 1""",
        "was put in afterwards",
    ),
    "a block's digests": (
        "UPDATE ledger_blocks SET digests = set_byte(digests, 9, 255 - get_byte(digests, 9))",
        "block 1 was changed",
    ),
    "a block's hash": ("UPDATE ledger_blocks SET hash = sha256(hash)", "block 1 was changed"),
    "a block's past": (
        "UPDATE ledger_blocks SET previous_hash = sha256(hash)",
        "block 1 does not follow",
    ),
    "a block deleted": ("UPDATE ledger_blocks SET id = id + 1", "block 1 is missing"),
    "a balance": ("UPDATE accounts SET balance = balance + 1 WHERE user_id = 2", "account"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_superuser_s_change_is_named(
    company: Company, superuser: psycopg.Connection[Any], app: Flask, name: str
) -> None:
    sabotage, words = CHANGES[name]
    assert superuser.execute(sabotage).rowcount > 0
    result = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert result.exit_code == 1
    assert words in result.output


def test_the_command_says_that_all_is_well(company: Company, played: Any, app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert result.exit_code == 0, result.output
    # Between the lines a warning may stand, of a thread that found no Redis.
    assert any(line.startswith("head ") for line in result.output.splitlines())


def test_a_chain_made_anew_does_not_hold_the_hash_that_was_mailed(
    company: Company, superuser: psycopg.Connection[Any]
) -> None:
    """Who owns the database can forge rows and chain; the mailed hash gives them away."""
    mailed = verify(company).head
    superuser.execute("UPDATE account_transfers SET description = 'forged' WHERE id = 5")
    superuser.execute("UPDATE business_days SET sealed_block = NULL")
    superuser.execute("DELETE FROM ledger_blocks")
    company.call(commands.seal_ledger)
    assert verify(company).fault is None
    assert verify(company, expected=mailed).fault == f"no block has the hash {mailed}"

"""Closing a day with 100,000 people to pay, killed by SIGKILL again and again until it is closed.

Afterwards each person whose balance was positive has one payout, one transfer of its amount, one
event and one mail, and nobody else has any. The control takes the money before it writes down the
payout, is killed between the two, and must be found out.
"""

from __future__ import annotations

import subprocess
import sys
import time
from random import Random

from app import create_app
from app.accounting.commands import pay_to_workers
from app.accounting.queries.chain import verify_ledger
from app.kernel.db import db, in_transaction, sql
from bench.closing import DAY, accountant, prepare
from bench.report import Line
from bench.stage import Stage, quiet
from embedded.programs import python
from embedded.settings import ROOT

EMPLOYEES = 100_000
KILLS = 8
PLAYS = 2
TIMEOUT_S = 600

OWED = "CREATE TABLE owed AS SELECT id, balance FROM accounts WHERE balance > 0"
# Whoever was not paid exactly what they were owed, by one transfer, event and mail.
WRONG = """
SELECT count(*) FROM owed o
FULL JOIN (
  SELECT p.account_id, sum(p.amount) AS paid, sum(t.amount) AS moved, count(*) AS payouts,
         sum((SELECT count(*) FROM emails e WHERE e.payout_id = p.id)) AS mails,
         count(e.event_id) AS events
  FROM payouts p JOIN account_transfers t ON t.id = p.transfer_id AND t.kind = 'payout'
  LEFT JOIN outbox e ON e.event_id = t.event_id AND (e.payload->>'amount')::bigint = p.amount
  GROUP BY 1) AS p ON p.account_id = o.id
LEFT JOIN accounts a ON a.id = coalesce(o.id, p.account_id)
WHERE (o.balance, o.balance, 0, 1, 1, 1) IS DISTINCT FROM
      (p.paid, p.moved, a.balance, p.payouts, p.mails, p.events)
"""
TOTALS = """
SELECT d.status = 'closed' AND d.sealed_block IS NOT NULL
       AND (d.paid_count, d.paid_total) = (SELECT count(*), sum(balance) FROM owed)
       AND (SELECT count(*) FROM account_transfers WHERE kind = 'payout') = d.paid_count
FROM business_days d WHERE d.day = %s
"""
TAKE_THE_MONEY = sql("""
UPDATE accounts SET balance = 0, version = version + 1
WHERE id IN (SELECT id FROM accounts WHERE balance > 0 ORDER BY id LIMIT 1000)
""")


def measure(stage: Stage) -> list[Line]:
    """How long it takes unhurt; and, killed, whether everybody was paid once."""
    template = prepare(stage, EMPLOYEES)
    with stage.superuser(template) as connection:
        connection.execute(OWED)
    whole_s = _unhurt_s(stage, template)
    wrong = kills = 0
    for seed in range(PLAYS):
        killed, found = _killed(stage, template, Random(seed), whole_s)
        kills, wrong = kills + killed, wrong + found
    found_out = _torn(stage, template)
    stage.drop(template)
    return [
        Line(what=f"closing a day, {EMPLOYEES:,} to pay", figure=f"{whole_s:.1f} s"),
        Line(
            what=f"killed {kills} times in {PLAYS} closings, seeds 0 to {PLAYS - 1}",
            figure=f"{wrong} people paid wrongly",
            target="0, and killed",
            met=wrong == 0 and kills >= PLAYS,
        ),
        Line(
            what="control: the money taken first",
            figure=f"{found_out} people paid wrongly",
            target="> 0",
            met=found_out > 0,
        ),
    ]


def _unhurt_s(stage: Stage, template: str) -> float:
    database = stage.copy(template)
    child = _start(stage, database)
    began = time.perf_counter()
    _go(child)
    assert child.wait(TIMEOUT_S) == 0
    took_s = time.perf_counter() - began
    assert _wrong(stage, database) == 0
    stage.drop(database)
    return took_s


def _killed(stage: Stage, template: str, random: Random, whole_s: float) -> tuple[int, int]:
    """How often a closing was killed until it was done, and how many were paid wrongly then."""
    database = stage.copy(template)
    kills = 0
    while not _closed_unless_killed(stage, database, random.uniform(0, whole_s / 2), kills):
        kills += 1
    wrong = _wrong(stage, database)
    stage.drop(database)
    return kills, wrong


def _closed_unless_killed(stage: Stage, database: str, after_s: float, kills: int) -> bool:
    child = _start(stage, database)
    _go(child)
    try:
        code = child.wait(TIMEOUT_S if kills >= KILLS else after_s)
    except subprocess.TimeoutExpired:
        assert kills < KILLS, "it was left alone, and hangs"
        child.kill()
        child.wait()
        return False
    assert code == 0, code
    return True


def _torn(stage: Stage, template: str) -> int:
    """How many are paid wrongly when money and payout are not one transaction."""
    database = stage.copy(template)
    child = _start(stage, database, "torn")
    _go(child)
    assert child.stdout is not None
    assert child.stdout.readline() == "taken\n"
    child.kill()
    child.wait()
    assert _closed_unless_killed(stage, database, 0, KILLS)
    wrong = _wrong(stage, database)
    stage.drop(database)
    return wrong


def _start(stage: Stage, database: str, how: str = "whole") -> subprocess.Popen[str]:
    """A process that is ready to close the day."""
    child = subprocess.Popen(
        python("-c", f"from bench.killed import main; main({how!r})"),
        env=stage.env(database),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def _go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def _wrong(stage: Stage, database: str) -> int:
    """How many were paid wrongly; one more when the day, the sums or the chain are wrong."""
    with stage.superuser(database) as connection:
        (people,) = connection.execute(WRONG).fetchone() or (None,)
        is_right = connection.execute(TOTALS, [DAY]).fetchone() == (True,)
    with stage.app(database):
        again = pay_to_workers(accountant(), business_day=DAY)
        fault = verify_ledger(db.session()).fault
    assert people is not None
    return int(people) + (not is_right or not again.already_closed or fault is not None)


def main(how: str) -> None:
    """Close the day when told to; `torn` is the control."""
    app = create_app(process="worker")
    quiet()
    with app.app_context():
        actor = accountant()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        if how == "torn":
            in_transaction(lambda session: session.execute(TAKE_THE_MONEY))
            sys.stdout.write("taken\n")
            sys.stdout.flush()
            time.sleep(TIMEOUT_S)
        pay_to_workers(actor, business_day=DAY)

"""The guardian's rounds: run the checks, keep what they found.

Checks only read, each in a transaction without an id of its own, so that the relay, which waits
for older transactions, never waits for a check. What was found is written in a transaction after
that, together with the watermarks: who dies in between repeats the round.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.guardian import alerts
from app.guardian.checks import BY_NAME, CHECKS, HEARTBEAT, Check
from app.kernel.db import command, sql

log = structlog.get_logger(__name__)

Scope = Literal["increment", "whole"]
EVIDENCE_ROWS = 10
COUNTED_ROWS = 1_000
ACCOUNTS_AT_ONCE = 500
# A first round, or one after a long pause, catches up in steps of so many events.
EVENTS_AT_ONCE = 20_000
# A check of the whole is looked at again after this long; see `check_next_whole`.
WHOLE_EVERY = "20 hours"

# Where the last round stood, and where this one ends: never past the ledger's cursor, nor past
# the oldest transaction that still runs. The slice of accounts goes round.
WINDOW = sql("""
SELECT r.events_xid::text AS events_from, r.events_id AS events_from_id,
       coalesce(step.xid, c.xid, '0')::text AS events_to,
       coalesce(step.id, c.id, 0) AS events_to_id,
       r.transfers_below::text AS transfers_from,
       log_xid(pg_snapshot_xmin(pg_current_snapshot()))::text AS transfers_to,
       CASE WHEN r.slice_after >= coalesce((SELECT max(id) FROM accounts), 0) THEN 0
            ELSE r.slice_after END AS slice_after,
       CAST(:slice AS bigint) AS slice
FROM guardian_rounds r
LEFT JOIN outbox_cursors c ON c.consumer = 'accounting'
LEFT JOIN LATERAL (
  SELECT o.xid, o.id FROM outbox o
  WHERE o.xid BETWEEN r.events_xid AND c.xid
    AND (o.xid, o.id) > (r.events_xid, r.events_id) AND (o.xid, o.id) <= (c.xid, c.id)
  ORDER BY o.xid, o.id OFFSET :events LIMIT 1) AS step ON true
WHERE r.scope = 'increment'
""")
# What is new is a few rows, looked up by index, whatever the planner thinks of a window whose
# ends it does not know; the whole is sorted and hashed, by as many processes as
# the server allows, though the planner fears that every row breaks its rule. Nothing is written.
FOR_READING = {
    "increment": sql("""
SELECT set_config('statement_timeout', '20s', true), set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)
"""),
    "whole": sql("""
SELECT set_config('datestyle', 'ISO', true), set_config('work_mem', '128MB', true),
       set_config('enable_nestloop', 'off', true), set_config('enable_memoize', 'off', true),
       set_config('jit', 'off', true), set_config('min_parallel_table_scan_size', '0', true),
       set_config('parallel_setup_cost', '0', true), set_config('parallel_tuple_cost', '0', true)
"""),
}
# Moves the watermarks, unless another guardian has; the histogram moves with them.
FINISH_INCREMENT = sql("""
UPDATE guardian_rounds SET events_xid = CAST(:events_to AS xid8), events_id = :events_to_id,
  transfers_below = CAST(:transfers_to AS xid8), rounds = rounds + 1, ms = :ms,
  finished_at = now(), slice_after = coalesce((
    SELECT max(id) FROM (SELECT id FROM accounts WHERE id > :slice_after
                         ORDER BY id LIMIT :slice) AS s), 0)
WHERE scope = 'increment' AND transfers_below = CAST(:transfers_from AS xid8)
  AND (events_xid, events_id) = (CAST(:events_from AS xid8), CAST(:events_from_id AS bigint))
""")
# By real time, which an event's id tells (UUIDv7), whatever the demo's clock shows: a posting is
# business time less the shift. Where the clock was moved since the posting, the shift is another
# one, nobody knows how long it took, and it is not counted.
COUNT_DELAYS = sql("""
UPDATE posting_delays d SET transfers = d.transfers + n.transfers, total_ms = d.total_ms + n.ms
FROM (
  SELECT (SELECT min(up_to_ms) FROM posting_delays WHERE up_to_ms >= least(t.ms, 2147483647))
           AS up_to_ms, count(*) AS transfers, sum(t.ms) AS ms
  FROM (SELECT greatest(0, extract(epoch FROM posted_at - told_at) * 1000)::bigint AS ms
        FROM (SELECT recorded_at - (SELECT shift FROM business_clock) AS posted_at,
                     uuid_extract_timestamp(event_id) AS told_at
              FROM account_transfers
              WHERE xid >= CAST(:transfers_from AS xid8) AND xid < CAST(:transfers_to AS xid8)
                AND kind IN ('assign_fee', 'completion_reward')) AS moments
        WHERE posted_at BETWEEN told_at - interval '5 minutes' AND now()) AS t
  GROUP BY 1) AS n
WHERE d.up_to_ms = n.up_to_ms
""")
FINISH_WHOLE = sql("""
UPDATE guardian_rounds SET rounds = rounds + 1, ms = :ms, finished_at = now()
WHERE scope = 'whole'
""")
KEEP_RESULT = sql("""
INSERT INTO guardian_results (check_name, scope, ms, rows_found, error)
VALUES (:name, :scope, :ms, :rows, :error)
ON CONFLICT (check_name, scope) DO UPDATE SET checked_at = now(), ms = excluded.ms,
  rows_found = excluded.rows_found, error = excluded.error
""")
# What is found again keeps its row, so that people are told once.
SEEN_AGAIN = sql("""
UPDATE guardian_findings SET last_seen_at = now(), rows_found = greatest(rows_found, :rows),
  evidence = CASE WHEN rows_found < :rows THEN CAST(:evidence AS jsonb) ELSE evidence END
WHERE check_name = :name AND resolved_at IS NULL
""")
FOUND = sql("""
INSERT INTO guardian_findings (check_name, is_money, evidence, rows_found, found_by)
VALUES (:name, :is_money, CAST(:evidence AS jsonb), :rows, :scope)
ON CONFLICT (check_name) WHERE resolved_at IS NULL DO NOTHING
""")
RESOLVED = sql("""
UPDATE guardian_findings SET resolved_at = now() WHERE check_name = :name AND resolved_at IS NULL
""")
# Money findings that nobody has accepted as they are.
STOPPING = sql("""
SELECT check_name FROM guardian_findings
WHERE resolved_at IS NULL AND is_money AND rows_found > coalesce(accepted_rows, 0) ORDER BY id
""")
# The check of the whole that was looked at longest ago, when its time has come.
NEXT_WHOLE = sql(f"""
SELECT n.name FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS n (name, place)
LEFT JOIN guardian_results r ON r.check_name = n.name AND r.scope = 'whole'
WHERE r.checked_at IS NULL OR r.checked_at < now() - CASE
  WHEN extract(hour FROM now() AT TIME ZONE :timezone) BETWEEN 1 AND 4
  THEN interval '{WHOLE_EVERY}' ELSE interval '30 hours' END
ORDER BY r.checked_at NULLS FIRST, n.place LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: at most EVIDENCE_ROWS rows of it, and how many there are (bounded)."""

    check_name: str
    is_money: bool
    rows: int
    evidence: Sequence[Mapping[str, Any]]
    ms: int
    error: str | None = None


def check_increment() -> list[Finding]:
    """Check what is new since the last round; returns what was found. Catches up in steps."""
    started = time.monotonic()
    window = _window()
    checks = [check for check in CHECKS if check.increment]
    looked = [_look(check, check.increment or "", window, "increment") for check in checks]
    ms = round((time.monotonic() - started) * 1000)
    _keep(looked, "increment")
    _finish_increment({**window, "ms": ms})
    return [finding for finding in looked if finding.rows]


def check_everything() -> list[Finding]:
    """Check the whole of everything, now; returns what was found. Minutes on a large ledger.

    A check that cannot run counts as one that found something.
    """
    started = time.monotonic()
    looked = [_look(check, check.whole, {}, "whole") for check in CHECKS]
    _keep(looked, "whole")
    _finish_whole(round((time.monotonic() - started) * 1000))
    return [finding for finding in looked if finding.rows or finding.error]


def check_next_whole(timezone: str) -> str | None:
    """Run the one check of the whole whose time has come; returns its name, or None.

    At night, by `timezone`; one at a time, so that a worker relays in between.
    """
    name = _next_whole(timezone)
    if name is None:
        return None
    check = BY_NAME[name]
    looked = _look(check, check.whole, {}, "whole")
    _keep([looked], "whole")
    if _next_whole(timezone) is None:
        _finish_whole(looked.ms)
    return name


@command
def stopping_findings(session: Session) -> list[str]:
    """The names of open money findings that nobody accepted."""
    return list(session.execute(STOPPING).scalars())


@command
def _window(session: Session) -> dict[str, Any]:
    names = {"slice": ACCOUNTS_AT_ONCE, "events": EVENTS_AT_ONCE}
    return dict(session.execute(WINDOW, names).one()._mapping)  # noqa: SLF001 - the documented name


def _look(check: Check, statement: str, window: Mapping[str, Any], scope: Scope) -> Finding:
    started = time.monotonic()
    try:
        rows = _rows(statement, window, scope)
    except DBAPIError as error:
        ms = round((time.monotonic() - started) * 1000)
        log.exception("check_failed", check=check.name)
        return Finding(check.name, check.is_money, 0, [], ms, str(error.orig)[:500])
    ms = round((time.monotonic() - started) * 1000)
    if rows:
        log.error("guardian_found", check=check.name, rows=len(rows))
    return Finding(check.name, check.is_money, len(rows), rows[:EVIDENCE_ROWS], ms)


@command
def _rows(
    session: Session, statement: str, window: Mapping[str, Any], scope: Scope
) -> list[Mapping[str, Any]]:
    session.execute(FOR_READING[scope])
    # Planned for all rows: a LIMIT within would make the planner hope for an early end.
    counted = (
        f"WITH broken AS MATERIALIZED ({statement}\n)"
        f" SELECT to_jsonb(broken) FROM broken LIMIT {COUNTED_ROWS}"
    )
    return list(session.execute(sql(counted), dict(window)).scalars())


@command
def _keep(session: Session, looked: Sequence[Finding], scope: Scope) -> None:
    for finding in looked:
        check = BY_NAME[finding.check_name]
        session.execute(
            KEEP_RESULT,
            {
                "name": finding.check_name,
                "scope": scope,
                "ms": finding.ms,
                "rows": finding.rows,
                "error": finding.error,
            },
        )
        if finding.rows:
            keep_finding(session, check, finding, scope)
        elif finding.error is None and _clears(check, scope):
            session.execute(RESOLVED, {"name": check.name})


def _clears(check: Check, scope: Scope) -> bool:
    return scope == "whole" or not check.is_windowed


def keep_finding(session: Session, check: Check, finding: Finding, scope: Scope) -> bool:
    """Keep what was found until it is clean; whether it is news, of which people are told."""
    names = {
        "name": check.name,
        "is_money": check.is_money,
        "scope": scope,
        "rows": finding.rows,
        "evidence": json.dumps(finding.evidence),
    }
    if session.execute(SEEN_AGAIN, names).rowcount:  # type: ignore[attr-defined]
        return False
    if not session.execute(FOUND, names).rowcount:  # type: ignore[attr-defined]
        return False
    rows = json.dumps(finding.evidence, indent=1, ensure_ascii=False)[:6000]
    alerts.write(
        session,
        "finding",
        f"aTES: not in order: {check.name}",
        f"{check.means}\n\nWhat to do: {check.to_do}\n\nRows found: {finding.rows}\n{rows}",
    )
    return True


@command
def _finish_increment(session: Session, window: Mapping[str, Any]) -> None:
    if session.execute(FINISH_INCREMENT, dict(window)).rowcount:  # type: ignore[attr-defined]
        session.execute(COUNT_DELAYS, dict(window))
        session.execute(RESOLVED, {"name": HEARTBEAT.name})


@command
def _finish_whole(session: Session, ms: int) -> None:
    session.execute(FINISH_WHOLE, {"ms": ms})


@command
def _next_whole(session: Session, timezone: str) -> str | None:
    names = {"names": [check.name for check in CHECKS], "timezone": timezone}
    name: str | None = session.execute(NEXT_WHOLE, names).scalar()
    return name

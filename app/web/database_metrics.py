"""What the database says of the event flow, the ledger's guardian and the mail, as metrics."""

from __future__ import annotations

from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from app.kernel.db import db, sql

CONSUMERS = sql("""
SELECT c.consumer, c.events, c.batches, c.last_batch_ms / 1000.0::float8 AS last_batch_s,
       w.waiting, coalesce(w.age_s, 0)::float8 AS age_s,
       (SELECT count(*) FROM dead_letters d WHERE d.consumer = c.consumer AND d.state = 'parked')
         AS parked
FROM outbox_cursors c LEFT JOIN LATERAL (
  SELECT count(*) AS waiting, extract(epoch FROM business_now() - min(b.occurred_at)) AS age_s
  FROM (SELECT o.occurred_at FROM outbox o
        WHERE o.xid >= c.xid AND (o.xid, o.id) > (c.xid, c.id)
        ORDER BY o.xid, o.id LIMIT 10000) AS b) AS w ON true
ORDER BY c.consumer
""")
DELAYS = sql("SELECT up_to_ms, transfers, total_ms FROM posting_delays ORDER BY up_to_ms")
SYSTEM = sql("""
SELECT (SELECT count(*) FROM guardian_findings WHERE resolved_at IS NULL AND is_money) AS money,
       (SELECT count(*) FROM guardian_findings WHERE resolved_at IS NULL AND NOT is_money)
         AS others,
       (SELECT extract(epoch FROM now() - finished_at)::float8 FROM guardian_rounds
        WHERE scope = 'increment') AS guardian_age_s,
       coalesce((SELECT status <> 'running' FROM system_state), true)::int AS is_stopped,
       coalesce(extract(epoch FROM now() - oldest_transaction_started_at()), 0)::float8
         AS oldest_s,
       (pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        - pg_snapshot_xmin(pg_current_snapshot())::text::bigint) AS xids_behind,
       (SELECT count(*) FROM alerts WHERE mailed_at IS NULL) AS alerts_untold
""")
# Those that are not sent, by the index that has no others; and the counter of those that are.
MAILS = sql("""
SELECT s.state::text, coalesce(e.mails, 0) AS mails
FROM unnest(enum_range(NULL::email_state)) AS s (state)
LEFT JOIN (SELECT state, count(*) AS mails FROM emails WHERE state <> 'sent' GROUP BY state) AS e
  ON e.state = s.state
WHERE s.state <> 'sent' ORDER BY s.state
""")
MAILS_SENT = sql("SELECT sent FROM mail_totals")
NO_BOUND_MS = 2**31 - 1


def collect_database() -> list[Metric]:
    """Every metric that the database knows. Raises what SQLAlchemy raises."""
    return [*_consumers(), _delays(), *_system(), *_mails()]


def _consumers() -> list[Metric]:
    label = ["consumer"]
    gauges: dict[str, GaugeMetricFamily | CounterMetricFamily] = {
        "waiting": GaugeMetricFamily(
            "ates_events_waiting", "Events beyond the cursor, counted up to 10,000", labels=label
        ),
        "age_s": GaugeMetricFamily(
            "ates_oldest_waiting_event_seconds", "Age of the oldest event that waits", labels=label
        ),
        "last_batch_s": GaugeMetricFamily(
            "ates_last_batch_seconds", "How long the last batch took", labels=label
        ),
        "parked": GaugeMetricFamily("ates_dead_letters", "Dead letters parked", labels=label),
        "events": CounterMetricFamily("ates_events_delivered", "Events read", labels=label),
        "batches": CounterMetricFamily("ates_batches", "Batches delivered", labels=label),
    }
    for row in db.session.execute(CONSUMERS):
        for name, family in gauges.items():
            family.add_metric([row.consumer], float(getattr(row, name)))
    return list(gauges.values())


def _delays() -> Metric:
    family = HistogramMetricFamily(
        "ates_posting_delay_seconds", "From what happened on the board to its transfer"
    )
    so_far, total_ms = 0, 0
    buckets = []
    for row in db.session.execute(DELAYS):
        so_far, total_ms = so_far + row.transfers, total_ms + row.total_ms
        bound = "+Inf" if row.up_to_ms == NO_BOUND_MS else str(row.up_to_ms / 1000)
        buckets.append((bound, float(so_far)))
    family.add_metric([], buckets, sum_value=total_ms / 1000)
    return family


def _system() -> list[Metric]:
    row: Any = db.session.execute(SYSTEM).one()
    findings = GaugeMetricFamily(
        "ates_guardian_findings", "Checks that found something", labels=["kind"]
    )
    findings.add_metric(["money"], row.money)
    findings.add_metric(["other"], row.others)
    # A guardian that never finished a round is infinitely old.
    age = float("inf") if row.guardian_age_s is None else row.guardian_age_s
    gauges = {
        "ates_guardian_heartbeat_age_seconds": ("Since the guardian's last round", age),
        "ates_stopped": ("Whether changes are stopped", row.is_stopped),
        "ates_oldest_transaction_seconds": ("Age of the oldest transaction", row.oldest_s),
        "ates_oldest_xid_age": ("Transactions begun since the oldest running", row.xids_behind),
        "ates_alerts_untold": ("Alerts that no mail has told of", row.alerts_untold),
    }
    return [findings, *(GaugeMetricFamily(name, *said) for name, said in gauges.items())]


def _mails() -> list[Metric]:
    waiting = GaugeMetricFamily("ates_mails", "Mails that are not sent, by state", labels=["state"])
    for row in db.session.execute(MAILS):
        waiting.add_metric([row.state], row.mails)
    sent = CounterMetricFamily("ates_mails_sent", "Mails that a server took")
    sent.add_metric([], db.session.execute(MAILS_SENT).scalar_one())
    return [waiting, sent]

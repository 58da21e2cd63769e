"""The command line: `bin/ates COMMAND`. People and tokens are in app.auth.cli.

Every command ends with 0 when it did what it says, with 1 and one line on standard error when it
was refused, and with 2 when it was called wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup, with_appcontext

from app.accounting import commands as accounting
from app.accounting.cli import ledger
from app.auth.actors import actor_named, first_of_role, service_actor
from app.demo import company, history
from app.doctor.cli import doctor
from app.guardian import cli as guardian
from app.guardian.commands import discard_letter, retry_letter
from app.kernel import settings
from app.kernel.actor import Actor
from app.kernel.db import db
from app.kernel.errors import AtesError
from app.kernel.money import decimal_string
from app.kernel.policy import Role
from app.outbox import archive, archive_files, dead_letters, partitions, relay, status
from app.outbox.rebase import rebase
from app.payments.cli import mail
from app.schedules import PAYMENT_SERVICE
from app.subscriptions import CONSUMERS
from app.tasks import commands as tasks
from app.tasks.imports import BadFile, read_backlog

payouts = AppGroup("payouts", help="Closing business days.")
outbox = AppGroup("outbox", help="The event log, its consumers and dead letters.")
demo = AppGroup("demo", help="The demo company (only with ATES_DEMO=1).")


def init_app(app: Flask) -> None:
    """Add the commands to `flask` (and so to bin/ates)."""
    for command in (import_tasks, payouts, ledger, mail, outbox, demo):
        app.cli.add_command(command)
    guardian.init_app(app)
    app.cli.add_command(doctor)


def _refusing(function: Callable[..., None]) -> Callable[..., None]:
    """Turn what aTES refuses into one line and exit code 1."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except BadFile as error:
            lines = [f"{error.title}:", *map(str, error.faults)]
            raise click.ClickException("\n  ".join(lines)) from error
        except AtesError as error:
            raise click.ClickException(error.in_one_line) from error

    return run


def _actor(login: str | None, default: Role) -> Actor:
    return actor_named(db.session(), login) if login else first_of_role(db.session(), default)


@click.command("import-tasks")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--as", "login", help="Who creates the tasks (default: the first administrator).")
@with_appcontext
@_refusing
def import_tasks(file: Path, login: str | None) -> None:
    """Create a task for each row of FILE, a CSV in the shape of Jira's export.

    Columns: Summary, and if present Issue key and Description; others are ignored. All rows are
    created in one transaction, or none: then each bad row is named by its line.
    """
    actor = _actor(login, Role.ADMINISTRATOR)
    drafts = read_backlog(file)
    created = tasks.create_tasks(actor, drafts)
    employees = len({task.assigned_to for task in created})
    click.echo(f"{len(created)} tasks created and assigned to {employees} employees")


@payouts.command("run")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Default: yesterday.")
@_refusing
def run_payouts(day: datetime | None) -> None:
    """Close the business day (and those before it) and pay every positive balance, once."""
    wanted: date | None = day.date() if day else None
    closed = accounting.pay_to_workers(service_actor(PAYMENT_SERVICE), business_day=wanted)
    _echo_closed(closed)


def _echo_closed(closed: accounting.ClosedDay) -> None:
    how = "was closed already" if closed.already_closed else "is closed"
    click.echo(
        f"{closed.business_day} {how}: {closed.paid_count} paid,"
        f" {decimal_string(closed.paid_total)} in all"
    )


@outbox.command("status")
@_refusing
def outbox_status() -> None:
    """Show each consumer's cursor and what waits. Ends with 1 when a dead letter is parked."""
    rows = status.consumers(db.session())
    for row in rows:
        click.echo(
            f"{row.consumer}: {row.events} events in {row.batches} batches, cursor"
            f" ({row.xid}, {row.id}) of epoch {row.epoch}, {row.waiting} waiting"
            + (f" for up to {row.oldest_age_s:.0f} s" if row.waiting else "")
            + f", {row.parked} dead letters"
        )
    if not rows:
        click.echo("no consumer has read the log yet")
    if any(row.parked for row in rows):
        raise click.exceptions.Exit(1)


@outbox.command("relay")
@_refusing
def outbox_relay() -> None:
    """Deliver everything that waits, here and now; safe beside running workers."""
    for consumer in CONSUMERS:
        done = relay.drain(consumer)
        click.echo(f"{consumer.name}: {done.events} events delivered, {done.parked} parked")


@outbox.command("archive")
@_refusing
def archive_outbox() -> None:
    """Archive the partitions of the log that everybody has read and that are old enough.

    Each becomes a file in OUTBOX_ARCHIVE_DIR, or in $ATES_DATA/archive where that is not set; is
    read back, and then leaves the database. Works as the owner of the tables
    (MIGRATION_DATABASE_URL). A worker that knows both settings does it every hour.
    """
    try:
        done = archive.archive_due(settings.current(), _consumers(), tell=_tell_archived)
    except OSError as error:
        raise click.ClickException(f"the archive cannot be written: {error}") from error
    click.echo("" if done else "Nothing is due.", nl=not done)


def _tell_archived(made: archive_files.Manifest) -> None:
    click.echo(f"{made.partition}: {made.events:,} events are in {made.file}")


@outbox.command("archives")
@_refusing
def list_archives() -> None:
    """List the log's partitions and read every archive. Ends with 1 when one is not as written."""
    chosen = settings.current()
    keep_days = chosen.outbox_keep_days
    found = partitions.partitions(db.session(), consumers=_consumers(), keep_days=keep_days)
    for partition in found:
        if partition.archived_at is None:
            until = f" until {partition.last_at:%Y-%m-%d}" if partition.last_at else ""
            why = partition.kept_because
            said = f"in the log: {why}" if why else "in the log: may be archived"
            click.echo(f"{partition.xid_from}-{partition.xid_to}{until}  {said}")
    damaged = 0
    folder = chosen.archive_folder
    for made in archive_files.archives(db.session()):
        try:
            archive_files.check_file(folder, made)
            said = f"{made.events:,} events, as written"
        except archive_files.ArchiveDamaged as error:
            damaged, said = damaged + 1, error.message
        click.echo(f"{made.xid_from}-{made.xid_to}  {made.file}: {said}")
    if damaged:
        raise click.ClickException(f"{damaged} missing or damaged: put copies back in their place")


@outbox.command("rebase")
@_refusing
def rebase_outbox() -> None:
    """Make the log go on after it was restored, or loaded into another server.

    Nothing is lost and nothing doubled; done again, it raises the epoch of the cursors and changes
    nothing else. Works as the owner of the tables (MIGRATION_DATABASE_URL).
    """
    done = rebase(settings.current())
    if done.grew_by:
        click.echo(f"The log was ahead of this server: it goes on {done.ahead:,} transactions on.")
    else:
        click.echo("No part of the log is ahead of this server.")
    for consumer in done.lost_cursors:
        click.echo(f"The cursor of {consumer} named no event: all of the log is delivered again.")
    click.echo(f"The cursors are in epoch {done.epoch}." if done.epoch else "There is no cursor.")


def _consumers() -> list[str]:
    return [consumer.name for consumer in CONSUMERS]


@outbox.command("dead-letters")
@click.option("--all", "everything", is_flag=True, help="Also those that were settled.")
@_refusing
def list_dead_letters(everything: bool) -> None:  # noqa: FBT001 - click passes it by name
    """List the newest dead letters with their causes."""
    for row in dead_letters.letters(db.session(), parked_only=not everything):
        click.echo(
            f"{row.id} {row.consumer} {row.type} {row.event_id} {row.state}"
            f" attempts={row.attempts} parked={row.parked_at:%Y-%m-%dT%H:%M:%S%z}: {row.cause}"
        )


@outbox.command("retry")
@click.argument("letter", type=int)
@_refusing
def retry_dead_letter(letter: int) -> None:
    """Deliver the parked event LETTER again. Ends with 1 when it fails again."""
    if not retry_letter(None, letter_id=letter):
        raise click.ClickException("it failed again; its cause was updated")
    click.echo("delivered")


@outbox.command("discard")
@click.argument("letter", type=int)
@click.option("--reason", required=True)
@_refusing
def discard_dead_letter(letter: int, reason: str) -> None:
    """Give the parked event LETTER up, with a reason."""
    discard_letter(None, letter_id=letter, reason=reason)
    click.echo("discarded")


@demo.command("seed")
@click.option("--days", default=history.DAYS, show_default=True, type=click.IntRange(1, 366))
@_refusing
def seed_demo(days: int) -> None:
    """Make the demo company and its history, unless there are people already."""
    with click.progressbar(length=days, label="Playing the demo company's history") as bar:
        made = history.seed(lambda done, _all: bar.update(done - bar.pos), days=days)
        bar.update(days - bar.pos)
    click.echo("The demo company is ready" if made else "There are people already: nothing done")


@demo.command("accounts")
@_refusing
def demo_accounts() -> None:
    """Print who can sign in to the demo company."""
    for login, role in history.accounts():
        click.echo(f"{login:<12} {role.value:<14} {company.PASSWORD}")


@demo.command("end-day")
@click.option("--as", "login", help="Which accountant (default: the first).")
@_refusing
def end_demo_day(login: str | None) -> None:
    """Move the demo's clock to the next business day, and close and pay the one before."""
    _echo_closed(accounting.end_demo_day(_actor(login, Role.ACCOUNTANT)))

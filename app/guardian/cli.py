"""The command line of the guardian: stop, resume, check, replay, and the doctor."""

from __future__ import annotations

import sys
from typing import Any

import click
from flask import Flask
from flask.cli import with_appcontext

from app.guardian import alerts, commands, replay
from app.kernel import settings, system
from app.kernel.db import db, in_transaction
from app.kernel.errors import AtesError

STALE = "the guardian's rounds go on waiting for changes under way"


def init_app(app: Flask) -> None:
    """Add the commands to `flask`, and `rebuild` to the group `ledger`."""
    for command in (stop, resume, check):
        app.cli.add_command(command)
    ledger = app.cli.commands.get("ledger")
    if isinstance(ledger, click.Group):
        ledger.add_command(rebuild)


@click.command("stop")
@click.option("--reason", required=True)
@with_appcontext
def stop(reason: str) -> None:
    """Stop all changes, in every process at once. Reading and signing in go on."""
    incident = _refusing(lambda: commands.stop(None, reason=reason, origin="command line"))
    status = in_transaction(system.state).status
    done = "no change can commit any more" if status == "stopped" else STALE
    click.echo(f"Changes are stopped, incident {incident}: {done}.")


@click.command("resume")
@click.option("--reason", required=True)
@click.option(
    "--despite-findings",
    is_flag=True,
    help="Accept what the checks find: it stops changes again only if it grows.",
)
@with_appcontext
def resume(reason: str, *, despite_findings: bool) -> None:
    """Check everything, and let changes go on if the money is in order."""
    _refusing(lambda: commands.resume(None, reason=reason, despite_findings=despite_findings))
    click.echo("Changes go on.")


@click.command("check")
@with_appcontext
def check() -> None:
    """Run every check of the guardian on everything, now. Ends with 1 when one found something.

    A finding of money stops changes at the guardian's next round.
    """
    found = _refusing(commands.check_everything)
    for finding in found:
        what = finding.error or f"{finding.rows} rows, the first: {finding.evidence[0]}"
        click.echo(f"{'MONEY ' if finding.is_money else ''}{finding.check_name}: {what}")
    alerts.send_due()
    if found:
        raise click.exceptions.Exit(1)
    click.echo("All in order.")


@click.command("rebuild")
@click.option("--shadow", is_flag=True, required=True, help="Beside the ledger, not in its place.")
@click.option("--keep", is_flag=True, help=f"Leave the schema {replay.SCHEMA} behind.")
@with_appcontext
def rebuild(*, shadow: bool, keep: bool) -> None:
    """Rebuild the ledger from the event log and compare, row by row. Ends with 1 if they differ."""
    if not shadow:
        raise click.UsageError("the ledger is never rebuilt in its place: --shadow")
    compared = _refusing(lambda: replay.rebuild(settings.current(), keep=keep))
    click.echo(f"{'part':<18}{'from the log':>14}{'differ':>10}")
    for part in compared:
        click.echo(f"{part.part:<18}{part.rows:>14,}{part.differ:>10,}")
    for part in compared:
        for row in part.first:
            said = ", ".join(f"{name}={value}" for name, value in row.items())
            click.echo(f"  {part.part}: {said}")
    if any(part.differ for part in compared):
        click.echo(f"They differ; what the log makes is in the schema {replay.SCHEMA}.", err=True)
        raise click.exceptions.Exit(1)
    click.echo("The ledger is what the log makes.")


def _refusing(work: Any) -> Any:
    """The answer of `work`; what aTES refuses is one line and exit code 1."""
    try:
        return work()
    except AtesError as error:
        click.echo(f"Error: {error.in_one_line}", err=True)
        sys.exit(1)
    finally:
        db.session.remove()

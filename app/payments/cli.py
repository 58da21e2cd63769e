"""The command line of mail: `bin/ates mail …`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.kernel.actor import Actor
from app.kernel.db import db, sql
from app.kernel.errors import AtesError
from app.kernel.policy import Role
from app.payments import commands, queries

mail = AppGroup("mail", help="The mails of payouts and of closed days.")
# Whose hand it is, where nobody is signed in.
ACCOUNTANT = sql("""
SELECT id, login FROM users
WHERE role = 'accountant' AND is_active AND (CAST(:login AS text) IS NULL OR login = :login)
ORDER BY id LIMIT 1
""")


@mail.command("list")
@click.option("--state", type=click.Choice(queries.STATES), help="Only these.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
def list_mails(state: str | None, limit: int) -> None:
    """List the newest mails with their states, and how many are not sent."""
    counts = queries.unsent_counts(db.session())
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    for row in queries.mails(db.session(), state=state, limit=limit)[:limit]:
        click.echo(
            f"{row.id} {row.state} {row.kind} {row.business_day} {row.login}"
            f" attempts={row.attempts}" + (f": {row.last_error}" if row.last_error else "")
        )


@mail.command("resend")
@click.argument("email_id", type=int, required=False)
@click.option("--unsent", is_flag=True, help="All that failed, or whose fate is not known.")
@click.option("--as", "login", help="Which accountant (default: the first).")
def resend(email_id: int | None, unsent: bool, login: str | None) -> None:  # noqa: FBT001 - click
    """Queue a mail once more: EMAIL_ID of `mail list`, or with --unsent all of those."""
    if (email_id is None) is not unsent:
        raise click.UsageError("give an id, or --unsent")
    try:
        if email_id is None:
            click.echo(f"{commands.resend_unsent(_accountant(login))} mails queued")
        else:
            commands.resend(_accountant(login), email_id)
            click.echo("queued")
    except AtesError as error:
        raise click.ClickException(error.message) from error


@mail.command("send")
def send() -> None:
    """Send what is due, here and now; safe beside running workers."""
    click.echo(f"{commands.send_due_mail()} mails sent")


def _accountant(login: str | None) -> Actor:
    row = db.session().execute(ACCOUNTANT, {"login": login}).one_or_none()
    if row is None:
        raise click.ClickException("there is no such accountant")
    return Actor(row.id, row.login, Role.ACCOUNTANT)

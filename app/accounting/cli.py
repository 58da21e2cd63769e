"""The command line of the ledger: `bin/ates ledger …`."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from app.accounting import commands
from app.accounting.queries.chain import head_of_chain, verify_ledger
from app.kernel.db import db

ledger = AppGroup("ledger", help="The hash chain over the ledger.")


@ledger.command("verify")
@click.option("--hash", "expected", help="A hash that must be in the chain: a closing report's.")
def verify(expected: str | None) -> None:
    """Check the chain, every sealed transfer and the sums; end with 1, naming the first bad row."""
    verdict = verify_ledger(db.session(), expected=expected.lower() if expected else None)
    click.echo(f"{verdict.transfers} transfers in {verdict.blocks} blocks are as they were sealed")
    if verdict.fault:
        raise click.ClickException(verdict.fault)
    click.echo(f"head {verdict.head}")


@ledger.command("seal")
def seal() -> None:
    """Seal what is not sealed yet; the schedule does it too."""
    blocks = commands.seal_ledger()
    head = head_of_chain(db.session())
    click.echo(f"{blocks} blocks made; head {head.hash if head else 'none'}")

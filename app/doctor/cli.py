"""`bin/ates doctor`: one screen of what works, what does not, and why."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.doctor.examination import examine, examine_copy
from app.kernel import settings

SIGNS = {True: ("ok", "green"), None: ("look", "yellow"), False: ("FAIL", "red")}


@click.command("doctor")
@click.option("--url", help="Where the web server is asked. Default: PUBLIC_URL.")
@click.option(
    "--before-deploy",
    is_flag=True,
    help="On a restored copy, with nothing else running: this program on that data.",
)
@with_appcontext
def doctor(url: str | None, *, before_deploy: bool) -> None:
    """Play the planned scenarios on the deployed system; ends with 1 when something fails.

    Nobody's tasks, money or mail are touched: the scenarios are played on tables that only the
    doctor's connection sees.
    """
    address = (url or settings.current().public_url).rstrip("/")
    lines = examine_copy() if before_deploy else examine(address=address)
    failed = 0
    for line in lines:
        sign, colour = SIGNS[line.is_well]
        failed += line.is_well is False
        click.echo(f"{click.style(f'{sign:<5}', fg=colour)}{line.part:<29}{line.note}")
    if failed:
        click.echo(f"{failed} {'part does' if failed == 1 else 'parts do'} not work.", err=True)
        raise click.exceptions.Exit(1)
    click.echo("Everything works.")

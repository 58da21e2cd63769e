"""The command line: people and tokens, for whoever runs the machine."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import click
from flask import current_app
from flask.cli import AppGroup

from app.auth import commands, queries
from app.kernel.db import db
from app.kernel.errors import AtesError, BadInput, NotFound
from app.kernel.policy import POLICY, Role
from app.kernel.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
GENERATED_WORDS = 24
ROLES = click.Choice([role.value for role in Role])

user_cli = AppGroup("user", help="People and services: make, invite, change, deactivate.")
token_cli = AppGroup("token", help="API tokens.")


def _clear_errors(function: Callable[P, R]) -> Callable[P, R]:
    """End with one line and exit code 1 instead of a traceback for what aTES refuses."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BadInput as error:
            _fail("; ".join(f"{name}: {text}" for name, text in error.fields.items()) or str(error))
        except AtesError as error:
            _fail(error.message)

    return run


@user_cli.command("create")
@click.argument("login")
@click.option("--email", required=True, help="E-mail address.")
@click.option("--role", type=ROLES, required=True)
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input's first line."
)
@_clear_errors
def create(login: str, email: str, role: str, *, password_stdin: bool) -> None:
    """Make an account. Without --password-stdin a password is made and printed once."""
    password = _password(role, from_stdin=password_stdin)
    user_id = commands.create_user(None, login=login, email=email, role=role, password=password)
    click.echo(f"Created {login} ({role}), user {user_id}.")
    if password and not password_stdin:
        click.echo(f"Password: {password}")
    if password is None:
        click.echo(f"A service signs in by token only: flask token create {login}")


@user_cli.command("invite-first-admin")
@_clear_errors
def invite_first_admin() -> None:
    """Print a one-time link that makes the first administrator; it lives a day."""
    token = commands.invite_first_administrator()
    settings: Settings = current_app.config["SETTINGS"]
    click.echo(f"{settings.public_url}/invitations/{token}")


@user_cli.command("reset-password")
@click.argument("login")
@_clear_errors
def reset_password(login: str) -> None:
    """Print a one-time link with which LOGIN chooses a new password; it lives an hour."""
    token = commands.invite_to_reset_password(None, user_id=_user_id(login))
    settings: Settings = current_app.config["SETTINGS"]
    click.echo(f"{settings.public_url}/invitations/{token}")


@user_cli.command("set-role")
@click.argument("login")
@click.argument("role", type=ROLES)
@_clear_errors
def set_role(login: str, role: str) -> None:
    """Give LOGIN another ROLE; open tasks go to others if it cannot be assigned any."""
    commands.change_role(None, user_id=_user_id(login), role=role)
    click.echo(f"{login} is {role} now.")


@user_cli.command("deactivate")
@click.argument("login")
@_clear_errors
def deactivate(login: str) -> None:
    """Deactivate LOGIN: sessions and tokens end, open tasks go to others."""
    commands.set_active(None, user_id=_user_id(login), is_active=False)
    click.echo(f"{login} is deactivated.")


@user_cli.command("activate")
@click.argument("login")
@_clear_errors
def activate(login: str) -> None:
    """Activate LOGIN: they can sign in again."""
    commands.set_active(None, user_id=_user_id(login), is_active=True)
    click.echo(f"{login} is active.")


@token_cli.command("create")
@click.argument("login")
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True)
@click.option("--name", default="command line", show_default=True)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(sorted(POLICY)),
    help="Limit the token to this action; may be given more than once.",
)
@_clear_errors
def create_token(login: str, days: int, name: str, scopes: tuple[str, ...]) -> None:
    """Make an API token for LOGIN and print it, once."""
    issued = commands.issue_token(
        None,
        user_id=_user_id(login),
        name=name,
        lifetime=timedelta(days=days),
        scopes=scopes or None,
    )
    click.echo(issued.token)


def _user_id(login: str) -> int:
    user_id = queries.user_id_of(db.session(), login)
    if user_id is None:
        raise NotFound(f"There is no user {login}")
    return user_id


def _password(role: str, *, from_stdin: bool) -> str | None:
    if role == Role.INTERNALSERVICE:
        return None
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return secrets.token_urlsafe(GENERATED_WORDS)


def _fail(message: str, code: int = 1) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    raise click.exceptions.Exit(code)


def init_app(app: Any) -> None:
    """Add the command groups to `flask`."""
    app.cli.add_command(user_cli)
    app.cli.add_command(token_cli)

"""Handing a mail over: to the server of SMTP_URL, or into a folder where none is set."""

from __future__ import annotations

import os
import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from app.kernel.settings import Settings

TIMEOUT_S = 10


class DeliveryRefused(Exception):
    """The mail was not taken: the server is away, or said no."""


class DeliveryUnknown(Exception):
    """The connection was lost after the mail was handed over: it may have been taken."""


def deliver(message: EmailMessage, settings: Settings) -> None:
    """Deliver `message`. Raises DeliveryRefused or DeliveryUnknown."""
    if settings.smtp_url is None:
        _write(message, settings.data_dir / "mail")
    else:
        _send(message, settings.smtp_url)


def _write(message: EmailMessage, folder: Path) -> None:
    """Write the mail as `<message id>.eml`; a second delivery writes the same file again."""
    name = message["Message-ID"].strip("<>").replace("/", "_") + ".eml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{name}.{os.getpid()}"
        unfinished.write_bytes(message.as_bytes())
        unfinished.replace(folder / name)
    except OSError as error:
        raise DeliveryRefused(f"cannot write to the mail folder: {error.strerror}") from error


def _send(message: EmailMessage, url: str) -> None:
    try:
        with _connected(url) as server:
            server.send_message(message)
    except smtplib.SMTPServerDisconnected as error:
        raise DeliveryUnknown(str(error)) from error
    except TimeoutError as error:
        raise DeliveryUnknown("the mail server did not answer in time") from error
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryRefused(f"{type(error).__name__}: {error}") from error


def _connected(url: str) -> smtplib.SMTP:
    """A connection to `smtp://` or `smtps://user:password@host:port?starttls=1`, TLS verified."""
    parts = urlsplit(url)
    context = ssl.create_default_context()
    host = parts.hostname or "localhost"
    server: smtplib.SMTP
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_S)
        if parse_qs(parts.query).get("starttls") == ["1"]:
            server.starttls(context=context)
    if parts.username:
        server.login(unquote(parts.username), unquote(parts.password or ""))
    return server

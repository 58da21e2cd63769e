"""Handing mails over: to the server of SMTP_URL, or into a folder where none is set."""

from __future__ import annotations

import os
import re
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from app.kernel.settings import Settings

TIMEOUT_S = 10.0
PERMANENT = 500
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_UNSAFE = re.compile(r"[^A-Za-z0-9@._-]")


class DeliveryRefused(Exception):
    """The mail was not taken, and may be taken later: the server is away, or busy."""


class DeliveryImpossible(Exception):
    """The server said no for good: the mailbox does not exist, or the mail is not wanted."""


class DeliveryUnknown(Exception):
    """The connection was lost after the mail was handed over: it may have been taken."""


class Postman:
    """Delivers mails, over one connection while it lasts."""

    def __init__(self, settings: Settings, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = settings.smtp_url
        self._folder = mail_folder(settings)
        self._timeout_s = timeout_s
        self._server: smtplib.SMTP | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hang_up()

    def deliver(self, message: EmailMessage) -> None:
        """Deliver. Raises DeliveryRefused, DeliveryImpossible or DeliveryUnknown."""
        if self._url is None:
            _write(message, self._folder)
            return
        content = message.as_bytes()
        try:
            server = self._address(self._url, message)
        except (OSError, smtplib.SMTPException) as error:
            self._hang_up()
            raise DeliveryRefused(_words(error)) from error
        self._hand_over(server, content)

    def _address(self, url: str, message: EmailMessage) -> smtplib.SMTP:
        """Say from whom and to whom: until then nothing of the mail was handed over."""
        if self._server is None:
            self._server = connect(url, timeout_s=self._timeout_s)
        sender = message["From"].addresses[0].addr_spec
        recipient = message["To"].addresses[0].addr_spec
        code, answer = self._server.mail(sender)
        if code >= PERMANENT - 100:
            raise smtplib.SMTPSenderRefused(code, answer, sender)
        code, answer = self._server.rcpt(recipient)
        if code >= PERMANENT:
            self._hang_up()
            raise DeliveryImpossible(f"{code} {answer.decode(errors='replace')}")
        if code >= PERMANENT - 100:
            raise smtplib.SMTPResponseException(code, answer)
        return self._server

    def _hand_over(self, server: smtplib.SMTP, content: bytes) -> None:
        try:
            code, answer = server.data(content)
        except smtplib.SMTPDataError as error:  # it did not want to begin
            self._hang_up()
            raise DeliveryRefused(_words(error)) from error
        except (OSError, smtplib.SMTPException) as error:
            self._hang_up()
            raise DeliveryUnknown(f"handed over, but not answered: {_words(error)}") from error
        words = f"{code} {answer.decode(errors='replace')}"
        if code >= PERMANENT:
            self._hang_up()
            raise DeliveryImpossible(words)
        if code >= PERMANENT - 100:
            self._hang_up()
            raise DeliveryRefused(words)

    def _hang_up(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            with suppress(OSError, smtplib.SMTPException):
                server.close()


def connect(url: str, *, timeout_s: float = TIMEOUT_S) -> smtplib.SMTP:
    """A session at `smtp://` or `smtps://user:password@host:port?starttls=1`; TLS is verified.

    A name and password go over TLS alone, unless the server is on this machine.
    """
    parts = urlsplit(url)
    context = ssl.create_default_context()
    host = parts.hostname or "localhost"
    server: smtplib.SMTP
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=timeout_s, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 25, timeout=timeout_s)
    try:
        _introduce(server, parts, context)
    except BaseException:
        server.close()
        raise
    return server


def _introduce(server: smtplib.SMTP, url: SplitResult, context: ssl.SSLContext) -> None:
    """Say hello, by TLS if the address asks for it, and who we are if it names somebody."""
    server.ehlo_or_helo_if_needed()
    is_private = url.scheme == "smtps" or url.hostname in LOOPBACK
    if url.scheme != "smtps" and parse_qs(url.query).get("starttls") == ["1"]:
        server.starttls(context=context)
        server.ehlo()
        is_private = True
    if url.username:
        if not is_private:
            raise smtplib.SMTPException("a password goes over TLS: smtps:// or ?starttls=1")
        server.login(unquote(url.username), unquote(url.password or ""))


def mail_folder(settings: Settings) -> Path:
    """Where mails are written as files when there is no mail server."""
    return settings.data_dir / "mail"


def file_name(message_id: str) -> str:
    """The file of the mail with this Message-ID, the same at each attempt."""
    return _UNSAFE.sub("_", message_id.strip("<>")) + ".eml"


def _write(message: EmailMessage, folder: Path) -> None:
    name = file_name(message["Message-ID"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f".{name}.{os.getpid()}"
        unfinished.write_bytes(message.as_bytes())
        unfinished.replace(folder / name)
    except OSError as error:
        raise DeliveryRefused(f"cannot write to the mail folder: {error.strerror}") from error


def _words(error: Exception) -> str:
    """What went wrong, without names and passwords: only what the server or system said."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{error.smtp_code} the mail server did not take the name and password"
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        return f"{error.smtp_code} {text}"
    return f"{type(error).__name__}: {error}"

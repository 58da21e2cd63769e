"""The folder of mails that were written as files, since no mail server is set."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from functools import lru_cache
from pathlib import Path

from app.kernel.settings import Settings
from app.payments.delivery import mail_folder

SHOWN = 100
_NAME = re.compile(r"[A-Za-z0-9@_-][A-Za-z0-9@._-]{0,200}\.eml")


@dataclass(frozen=True, slots=True)
class Head:
    """What a mail's head says."""

    name: str
    written_at: datetime
    to: str
    subject: str


@dataclass(frozen=True, slots=True)
class FolderMail:
    """A mail as its file holds it."""

    head: Head
    text: str
    content: bytes


def mails_in(settings: Settings) -> list[Head]:
    """The heads of the folder's newest mails."""
    folder = mail_folder(settings)
    if not folder.is_dir():
        return []
    found = [(path.stat().st_mtime_ns, path) for path in folder.glob("[!.]*.eml")]
    newest = sorted(found, reverse=True)[:SHOWN]
    return [_head(path, written_ns) for written_ns, path in newest if _NAME.fullmatch(path.name)]


def read_mail(settings: Settings, name: str) -> FolderMail | None:
    """The mail in the file `name` of the folder, or None; never a file of another folder."""
    path = mail_folder(settings) / name
    return _read(path) if _NAME.fullmatch(name) and path.is_file() else None


@lru_cache(maxsize=4 * SHOWN)
def _head(path: Path, written_ns: int) -> Head:
    """The head of a file that was written then; a millisecond of work, so it is kept."""
    with path.open("rb") as file:
        message = BytesHeaderParser(policy=email.policy.default).parse(file)
    written_at = datetime.fromtimestamp(written_ns / 1e9, UTC)
    return Head(path.name, written_at, str(message["To"]), str(message["Subject"]))


def _read(path: Path) -> FolderMail:
    content = path.read_bytes()
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)  # what this policy makes
    body = message.get_body(preferencelist=("plain",))
    head = _head(path, path.stat().st_mtime_ns)
    return FolderMail(head, body.get_content() if body else "", content)

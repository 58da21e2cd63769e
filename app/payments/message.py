"""The mails, as text and as HTML.

Of a payout to an employee, of a closed day to an accountant, of what one has not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel.dates import format_date
from babel.numbers import format_currency
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.kernel import settings
from app.kernel.money import MINOR_PER_MAJOR
from app.payments.queries import Digest, Payout
from app.payments.words import WORDS, language_of

TEMPLATES = Path(__file__).parents[2] / "templates" / "mail"


class MessageRefused(Exception):
    """The mail cannot be written: an address is none, or holds what no header may hold."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Whom a mail goes to, and what stays the same at each attempt to send it."""

    message_id: str
    queued_at: datetime
    login: str
    address: str
    locale: str | None


def payout_message(envelope: Envelope, payout: Payout) -> EmailMessage:
    """The mail that tells an employee what they were paid, with the lines that made it."""
    facts = {
        "day": payout.business_day,
        "amount": payout.amount,
        "lines": payout.lines,
        "older_lines": payout.older_lines,
        "older_sum": payout.older_sum,
        "url": f"{settings.current().public_url}/account",
    }
    return _message(envelope, "payout", facts)


def closing_message(envelope: Envelope, closing: Any) -> EmailMessage:
    """The mail that tells an accountant that a day is closed, with the head of the hash chain."""
    facts = {
        "day": closing.day,
        "amount": closing.paid_total,
        "fees": closing.fees or 0,
        "rewards": closing.rewards or 0,
        "corrections": -(closing.corrections or 0),
        "income": closing.income or 0,
        "paid_count": closing.paid_count,
        "block": closing.sealed_block,
        "head_hash": closing.head_hash,
        "url": f"{settings.current().public_url}/payouts/{closing.day}",
    }
    return _message(envelope, "closing", facts)


def digest_message(envelope: Envelope, digest: Digest) -> EmailMessage:
    """The mail that tells somebody what is in their notifications unread.

    Raises MessageRefused when all of it is forgotten by now.
    """
    if not digest.lines:
        raise MessageRefused("what it was to tell of is forgotten")
    url = settings.current().public_url
    facts = {
        "lines": digest.lines,
        "older_lines": digest.older_lines,
        "count": len(digest.lines) + digest.older_lines,
        "url": f"{url}/notifications",
        "settings_url": f"{url}/settings",
    }
    return _message(envelope, "digest", facts)


def _message(envelope: Envelope, kind: str, facts: Mapping[str, Any]) -> EmailMessage:
    language = language_of(envelope.locale)
    said = {
        "login": envelope.login,
        "day": _day(facts["day"], language) if "day" in facts else "",
        "amount": _money(facts["amount"], language) if "amount" in facts else "",
        "block": facts.get("block"),
        "lines": facts.get("older_lines"),
        "count": facts.get("count"),
    }
    words = {name: text.format_map(said) for name, text in WORDS[language].items()}
    names = {
        **facts,
        "words": words,
        "language": language,
        "money": lambda cents: _money(cents, language),
        "date": lambda day: _day(day, language, "short"),
    }
    message = _addressed(envelope, words[f"{kind}_subject"])
    message.set_content(_templates().get_template(f"{kind}.txt").render(names))
    html = _templates().get_template(f"{kind}.html").render(names)
    message.add_alternative(html, subtype="html")
    return message


def _addressed(envelope: Envelope, subject: str) -> EmailMessage:
    """The headers. Raises MessageRefused for what would be two addresses, or two headers."""
    message = EmailMessage(policy=SMTP)
    try:
        message["From"] = settings.current().mail_from
        message["To"] = Address(addr_spec=envelope.address)
        message["Subject"] = subject
        message["Date"] = envelope.queued_at
        message["Message-ID"] = envelope.message_id
        message["Auto-Submitted"] = "auto-generated"
    except (ValueError, MessageError, IndexError) as error:
        raise MessageRefused(f"the address or a header is not valid: {error}") from error
    if not envelope.address.isascii():
        raise MessageRefused("the address has letters that mail servers do not take")
    return message


@lru_cache(maxsize=1)
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _day(day: date, language: str, form: str = "long") -> str:
    return str(format_date(day, format=form, locale=language))


def _money(cents: int, language: str) -> str:
    currency = settings.current().currency
    return str(format_currency(Decimal(cents) / MINOR_PER_MAJOR, currency, locale=language))

"""The mail that tells an employee of a payout."""

from __future__ import annotations

from decimal import Decimal
from email.message import EmailMessage
from email.policy import SMTP

from babel.dates import format_date
from babel.numbers import format_currency

from app.kernel import settings
from app.kernel.money import MINOR_PER_MAJOR
from app.payments.queries import Payout

WORDS = {
    "en": {
        "subject": "You were paid {amount} for {day}",
        "hello": "Hello {login},",
        "paid": "your balance at the end of {day} was paid out: {amount}.",
        "lines": "The lines that made it:",
        "more": "… and more: see your account",
        "assign_fee": "fee for being assigned",
        "completion_reward": "reward for completing",
        "reversal": "correction",
        "account": "Your account: {url}",
    },
    "ru": {
        "subject": "Выплата за {day}: {amount}",
        "hello": "Здравствуйте, {login}!",
        "paid": "баланс на конец дня {day} выплачен: {amount}.",
        "lines": "Из чего он сложился:",
        "more": "… и ещё: смотрите ваш счёт",
        "assign_fee": "плата за назначение",
        "completion_reward": "награда за выполнение",
        "reversal": "исправление",
        "account": "Ваш счёт: {url}",
    },
}


def payout_message(payout: Payout, *, message_id: str, sender: str) -> EmailMessage:
    """The mail for `payout`, in the employee's language; the same Message-ID at every attempt."""
    locale = payout.locale if payout.locale in WORDS else "en"
    words = WORDS[locale]
    names = {
        "login": payout.login,
        "day": format_date(payout.business_day, format="long", locale=locale),
        "amount": _money(payout.amount, locale),
        "url": f"{settings.current().public_url}/account",
    }
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = payout.email
    message["Subject"] = words["subject"].format_map(names)
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    text = [words["hello"], words["paid"], "", words["lines"], *_lines(payout, locale), ""]
    message.set_content("\n".join([*text, words["account"]]).format_map(names) + "\n")
    return message


def _lines(payout: Payout, locale: str) -> list[str]:
    words = WORDS[locale]
    lines = []
    for line in payout.lines:
        name = f"{line.ticket_key} {line.task_name}" if line.ticket_key else line.task_name or ""
        # Braces in a task's name are text, not fields of the template.
        name = name.replace("{", "{{").replace("}", "}}")
        lines.append(f"{_money(line.delta_balance, locale):>14}  {words[line.kind]}: {name}")
    return [*lines, words["more"]] if payout.has_more_lines else lines


def _money(cents: int, locale: str) -> str:
    currency = settings.current().currency
    return str(format_currency(Decimal(cents) / MINOR_PER_MAJOR, currency, locale=locale))

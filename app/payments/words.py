"""The words of the mails, in the languages that a person may choose."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT = "en"
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "payout_subject": "You were paid {amount} for {day}",
        "hello": "Hello {login},",
        "paid": "your balance at the end of {day} was paid out: {amount}.",
        "lines": "What made it",
        "older": "and before that, in {lines} lines",
        "sum": "Paid out",
        "assign_fee": "Fee for being assigned",
        "completion_reward": "Reward for completing",
        "reversal": "Correction",
        "account": "Your account",
        "closing_subject": "{day} is closed: {amount} paid out",
        "closed": "the business day {day} is closed.",
        "fees": "Fees charged",
        "rewards": "Rewards credited",
        "income": "Company's income",
        "paid_total": "Paid out",
        "paid_count": "People paid",
        "head": "The ledger up to this day is sealed by block {block}, whose hash is",
        "keep": "Keep this mail: with it anyone can prove later that nothing was changed.",
        "report": "The closing report",
        "digest_subject": "Unread notifications: {count}",
        "news": "this is what you have not read yet.",
        "given": "Given to you",
        "kept": "Yours again, and charged again",
        "taken": "Taken from you",
        "paid_out": "Paid out",
        "corrected": "Corrected",
        "asked": "Correction to approve",
        "approved": "Your correction was approved",
        "refused": "Your correction was refused",
        "older_news": "and before that, in {lines} notifications",
        "notifications": "Your notifications",
        "choose": "Do you want this mail? Choose in your settings",
    },
    "ru": {
        "payout_subject": "Выплата за {day}: {amount}",
        "hello": "Здравствуйте, {login}!",
        "paid": "Баланс на конец дня {day} выплачен: {amount}.",
        "lines": "Из чего он сложился",
        "older": "и до того, строк: {lines}",
        "sum": "Выплачено",
        "assign_fee": "Плата за назначение",
        "completion_reward": "Награда за выполнение",
        "reversal": "Исправление",
        "account": "Ваш счёт",
        "closing_subject": "День {day} закрыт, выплачено {amount}",
        "closed": "Рабочий день {day} закрыт.",
        "fees": "Начислено плат",
        "rewards": "Начислено наград",
        "income": "Доход компании",
        "paid_total": "Выплачено",
        "paid_count": "Получателей",
        "head": "Книга до этого дня запечатана; блок {block}, хеш",
        "keep": "Сохраните письмо: по нему можно доказать, что ничего не изменено.",
        "report": "Отчёт за день",
        "digest_subject": "Непрочитанных уведомлений: {count}",
        "news": "Вот что вы ещё не прочли.",
        "given": "Дано вам",
        "kept": "Снова ваше, плата списана вновь",
        "taken": "Передано другим",
        "paid_out": "Выплачено",
        "corrected": "Исправлено",
        "asked": "Исправление ждёт одобрения",
        "approved": "Ваше исправление одобрено",
        "refused": "Ваше исправление отклонено",
        "older_news": "и до того, уведомлений: {lines}",
        "notifications": "Ваши уведомления",
        "choose": "Нужно ли вам это письмо? Выберите в настройках",
    },
}


def language_of(locale: str | None) -> str:
    """The language of a person's mails: their choice, where we have it."""
    return locale if locale and locale in WORDS else DEFAULT

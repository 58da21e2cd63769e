"""Reads of Accounting: one's own account, the whole ledger, business days and payouts."""

from app.accounting.queries.changes import account_version, ledger_version
from app.accounting.queries.days import (
    Preview,
    business_days,
    close_preview,
    closing_progress,
    closing_report,
    ledger_days,
    mails_of_day,
    payouts_of_day,
)
from app.accounting.queries.exports import export_of, exports_of
from app.accounting.queries.filters import KINDS, LedgerFilter
from app.accounting.queries.ledger import (
    PAGE,
    PAGE_MAX,
    TransferRow,
    all_transfers,
    export_transfers,
)
from app.accounting.queries.lines import Lines, transfer_lines
from app.accounting.queries.own import (
    Balance,
    StatementPage,
    StatementSums,
    balance_of,
    earnings_by_day,
    months_of,
    person_of,
    statement_page,
    statement_sums,
)
from app.accounting.queries.sums import (
    Totals,
    account_holders,
    all_balances,
    balances,
    clock_words,
    positions,
    sums_by_day,
    sums_by_person,
    totals,
)
from app.accounting.queries.tracing import (
    corrections,
    transfer_of,
    waiting_corrections,
)
from app.kernel.periods import Period, named_period, parse_day, parse_period

__all__ = [
    "KINDS",
    "PAGE",
    "PAGE_MAX",
    "Balance",
    "LedgerFilter",
    "Lines",
    "Period",
    "Preview",
    "StatementPage",
    "StatementSums",
    "Totals",
    "TransferRow",
    "account_holders",
    "account_version",
    "all_balances",
    "all_transfers",
    "balance_of",
    "balances",
    "business_days",
    "clock_words",
    "close_preview",
    "closing_progress",
    "closing_report",
    "corrections",
    "earnings_by_day",
    "export_of",
    "export_transfers",
    "exports_of",
    "ledger_days",
    "ledger_version",
    "mails_of_day",
    "months_of",
    "named_period",
    "parse_day",
    "parse_period",
    "payouts_of_day",
    "person_of",
    "positions",
    "statement_page",
    "statement_sums",
    "sums_by_day",
    "sums_by_person",
    "totals",
    "transfer_lines",
    "transfer_of",
    "waiting_corrections",
]

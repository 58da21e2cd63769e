"""Reads of Accounting: one's own account, the whole ledger, business days and payouts."""

from app.accounting.queries.days import (
    Preview,
    business_days,
    close_preview,
    ledger_days,
    payouts_of_day,
)
from app.accounting.queries.ledger import (
    PAGE,
    PAGE_MAX,
    LedgerFilter,
    Totals,
    TransferRow,
    all_transfers,
    balances,
    export_transfers,
    totals,
)
from app.accounting.queries.own import (
    Balance,
    Statement,
    balance_of,
    earnings_by_day,
    statement_of,
)
from app.accounting.queries.periods import Period, parse_day, parse_period

__all__ = [
    "PAGE",
    "PAGE_MAX",
    "Balance",
    "LedgerFilter",
    "Period",
    "Preview",
    "Statement",
    "Totals",
    "TransferRow",
    "all_transfers",
    "balance_of",
    "balances",
    "business_days",
    "close_preview",
    "earnings_by_day",
    "export_transfers",
    "ledger_days",
    "parse_day",
    "parse_period",
    "payouts_of_day",
    "statement_of",
    "totals",
]

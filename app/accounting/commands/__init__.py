"""Writes of Accounting: posting what happened, closing business days, correcting, sealing."""

from app.accounting.commands.closing import (
    ClosedDay,
    end_demo_day,
    go_on_closing,
    pay_to_workers,
)
from app.accounting.commands.corrections import (
    Correction,
    approve_correction,
    refuse_correction,
    request_correction,
)
from app.accounting.commands.exports import (
    export_file,
    make_exports,
    request_export,
    write_transfers,
)
from app.accounting.commands.posting import ACCOUNTING, post
from app.accounting.commands.sealing import seal_ledger

__all__ = [
    "ACCOUNTING",
    "ClosedDay",
    "Correction",
    "approve_correction",
    "end_demo_day",
    "export_file",
    "go_on_closing",
    "make_exports",
    "pay_to_workers",
    "post",
    "refuse_correction",
    "request_correction",
    "request_export",
    "seal_ledger",
    "write_transfers",
]

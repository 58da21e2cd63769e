"""Writes of Accounting: posting what happened on the board, and closing business days."""

from app.accounting.commands.closing import ClosedDay, end_demo_day, pay_to_workers
from app.accounting.commands.posting import ACCOUNTING, post

__all__ = ["ACCOUNTING", "ClosedDay", "end_demo_day", "pay_to_workers", "post"]

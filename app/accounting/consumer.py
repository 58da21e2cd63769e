"""What Accounting does when the board's events reach it."""

from app.accounting.commands import ACCOUNTING

CONSUMER = ACCOUNTING

__all__ = ["CONSUMER"]

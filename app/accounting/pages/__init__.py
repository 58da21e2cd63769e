"""Accounting's pages: one's own account, the accountant's report, closing the day."""

from flask import Blueprint

blueprint = Blueprint("accounting", __name__)

from app.accounting.pages import (  # noqa: E402 - they add their routes
    account,
    corrections,
    days,
    files,
    reconciling,
    report,
)

__all__ = ["account", "blueprint", "corrections", "days", "files", "reconciling", "report"]

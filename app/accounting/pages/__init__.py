"""Accounting's pages: one's own account, the accountant's report, closing the day."""

from flask import Blueprint

blueprint = Blueprint("accounting", __name__)

from app.accounting.pages import account, days, report  # noqa: E402, F401 - they add their routes

__all__ = ["blueprint"]

"""The fixture `company`."""

from tests.company import company

__all__ = ["company"]

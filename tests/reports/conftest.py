"""Fixtures `company` and `accountant`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.kernel.actor import Actor
from tests.company import company

__all__ = ["accountant", "company"]


@pytest.fixture
def accountant(make_user: Callable) -> Actor:
    actor: Actor = make_user("accountant").actor
    return actor

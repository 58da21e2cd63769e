"""What the guardian's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from embedded.postgres import Cluster
from tests.company import company

__all__ = ["company"]


@pytest.fixture
def superuser(cluster: Cluster, database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that no privilege holds back."""
    with psycopg.connect(cluster.superuser_url(database), autocommit=True) as connection:
        yield connection

"""Databases with tables, for the tests of projections."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from dummy.tally import Tally
from psycopg import AsyncConnection

from projections.base import Connection
from projections.database import connect
from projections.migrations import migrate
from projections.prices import Prices


@pytest.fixture
def prices_dsn(dsn: str) -> str:
    """A database with the first generation of `prices`."""
    asyncio.run(migrate(dsn, [Prices()]))
    return dsn


@pytest.fixture
def tally_dsn(dsn: str) -> str:
    """A database with the first generations of `prices` and of the dummy projection."""
    asyncio.run(migrate(dsn, [Prices(), Tally()]))
    return dsn


@pytest.fixture
async def side(prices_dsn: str) -> AsyncIterator[Connection]:
    """A connection in autocommit mode to the tables of `prices`."""
    connection: AsyncConnection = await connect(prices_dsn, "test", {"search_path": "prices_1"})
    async with connection:
        yield connection

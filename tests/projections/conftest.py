"""Databases with tables, for the tests of projections."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from projections import unit
from projections.base import Connection
from projections.database import connect
from projections.migrations import migrate
from streams.embedded.stack import StackInfo
from tests.projections.dummy.tally import Tally
from tests.projections.registered import registered


@pytest.fixture(scope="session")
def migrated_template(stack: StackInfo) -> Iterator[str]:
    """The name of a database with first generations: copying it is quicker than migrating."""
    name = f"template_{secrets.token_hex(8)}"
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    asyncio.run(migrate(stack.home.dsn(name), registered(Tally())))
    yield name
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def migrated_dsn(stack: StackInfo, migrated_template: str) -> Iterator[str]:
    """A database of the test's own with the first generations of all, and of `tally`."""
    with copy_of(stack, migrated_template) as dsn:
        yield dsn


@contextmanager
def copy_of(stack: StackInfo, template: str) -> Iterator[str]:
    """The DSN of a copy of this database, for as long as the context lasts."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    yield stack.home.dsn(name)
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
async def side(migrated_dsn: str) -> AsyncIterator[Connection]:
    """A connection in autocommit mode to the tables of `prices`."""
    connection = await connect(migrated_dsn, "test", {"search_path": "prices_1"})
    async with connection:
        yield connection


@pytest.fixture(params=["at once", "step by step"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small units take either way to the server: whatever is shown must hold for both."""
    if request.param == "step by step":
        monkeypatch.setattr(unit, "SMALL_UNIT", 0)

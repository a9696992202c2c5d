"""Tables of a projection that nobody else ever sees, to write records to and look what happens.

They are made in a transaction that is never committed, so they are no generation: nothing is left
behind, whatever ends the process, and no rebuild is kept out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import sql

from projections.base import Batch, Connection, Projection
from projections.database import connect
from projections.isolation import write_or_refuse
from projections.row import RowKey, Seen, look

_SETTINGS = {"jit": "off"}


class Scratch:
    """What is written so far can be taken back up to a mark."""

    def __init__(self, connection: Connection, projection: Projection[Any]) -> None:
        self._connection = connection
        self._projection = projection

    async def write(self, batches: Sequence[Batch]) -> None:
        """Write records with all that follows from them; what is refused changes nothing."""
        projection, connection = self._projection, self._connection
        await write_or_refuse(projection, projection.write, connection, connection, batches)

    async def look(self, key: RowKey) -> Seen:
        """A row as it is now."""
        return await look(self._connection, key)

    async def mark(self, name: str) -> None:
        """Remember this state by a name."""
        await self._connection.execute(sql.SQL("savepoint {}").format(sql.Identifier(name)))

    async def back_to(self, name: str) -> None:
        """Take back what was written since the mark, which stays."""
        await self._connection.execute(
            sql.SQL("rollback to savepoint {}").format(sql.Identifier(name))
        )
        self._projection.forget()


@asynccontextmanager
async def scratch(kind: type[Projection[Any]], dsn: str) -> AsyncIterator[Scratch]:
    """Empty tables of a projection, gone at the end. Raises psycopg's errors."""
    async with (
        await connect(dsn, f"{kind.name} explain", _SETTINGS) as connection,
        connection.transaction(force_rollback=True),
    ):
        schema = f"explain_{connection.info.backend_pid}"
        await connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        await connection.execute(
            sql.SQL("set local search_path to {}").format(sql.Identifier(schema))
        )
        await connection.execute(kind.sql_path().read_bytes())
        projection = kind()
        projection.lock_family = schema  # live units would wait for these till the end
        yield Scratch(connection, projection)

"""One rebuild of a projection at a time, and what earlier ones left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from zlib import crc32

from psycopg.errors import LockNotAvailable

from projections import generation
from projections.base import Connection
from projections.database import connect
from projections.generation import Generation, StillUsed
from projections.swap import BUSY
from streams.errors import UserError

__all__ = ["alone", "clean", "drop", "drop_quietly"]

#: The first half of the advisory lock; the second is a hash of the projection's name.
_LOCK = 0x7265_6275
#: A lock on old tables is tried for so long at once (milliseconds), and in all for so many seconds.
#: Whoever comes after it has to wait as well, but nobody comes to tables without a name any more;
#: and it takes over a second until the server ends a vacuum that is in the way.
_LOCK_TIMEOUT_MS = "3000"
# What the server still does for a process that was killed.
_END_OTHERS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and usename = current_user
    and application_name like %s and pid <> pg_backend_pid()
"""
_PATIENCE = 10.0


@asynccontextmanager
async def alone(projection: str, dsn: str) -> AsyncIterator[Connection]:
    """A connection that keeps other rebuilds of this projection out.

    Raises UserError where there is one.
    """
    settings = {"lock_timeout": _LOCK_TIMEOUT_MS}
    async with await connect(dsn, f"{projection} rebuild control", settings) as connection:
        try:  # for a while: the server may not have ended the session of the one before
            await connection.execute(
                "select pg_advisory_lock(%s, %s)", [_LOCK, crc32(projection.encode()) >> 1]
            )
        except LockNotAvailable:
            raise UserError(
                f"{projection} is being rebuilt or verified by another process; wait for"
                " it, or stop it (its connections are named `tickertape"
                f" {projection} rebuild` in pg_stat_activity)"
            ) from None
        yield connection


async def clean(connection: Connection, projection: str) -> tuple[list[Generation], list[str]]:
    """Drop what unfinished rebuilds of this projection left; the caller keeps others out.

    Returns what was dropped, and why others could not be.
    """
    await connection.execute(_END_OTHERS, [f"tickertape {projection} rebuild%"])
    dropped, reasons = [], []
    for one in await generation.read_all(connection):
        if one.projection != projection or not one.is_unfinished:
            continue
        reason = await drop(connection, projection, one.generation)
        if reason is None:
            dropped.append(one)
        else:
            reasons.append(reason)
    return dropped, reasons


async def drop(connection: Connection, projection: str, number: int) -> str | None:
    """Drop a generation, once nobody reads it; returns why it could not be dropped, if so."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            await generation.drop(connection, projection, number)
        except StillUsed as error:
            return str(error)
        except BUSY:
            if time.monotonic() > deadline:
                schema = generation.schema_name(projection, number)
                return f"{schema} stays, because someone has been reading it for {_PATIENCE:.0f} s"
            await asyncio.sleep(0.1)
        else:
            return None


async def drop_quietly(connection: Connection, dsn: str, projection: str, number: int) -> None:
    """After a failure: `tape rebuild --clean` does it where this cannot.

    `connection` is what keeps others out. Where it is lost, another rebuild may have begun.
    """
    with suppress(Exception):
        if not connection.closed:
            await drop(connection, projection, number)
            return
        async with alone(projection, dsn) as again:
            await drop(again, projection, number)

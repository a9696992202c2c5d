"""Opening connections to PostgreSQL, each named and with its session's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from psycopg import AsyncConnection, errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PipelineStatus, TransactionStatus

from projections.base import Connection

#: Taking over must be durable, and must not wait behind a frozen worker for ever.
CLAIM_SETTINGS: Mapping[str, str] = {"synchronous_commit": "on", "lock_timeout": "2000"}

#: For a unit that looks few keys up in large tables, until its transaction ends: by their indexes,
#: and no other way. A plan of when a table was small, or nothing was known of it, must not stay.
BY_INDEX = """
select set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true)
"""


async def connect(dsn: str, name: str, settings: Mapping[str, str]) -> Connection:
    """A connection in autocommit mode, in UTC, shown to the server as `tickertape NAME`.

    Raises psycopg.OperationalError when the server cannot be reached.
    """
    own = " ".join(f"-c {key}={value}" for key, value in settings.items())
    options = f"{conninfo_to_dict(dsn).get('options') or ''} -c timezone=UTC {own}"
    connection: AsyncConnection[Any] = await AsyncConnection.connect(
        dsn,
        autocommit=True,
        connect_timeout=5,
        application_name=f"tickertape {name}",
        options=options,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )
    return connection


@asynccontextmanager
async def at_once(connection: Connection) -> AsyncIterator[None]:
    """A transaction in one round trip, BEGIN and COMMIT included.

    Its statements are sent without waiting for the ones before. Once one fails, the server skips
    the rest, COMMIT too; the error is raised here, at the end, or InFailedSqlTransaction where the
    caller's code swallowed it. psycopg's own `transaction` would wait three times.
    """
    try:
        async with connection.pipeline() as pipeline:
            try:
                await connection.execute("begin", prepare=False)
                yield
                commit = await connection.execute("commit", prepare=False)
            except Exception:
                with suppress(errors.PipelineAborted):  # which only repeats that error
                    await pipeline.sync()
                raise
    except BaseException:
        if not connection.closed and connection.info.transaction_status != TransactionStatus.IDLE:
            await connection.rollback()
        raise
    if commit.statusmessage != "COMMIT":
        raise errors.InFailedSqlTransaction(f"COMMIT ended as {commit.statusmessage}")


@asynccontextmanager
async def pipelined(connection: Connection) -> AsyncIterator[None]:
    """Statements are sent without waiting for the ones before; COPY is not possible.

    An error is raised where a result is fetched, or at the end.
    """
    if is_at_once(connection):
        yield
        return
    async with connection.pipeline():
        yield


def is_at_once(connection: Connection) -> bool:
    """Whether statements are being sent without waiting for the ones before."""
    return connection.pgconn.pipeline_status != PipelineStatus.OFF

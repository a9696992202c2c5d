"""Opening connections to PostgreSQL, each named and with its session's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from projections.base import Connection

#: Taking over must be durable, and must not wait behind a frozen worker for ever.
CLAIM_SETTINGS: Mapping[str, str] = {"synchronous_commit": "on", "lock_timeout": "2000"}


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

"""What `tape up` shows, read from the broker and the database."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from confluent_kafka import TopicPartition
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from projections import PROJECTIONS
from projections.generation import schema_name
from streams.admin import Broker, partitions_of
from streams.events.system_health import TOPIC as HEALTH
from streams.settings import Endpoints
from streams.up.accounts import AccountReader, AccountsReading, Whose
from streams.up.markets import MarketQuote, read_markets

__all__ = ["LastPrice", "ProjectionReading", "Reader", "Reading", "Rows"]
__all__ += ["database_address", "lag_by_topic", "main_tables"]

Connection = psycopg.Connection[Any]

_GENERATIONS = "select projection, generation from generations where is_current"
_CHECKPOINTS = """
select c.projection, c.topic, c.partition, c.next_offset
from checkpoints as c join generations as g using (projection, generation)
where g.is_current
"""
_PRICES = """
select venue, symbol, price, time, extract(epoch from clock_timestamp() - time)::float8
from latest_price order by venue, symbol
"""
_ESTIMATE = """
select coalesce(sum(n_live_tup), 0)::bigint from pg_stat_all_tables
where relid in (select relid from pg_partition_tree(%(table)s::regclass) union all
                select %(table)s::regclass)
"""
#: The tables that tell most of a projection; of others the first one does.
_MAIN = {
    "account": ("fills", "trades"),
    "market": ("markets", "market_trades"),
    "prices": ("price_history", "price_seconds"),
}
#: A count that takes longer gives way to the estimate of the server's statistics.
_COUNT_TIMEOUT_MS = 250
#: A count is repeated after so many times what it took: counting costs a few percent at most.
_COUNT_REST = 20.0


@dataclass(frozen=True, slots=True)
class Rows:
    """The number of rows of a table, counted or (not `exact`) estimated by the server."""

    table: str
    count: int
    exact: bool = True


@dataclass(frozen=True, slots=True)
class ProjectionReading:
    """A projection: `position` is the sum of its checkpoints, `lag` the records left by topic.

    `tables` are the main ones, or all of them where all were asked for.
    """

    name: str
    position: int
    lag: Mapping[str, int]
    tables: Sequence[Rows]


@dataclass(frozen=True, slots=True)
class LastPrice:
    """The newest price of a symbol; `age` in seconds by the database's clock."""

    venue: str
    symbol: str
    price: Decimal
    time: datetime
    age: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at everything; `taken` is monotonic seconds, `ends` the end offsets by topic."""

    taken: float
    ends: Mapping[str, int]
    projections: Sequence[ProjectionReading]
    dead_letters: Rows
    prices: Sequence[LastPrice]
    markets: Sequence[MarketQuote]
    accounts: AccountsReading

    # What processes tell of themselves counts in neither: it never ends, and the last words of the
    # workers wait for the next one.

    @property
    def end(self) -> int:
        """How many facts were ever appended."""
        return sum(end for topic, end in self.ends.items() if topic != HEALTH)

    @property
    def lag(self) -> int:
        """Facts that some projection has yet to take."""
        return sum(
            lag
            for projection in self.projections
            for topic, lag in projection.lag.items()
            if topic != HEALTH
        )


class Reader:
    """Reads by one connection to each; for one thread at a time."""

    def __init__(self, endpoints: Endpoints, whose: Whose) -> None:
        """`whose` says of which accounts trades and cash are read, and of which venues markets."""
        self._whose = whose
        self._dsn = endpoints.dsn
        self._accounts = AccountReader(whose)
        self._broker = Broker(endpoints)
        self._topics = sorted({name for one in PROJECTIONS.values() for name in one.topics})
        self._partitions: list[TopicPartition] = []
        self._connection: Connection | None = None
        self._counts: dict[str, tuple[Rows, float]] = {}

    def read(self, *, exact: bool = False) -> Reading:
        """Look now. With `exact` at all tables, every row counted, however long that takes.

        Raises:
            UserError: the broker does not answer.
            psycopg.Error: the database does not.
        """
        taken = time.monotonic()
        bounds = self._bounds()
        connection = self._connected()
        positions: dict[str, dict[tuple[str, int], int]] = {}
        for name, topic, partition, offset in connection.execute(_CHECKPOINTS):
            positions.setdefault(name, {})[topic, partition] = offset
        projections = []
        for name, generation in connection.execute(_GENERATIONS).fetchall():
            if name in PROJECTIONS:
                schema = schema_name(name, generation)
                wanted = PROJECTIONS[name].tables if exact else main_tables(name)
                tables = [self._rows(table, (schema, table), exact) for table in wanted]
                at = positions.get(name, {})
                lag = lag_by_topic(PROJECTIONS[name].topics, bounds, at)
                projections.append(ProjectionReading(name, sum(at.values()), lag, tables))
        return Reading(
            taken=taken,
            ends=_by_topic(bounds),
            projections=projections,
            dead_letters=self._rows("dead_letters", ("public", "dead_letters"), exact),
            prices=[LastPrice(*row) for row in connection.execute(_PRICES)],
            markets=read_markets(
                connection, self._whose.prefix.split("/")[0], wanted=self._whose.wanted
            ),
            accounts=self._accounts.read(connection, exact=exact),
        )

    def close(self) -> None:
        """Close the connection to the database."""
        if self._connection is not None:
            self._connection.close()

    def _bounds(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Start and end offset of each partition that is projected."""
        if not self._partitions:
            self._partitions = partitions_of(self._broker.describe(self._topics).values())
        return self._broker.all_bounds(self._partitions)

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                application_name="tickertape up",
                options="-c timezone=UTC",
                tcp_user_timeout=10_000,
            )
        return self._connection

    def _rows(self, name: str, table: tuple[str, str], exact: bool) -> Rows:
        now = time.monotonic()
        known, holds_until = self._counts.get(name, (Rows(name, 0), 0.0))
        if now < holds_until and not exact:
            return known
        rows = Rows(name, *self._count(table, exact))
        rest = (time.monotonic() - now) * _COUNT_REST
        self._counts[name] = rows, time.monotonic() + rest
        return rows

    def _count(self, table: tuple[str, str], exact: bool) -> tuple[int, bool]:
        connection = self._connected()
        place = sql.Identifier(*table)
        try:
            with connection.transaction():
                timeout = 0 if exact else _COUNT_TIMEOUT_MS
                connection.execute(f"set local statement_timeout = {timeout}")
                count = sql.SQL("select count(*) from {}").format(place)
                return _number(connection, count), True
        except psycopg.errors.QueryCanceled:
            named = {"table": place.as_string(connection)}
            return _number(connection, sql.SQL(_ESTIMATE), named), False


def main_tables(projection: str) -> tuple[str, ...]:
    """The tables whose row counts tell most of a projection."""
    return _MAIN.get(projection) or PROJECTIONS[projection].tables[:1]


def lag_by_topic(
    topics: Sequence[str],
    bounds: Mapping[tuple[str, int], tuple[int, int]],
    positions: Mapping[tuple[str, int], int],
) -> dict[str, int]:
    """Records between a projection's checkpoints and the end of each topic.

    A partition without a checkpoint is read from the start of its log.
    """
    lag = dict.fromkeys(topics, 0)
    for (topic, partition), (start, end) in bounds.items():
        if topic in lag:
            lag[topic] += max(0, end - positions.get((topic, partition), start))
    return lag


def _by_topic(bounds: Mapping[tuple[str, int], tuple[int, int]]) -> dict[str, int]:
    ends: dict[str, int] = {}
    for (topic, _), (_, end) in bounds.items():
        ends[topic] = ends.get(topic, 0) + end
    return ends


def database_address(dsn: str) -> str:
    """`host:port/database` of a DSN, and nothing else of it."""
    parts = conninfo_to_dict(dsn)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{host}:{parts.get('port') or 5432}/{parts.get('dbname') or parts.get('user') or ''}"


def _number(
    connection: Connection, query: sql.Composed | sql.SQL, values: Mapping[str, str] | None = None
) -> int:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return int(row[0])

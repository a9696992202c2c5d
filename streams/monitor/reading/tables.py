"""What the tables say: checkpoints, dead letters, what does not add up, the newest events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from projections.base import Connection, Partition
from streams.events.types import micros_of
from streams.monitor.model import Building, DeadLetters

__all__ = ["Checkpoint", "Differences", "Marks", "Newest", "Standing"]
__all__ += ["read_dead_letters", "read_differences", "read_marks", "read_newest", "read_standings"]

#: So many reasons are told apart; the rest of the dead letters is counted with them.
_REASONS = 50

# Without track_commit_timestamp nobody knows when a row was written.
_STANDINGS = """
select
    g.projection, g.generation, g.is_current, g.purpose, g.built is null, g.created,
    c.topic, c.topic_id::text, c.partition, c.next_offset,
    case when current_setting('track_commit_timestamp') = 'on'
        then pg_xact_commit_timestamp(c.xmin) end
from public.generations as g
left join public.checkpoints as c using (projection, generation)
where g.is_current or g.built is null
order by g.projection, g.generation
"""

_DEAD_LETTERS = """
select projection, error, sum(waiting)::bigint, max(newest)
from (
    select
        projection,
        case when row_number() over (order by count(*) desc) <= %(reasons)s
            then left(error, 200) else 'other reasons' end as error,
        count(*) as waiting,
        max(refused) as newest
    from public.dead_letters
    where done is null
    group by projection, error
) as by_reason
group by projection, error
order by 3 desc, 1, 2
"""

_NEWEST = """
select 'price.ticks', venue, symbol, max(time), true
from (
    select venue, symbol, time from public.latest_price
    union all
    select venue, symbol, time from public.latest_quote
) as latest
group by venue, symbol
union all
select
    'kalshi.market',
    m.venue,
    m.series,
    max(q.time),
    coalesce(bool_or(m.opens <= now() and m.closes > now() and m.determined_at is null), false)
from public.markets as m
join public.market_quotes as q using (venue, ticker)
where m.series is not null and q.time > now() - interval '2 days'
group by m.venue, m.series
order by 1, 2, 3
"""

# A mark is what a trade's market and its symbol cost now; after the close neither moves.
_MARKS = """
with active as (
    select
        account,
        greatest(quote_age, symbol_price_age) as age
    from public.active_trades
    where status in ('open', 'closing') and (time_to_close is null or time_to_close > 0)
),
found as (
    select
        account,
        count(*) as trades,
        count(*) filter (where age > %(stale_s)s) as stale,
        max(age) filter (where age > %(stale_s)s) as oldest
    from active
    group by account
)
select account, trades, stale, now() - make_interval(secs => oldest::float8) from found
"""

_DIFFERENCES = """
select account, sum(fills)::bigint, sum(differences)::bigint, sum(unexplained)::text
from (
    select account, count(*) as fills, 0 as differences, 0 as unexplained
    from public.unmatched_fills group by account
    union all
    select account, 0, count(*), 0 from public.position_differences group by account
    union all
    select account, 0, 0, sum(amount) from public.cash_unexplained group by account
) as found
group by account
"""


class Checkpoint(NamedTuple):
    """The next offset to project, of which topic (a UUID), and when it was written, in us."""

    topic_id: str
    next_offset: int
    written: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the current generation of a projection stands."""

    generation: int
    checkpoints: Mapping[Partition, Checkpoint]


class Marks(NamedTuple):
    """An account's trades that are held: how many, how many have a mark too old, and since when."""

    active: int
    stale: int
    since: int | None


class Differences(NamedTuple):
    """What does not add up in an account; `unexplained` in dollars, as exact text."""

    unmatched_fills: int
    positions: int
    unexplained: str


class Newest(NamedTuple):
    """The newest event time of a source in a topic, in us; whether its market is open."""

    topic: str
    source: str
    time: int
    is_open: bool


async def read_standings(
    connection: Connection,
) -> tuple[dict[str, Standing], list[Building]]:
    """Each projection's current generation, and the generations that are being built."""
    current: dict[str, tuple[int, dict[Partition, Checkpoint]]] = {}
    building: dict[tuple[str, int], Building] = {}
    for row in await (await connection.execute(_STANDINGS)).fetchall():
        projection, generation, is_current, purpose, is_new, created, *place, written = row
        topic, topic_id, partition, offset = place
        if is_current:
            _, checkpoints = current.setdefault(projection, (generation, {}))
            if topic is not None:
                checkpoints[Partition(topic, partition)] = Checkpoint(
                    topic_id, offset, None if written is None else micros_of(written)
                )
        elif is_new:
            before = building.get((projection, generation))
            building[projection, generation] = Building(
                projection,
                generation,
                purpose,
                micros_of(created),
                (before.done if before else 0) + (offset or 0),
                0,
            )
    return (
        {name: Standing(number, checkpoints) for name, (number, checkpoints) in current.items()},
        list(building.values()),
    )


async def read_dead_letters(connection: Connection) -> list[DeadLetters]:
    """Those that wait, by projection and reason, most first."""
    rows = await (await connection.execute(_DEAD_LETTERS, {"reasons": _REASONS})).fetchall()
    return [
        DeadLetters(name, error, count, micros_of(newest)) for name, error, count, newest in rows
    ]


async def read_newest(connection: Connection) -> list[Newest]:
    """The newest event of each source, as far as it is projected."""
    rows = await (await connection.execute(_NEWEST)).fetchall()
    return [
        Newest(topic, f"{venue}:{name}", micros_of(time), is_open)
        for topic, venue, name, time, is_open in rows
    ]


async def read_marks(connection: Connection, stale_s: float) -> dict[str, Marks]:
    """By account: a mark is stale where its market or its symbol told nothing for `stale_s`."""
    rows = await (await connection.execute(_MARKS, {"stale_s": stale_s})).fetchall()
    return {
        account: Marks(trades, stale, None if since is None else micros_of(since))
        for account, trades, stale, since in rows
    }


async def read_differences(connection: Connection) -> dict[str, Differences]:
    """By account. Takes long where the accounts have long histories."""
    rows = await (await connection.execute(_DIFFERENCES)).fetchall()
    return {account: Differences(*found) for account, *found in rows}

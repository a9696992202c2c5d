"""The tables of a soak, beside the fold of the log, dead letters and checkpoints included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from fractions import Fraction

from confluent_kafka import TopicPartition

from projections import PROJECTIONS
from streams.admin import Broker
from streams.events import BookDelta, BookSnapshot, MarketGap
from streams.settings import Endpoints
from tests.fold import differences, fold
from tests.projections.market.reference_book import Place, books
from tests.soak.comparison import Tables, valid_books
from tests.soak.reported import TOPICS, Reported
from tests.survival import account_scene

__all__ = ["all_of", "behind", "rows"]

_MOST = 5


def behind(tables: Tables, endpoints: Endpoints) -> list[str]:
    """The partitions that are not projected to their end."""
    broker = Broker(endpoints)
    lines = []
    at = {
        (projection, topic, partition): offset
        for projection, topic, partition, offset in tables.rows(
            "select projection, topic, partition, next_offset from checkpoints"
            " join generations using (projection, generation) where is_current"
        )
    }
    for description in broker.describe(TOPICS).values():
        for part in description.partitions:
            _, end = broker.bounds(TopicPartition(description.name, part.id))
            for name, projection in PROJECTIONS.items():
                offset = at.get((name, description.name, part.id), 0)
                if description.name in projection.topics and offset < end:
                    lines.append(f"{name} is at {offset} of {end} of {description.name} {part.id}")
    return lines


def all_of(tables: Tables, dsn: str, log: Reported, garbage: AbstractSet[bytes]) -> list[str]:
    """Everything that follows from the log alone."""
    return [
        *differences(fold(log.records["price.ticks"]), dsn, "price.ticks"),
        *account_scene.differences(log.events["kalshi.account"], dsn),
        *_books(tables, log),
        *_market_log(tables, log),
        *_dead_letters(tables, log, garbage),
        *_conflicts(tables),
    ]


def rows(tables: Tables) -> dict[str, int]:
    """How many rows each table has."""
    found = {}
    for projection in PROJECTIONS.values():
        for table in projection.tables:
            [(found[table],)] = tables.rows(f"select count(*) from {table}")
    return found


def _books(tables: Tables, log: Reported) -> list[str]:
    told = [
        one
        for one in log.events["kalshi.market"]
        if isinstance(one, BookSnapshot | BookDelta | MarketGap)
    ]
    wanted: dict[str, tuple[int, dict[Place, Fraction]]] = {
        ticker: (state.last.seq, state.levels) for (_, ticker), state in books(told).items()
    }
    found: dict[str, tuple[int, dict[Place, Fraction]]] = {
        ticker: (
            seq,
            {
                (side, Fraction(price)): Fraction(size)
                for side, levels in (("yes", yes), ("no", no))
                for price, size in levels.items()
            },
        )
        for ticker, seq, yes, no in tables.rows(
            "select ticker, seq, yes, no from market_book_state"
        )
    }
    valid = {ticker for ticker, _, _ in valid_books(tables)}
    held = {ticker for (_, ticker), state in books(told).items() if state.broken is None}
    lines = [] if valid == held else [f"valid are {sorted(valid)}, not {sorted(held)}"]
    keys = wanted.keys() | found.keys()
    unequal = [key for key in sorted(keys) if wanted.get(key) != found.get(key)]
    return [*lines, *(f"the book of {ticker} is not what the log says" for ticker in unequal)]


def _market_log(tables: Tables, log: Reported) -> list[str]:
    """A row for each record that was projected, and no other."""
    found = {
        ("kalshi.market", partition): count
        for partition, count in tables.rows("select partition, count(*) from market_log group by 1")
    }
    wanted = {place: count for place, count in log.facts.items() if place[0] == "kalshi.market"}
    return [] if found == wanted else [f"market_log has {found} rows, not {wanted}"]


def _dead_letters(tables: Tables, log: Reported, garbage: AbstractSet[bytes]) -> list[str]:
    """The frames that nobody could read, and no others; all of them were garbage at the venue."""
    found = Counter(tables.rows('select topic, partition, "offset" from dead_letters'))
    wanted = Counter(log.unread.keys())
    lines = [f"dead_letters lacks {place}" for place in (wanted - found)][:_MOST]
    lines += [f"dead_letters has {place}" for place in (found - wanted)][:_MOST]
    odd = [frame for frame in log.unread.values() if frame not in garbage]
    return lines + [
        f"this was not read, and is no garbage: {frame[:300]!r}" for frame in odd[:_MOST]
    ]


def _conflicts(tables: Tables) -> list[str]:
    """The venues contradict themselves nowhere."""
    lines = []
    for table in ("price_conflicts", "market_trade_conflicts", "fact_conflicts"):
        found = tables.rows(f"select * from {table} limit {_MOST}")
        lines += [f"{table} has {row}"[:500] for row in found]
    return lines

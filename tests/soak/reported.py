"""What the log says after a soak, as the broker holds it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.events import DecodeError, Event, MarketGap, PriceGap, Unparsed, decode
from tests.fold import LogRecord, read_log

__all__ = ["TOPICS", "Reported", "read"]

#: Those that the feeds write.
TOPICS = ("price.ticks", "kalshi.market", "kalshi.lifecycle", "kalshi.account")


@dataclass
class Reported:
    """The records of each topic, and the events of which they consist."""

    records: dict[str, list[LogRecord]] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    #: (topic, partition) → how many of its records are facts, not frames that nobody could read.
    facts: Counter[tuple[str, int]] = field(default_factory=Counter)
    #: The frames that nobody could read: (topic, partition, offset) → as they came.
    unread: dict[tuple[str, int, int], bytes] = field(default_factory=dict)

    @property
    def gaps(self) -> dict[tuple[str, str], list[range]]:
        """(venue, symbol) → the numbers of trades that were told to be missing."""
        found: dict[tuple[str, str], list[range]] = defaultdict(list)
        for event in self.events["price.ticks"]:
            if isinstance(event, PriceGap):
                found[event.venue, event.symbol].append(range(event.expected, event.got))
        return found

    @property
    def book_gaps(self) -> Sequence[MarketGap]:
        """Books that were told not to be valid."""
        return [one for one in self.events["kalshi.market"] if isinstance(one, MarketGap)]


async def read(brokers: str) -> Reported:
    """All of the topics. Raises DecodeError for a record that is no event."""
    reported = Reported()
    for topic in TOPICS:
        reported.records[topic] = await read_log(brokers, topic)
        for record in reported.records[topic]:
            _take(reported, record)
    return reported


def _take(reported: Reported, record: LogRecord) -> None:
    if record.value is None:
        raise DecodeError("a record without a value")
    event = decode(record.value, record.headers)
    if isinstance(event, Unparsed):
        place = record.topic, record.partition, record.offset
        reported.unread[place] = event.frame
        return
    reported.events[record.topic].append(event)
    reported.facts[record.topic, record.partition] += 1

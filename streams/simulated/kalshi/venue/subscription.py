"""One subscription of a connection: what it covers, and its numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from streams.simulated.kalshi.venue.commands import CommandError
from streams.simulated.kalshi.venue.messages import CHANNELS, Channel

__all__ = ["Subscription"]

#: More markets than this are refused (error 26).
_MARKET_LIMIT = 10_000


@dataclass
class Subscription:
    """A subscription to a channel, which a connection has once at most."""

    sid: int
    channel: Channel
    #: Tickers or indices, in the order in which they were asked for; None: all.
    topics: dict[str, None] | None
    #: Markets were named by the venue's ids, and are by `ok`.
    by_id: bool = False
    #: `ok` does not name the markets.
    silent: bool = False
    seq: int = 0

    @property
    def numbered(self) -> bool:
        """Whether the messages of the channel have numbers, not only the answers."""
        return CHANNELS[self.channel]

    def next(self) -> int:
        """Use a number up."""
        self.seq += 1
        return self.seq

    def wants(self, topic: str) -> bool:
        """Whether messages about this ticker or index are for it."""
        return self.topics is None or topic in self.topics

    def add(self, topics: Iterable[str]) -> list[str]:
        """Cover more; returns those that are new. One to all covers them already.

        Raises CommandError, with nothing changed, when they are too many.
        """
        if self.topics is None:
            return []
        added = [topic for topic in dict.fromkeys(topics) if topic not in self.topics]
        if len(self.topics) + len(added) > _MARKET_LIMIT:
            raise CommandError(26)
        self.topics.update(dict.fromkeys(added))
        return added

    def remove(self, topics: Iterable[str]) -> None:
        """Cover less. One to all stays one: nothing is left out of it."""
        if self.topics is not None:
            gone = set(topics)
            self.topics = {topic: None for topic in self.topics if topic not in gone}

"""A load of trade lives in three topics: seeded, shuffled, doubled, contradicted, with garbage."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count, pairwise
from random import Random
from typing import Any, cast

from streams.events import AccountUnparsed, Event, OpenTrade, TradeCommand, encode
from streams.events.codec import EncodedEvent
from tests.projections.account.lives import kind_of, version
from tests.projections.account.scribe import (
    ACCOUNTS,
    EVENING,
    SECOND,
    Place,
    Scribe,
    hundredths,
)
from tests.projections.account.stories import (
    ACCOUNT_STORIES,
    STORIES,
    Ticketed,
    a_settlement,
    an_order,
)
from tests.survival.load import Source

TOPICS = ("kalshi.account", "trade.commands", "trade.events")

#: Markets that are traded at one time, and the lives after which the oldest makes room for another.
_MARKETS = 24
_LIVES = 4


class SeededScribe(Scribe):
    """Draws by a seed what hypothesis would draw."""

    def __init__(self, random: Random) -> None:
        super().__init__(cast(Any, None))
        self.random = random

    def pick(self, *options: Any) -> Any:
        return self.random.choice(options)

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def split(self, contracts: Decimal) -> list[Decimal]:
        whole = int(contracts.scaleb(2))
        cuts = (self.random.randrange(1, whole) for _ in range(self.random.randrange(3)))
        return [hundredths(b - a) for a, b in pairwise(sorted({0, whole, *cuts}))]


class Lives(Source):
    """Tells many lives at once, out of order; `events` and `garbage` are what was written so far.

    Of a hundred records about six come again and four in another version. One command in ten is
    late, and one in twenty of all. One in two hundred is garbage.
    """

    def __init__(self, topics: Mapping[str, str], seed: int) -> None:
        self.events: list[Event] = []
        #: How often each (topic, key, value) that is no event was written.
        self.garbage: Counter[tuple[str, bytes, bytes]] = Counter()
        self._topics = topics
        self._random = Random(seed)
        self._scribe = SeededScribe(self._random)
        self._drawn = 0
        self._told = 0
        #: (the draw at which it is due, a running number, the event)
        self._waiting: list[tuple[int, int, Event]] = []
        self._numbers = count()
        self._markets = deque(map(_ticker, range(_MARKETS)), maxlen=_MARKETS)

    def draw(self) -> EncodedEvent:
        self._drawn += 1
        while not self._waiting or self._waiting[0][0] > self._drawn:
            self._tell()
        *_, event = heappop(self._waiting)
        if self._random.random() < 0.005:
            return self._spoil(event)
        if self._random.random() < 0.06:
            self._put(event)
        if self._random.random() < 0.04:
            self._put(version(self._scribe, event))
        return self._record(event)

    def rest(self) -> Iterator[EncodedEvent]:
        """What was late, so that every life is complete."""
        while self._waiting:
            *_, event = heappop(self._waiting)
            yield self._record(event)

    def _tell(self) -> None:
        """Another life, on a market that moves on with the time."""
        scribe = self._scribe
        scribe.begin()
        place = Place(scribe.pick(*ACCOUNTS), scribe.pick(*self._markets))
        scribe.pick(*STORIES)(scribe, place)
        if scribe.chance(20):
            a_ticket_that_moves(scribe, place, Place(place.account, scribe.pick(*self._markets)))
        if scribe.chance(4):
            a_settlement(scribe, place)
        if scribe.chance(4):
            scribe.pick(*ACCOUNT_STORIES)(scribe, place.account)
        for event in scribe.events:
            self._put(event)
        scribe.events.clear()
        self._told += 1
        if self._told % _LIVES == 0:
            self._markets.append(_ticker(_MARKETS + self._told // _LIVES))

    def _put(self, event: Event) -> None:
        """To be written among the next records, or much later."""
        is_late = self._random.random() < (0.10 if isinstance(event, TradeCommand) else 0.05)
        delay = self._random.randrange(1500 if is_late else 40)
        heappush(self._waiting, (self._drawn + delay, next(self._numbers), event))

    def _record(self, event: Event) -> EncodedEvent:
        self.events.append(event)
        return self._encoded(event)

    def _encoded(self, event: Event) -> EncodedEvent:
        return replace(encode(event), topic=self._topics[event.topic])

    def _spoil(self, event: Event) -> EncodedEvent:
        """Something that is no event in the place of this one, which stays to be written."""
        self._put(event)
        record = self._encoded(event)
        spoilt = self._random.choice(
            [
                replace(record, value=record.value[:-1]),
                replace(record, value=b"\xff\x00" + record.value),
                replace(record, value=record.value.replace(b'"account":', b'"accounts":')),
                replace(record, headers=[*record.headers[:2], ("ce_type", b"account.rumour.v1")]),
                self._encoded(_unreadable_frame(self._drawn)),
            ]
        )
        self.garbage[spoilt.topic, spoilt.key, spoilt.value] += 1
        return spoilt


def a_ticket_that_moves(scribe: Scribe, place: Place, elsewhere: Place) -> None:
    """Opened in two markets; then the first of the two commands is said to be of another ticket."""
    asked, command_id = scribe.ask_to_open(place)
    first = scribe.events[-1]
    assert isinstance(first, OpenTrade)
    scribe.ask_to_open(elsewhere, ticket=asked.ticket)
    an_order(scribe, place, asked.side, asked.count, Ticketed(asked.ticket, command_id, "order"))
    changes = {"ticket_id": scribe.name("T"), "time": first.time - SECOND}
    scribe.events.append(kind_of(first, changes))


def _ticker(number: int) -> str:
    return f"KXBTCD-25AUG0619-T{100_000 + 250 * number}.99"


def _unreadable_frame(number: int) -> AccountUnparsed:
    return AccountUnparsed(
        venue="kalshi",
        connection="tests",
        arrival=number,
        frame=b"e30=",
        error="not what was expected",
        received=EVENING,
    )

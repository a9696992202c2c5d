"""A recording of a feed says what the feed said, markets that began and ended meanwhile too."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

import pytest

from streams.backoff import Backoff
from streams.connectors.kalshi.account import KalshiAccountConnector
from streams.connectors.kalshi.books import KalshiBooksConnector
from streams.connectors.kalshi.feed import KalshiConnector
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.connectors.runner import Parsed, listen
from streams.events import BookSnapshot, Event, MarketDetermined, MarketGap
from streams.heartbeat import Pulse
from streams.replay import parsed
from tests.streams.connectors.kalshi.listening import OWNER, SERIES, access
from tests.venue.fake import FakeKalshi
from tests.venue.faults import Faults
from tests.venue.keys import api_key
from tests.venue.world import World

_HOUR = 3_600_000_000


async def heard(kind: type[KalshiConnector]) -> list[Parsed]:
    """What a feed hears while connections break and the hour passes."""
    world = World(seed=11, start=time.time_ns() // 1000 // _HOUR * _HOUR + _HOUR - 20_000_000)
    world.step()
    faults = Faults(seed=2)
    faults.chances |= {"garbage": 0.01, "disconnect": 0.005, "skip": 0.01}
    said: list[Parsed] = []

    async def keep(one: Parsed) -> None:
        said.append(one)

    async with FakeKalshi(world, keys=[api_key()], faults=faults) as venue:
        feed = kind(OWNER, access(venue), SERIES)
        pulse, backoff = Pulse("producer/test", 0), Backoff(first=0.02, cap=0.05)
        task = asyncio.create_task(listen(feed, keep, pulse, backoff))
        for _ in range(60):
            await venue.step()
            await asyncio.sleep(0.02)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return said


def facts(said: Iterable[Parsed]) -> list[Event]:
    """All but gaps. When a connection was opened is not recorded, but when its first frame came."""
    events = (event for one in said for event in one.events if not isinstance(event, MarketGap))
    return [
        event.model_copy(update={"opened": 0}) if isinstance(event, BookSnapshot) else event
        for event in events
    ]


def ends(said: Iterable[Parsed]) -> Counter[tuple[str, str]]:
    """How often each book was told to be invalid; a replay tells the last ones at its end."""
    gaps = (event for one in said for event in one.events if isinstance(event, MarketGap))
    return Counter((gap.ticker, gap.connection) for gap in gaps)


@pytest.mark.parametrize(
    "kind", [KalshiMarketConnector, KalshiBooksConnector, KalshiAccountConnector]
)
async def test_a_recording_replays_to_the_events_that_were_told_live(
    kind: type[KalshiConnector],
) -> None:
    said = await heard(kind)
    again = list(parsed(one.frame for one in said if one.frame is not None))
    assert facts(again) == facts(said)
    assert ends(again) == ends(said)
    if kind is KalshiMarketConnector:
        assert any(isinstance(event, MarketDetermined) for event in facts(said))
    if kind is KalshiBooksConnector:
        tickers = [event.ticker for event in facts(said) if isinstance(event, BookSnapshot)]
        assert len({ticker.rsplit("-", 1)[0] for ticker in tickers}) > 1

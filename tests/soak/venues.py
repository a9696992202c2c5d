"""The venues of the soak: four fakes in one event loop, whose worlds go on by themselves."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from streams.simulated.kalshi.venue.line import Act, Send
from streams.simulated.kalshi.venue.session import Frame
from tests.venue.fake import HOUR, FakeKalshi
from tests.venue.faults import Faults, FrameFault, ReplyFault
from tests.venue.keys import ApiKey, api_key
from tests.venue.spot.binance import FakeBinance
from tests.venue.spot.coinbase import FakeCoinbase
from tests.venue.spot.kraken import FakeKraken
from tests.venue.spot.venue import SpotVenue
from tests.venue.spot.world import World as SpotWorld
from tests.venue.world import World

__all__ = ["SPOT", "Line", "Venues", "venues"]

#: Between two steps of all worlds. Seconds.
PACE = 0.2
_SECOND = 1_000_000
#: The heads of the feeds' names are the venues'.
SPOT: dict[str, type[SpotVenue]] = {
    "binance": FakeBinance,
    "coinbase": FakeCoinbase,
    "kraken": FakeKraken,
}

#: How often each goes wrong, of a thousand frames. Those that end a connection are the rarer ones.
_FRAMES: dict[FrameFault, float] = {
    "repeat": 4,
    "reorder": 2,
    "skip": 3,
    "garbage": 1,
    "delay": 1,
    "drip": 0.5,
    "huge": 0.2,
    "half": 0.3,
    "disconnect": 0.4,
}
#: Only Kalshi ends subscriptions.
_OF_KALSHI: dict[FrameFault, float] = {"overflow": 0.2, "channel_error": 0.2}
#: Noticed after half a minute.
_STALLS: dict[FrameFault, float] = {"stall": 0.05, "stall_answering": 0.05}
_REPLIES: dict[ReplyFault, float] = {
    "429": 20,
    "500": 10,
    "502": 10,
    "503": 10,
    "504": 10,
    "html": 10,
    "half": 10,
    "drip": 5,
    "disconnect": 10,
}


class Line(Faults):
    """Faults that remember the garbage that they sent, and how many frames came by."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.garbage: list[bytes] = []
        self.frames = 0

    def frame(self, connection: int, frame: Frame) -> Sequence[Act]:
        """The line's."""
        self.frames += 1
        before = len(self.inflicted)
        acts = super().frame(connection, frame)
        if len(self.inflicted) > before and self.inflicted[-1].fault == "garbage":
            self.garbage.append(next(act.data for act in acts if isinstance(act, Send)))
        return acts


@dataclass
class Venues:
    """All of them: what they are, how to reach them, and what goes wrong on the way."""

    kalshi: FakeKalshi
    spot: dict[str, SpotVenue]
    lines: dict[str, Line]
    key: ApiKey
    #: World seconds in one step: Kalshi's hours are shorter here.
    stride: float
    steps: int = field(default=0, init=False)
    #: Nothing happens at any venue while this holds.
    is_still: bool = field(default=False, init=False)

    @property
    def world(self) -> World:
        """Kalshi's."""
        return self.kalshi.world

    def spoil(self, times: float, *, stalls: bool) -> None:
        """From now on frames and replies go wrong, so many times as often as usual."""
        for name, line in self.lines.items():
            chances = dict(_FRAMES)
            if name == "kalshi":
                chances |= _OF_KALSHI
            if stalls:
                chances |= _STALLS
            line.chances = {fault: times * one / 1000 for fault, one in chances.items()}
            line.reply_chances = {fault: one / 1000 for fault, one in _REPLIES.items()}
            line.calm = False

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        for line in self.lines.values():
            line.calm = True

    @property
    def faults(self) -> Counter[str]:
        """What went wrong, by kind."""
        return Counter(str(one.fault) for line in self.lines.values() for one in line.inflicted)

    async def go_on(self) -> None:
        """Step all worlds, until cancelled; a second passes for the spot venues at every fifth."""
        while True:
            if not self.is_still:
                self.kalshi.world.step(seconds=self.stride)
                for venue in self.spot.values():
                    venue.advance()
            self.steps += 1
            if self.steps % 5 == 0:
                for venue in self.spot.values():
                    venue.say_beat()
            await asyncio.sleep(PACE)


@asynccontextmanager
async def venues(seed: int, *, seconds: float, stride: float) -> AsyncIterator[Venues]:
    """The venues, reachable and calm.

    Kalshi's time is ahead of ours, so that markets close when a third of `seconds` is over.
    """
    chance = random.Random(seed)
    now = time.time_ns() // 1000
    before_close = round(seconds / 3 / PACE * stride) * _SECOND
    start = ((now + before_close) // HOUR + 1) * HOUR - before_close
    world = World(chance.randrange(2**32), start=start, portfolio_lag=_SECOND)
    lines = {name: Line(seed=chance.randrange(2**32)) for name in ("kalshi", *SPOT)}
    key = api_key()
    async with AsyncExitStack() as stack:
        kalshi = await stack.enter_async_context(
            FakeKalshi(world, keys=[key], faults=lines["kalshi"])
        )
        spot = {}
        for name, fake in SPOT.items():
            spot_world = SpotWorld(chance.randrange(2**32))
            spot_world.time = now
            spot[name] = await stack.enter_async_context(fake(spot_world, lines[name]))
        made = Venues(kalshi, spot, lines, key, stride)
        made.calm()
        going = asyncio.create_task(made.go_on())
        try:
            yield made
            assert not going.done(), going
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

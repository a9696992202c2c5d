"""The loads: a feed each, the frames for it, and the venue that answers what the feed asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import orjson

from benchmarks.feeds import frames
from streams.connectors.base import Address, Connector, Request, Rest
from streams.connectors.coinbase import CoinbaseConnector
from streams.connectors.kalshi.books import KalshiBooksConnector
from streams.connectors.kalshi.feed import KalshiConnector
from streams.connectors.kalshi.market import KalshiMarketConnector

__all__ = ["LOADS", "Load", "answers"]

_OWNER = "kalshi/prod/main"


@dataclass(frozen=True)
class Load:
    """One feed under load.

    `frames` are without end; each makes one record of `topic`. They follow the subscription of
    `channel`, which makes `events_before` other events. `connector` makes the feed that connects to
    an address. `promised` are frames a second.
    """

    title: str
    promised: int
    topic: str
    channel: str
    events_before: int
    frames: Callable[[int], Iterator[bytes]]
    connector: Callable[[str], Connector]


class _OpenMarkets:
    """The REST API of a venue whose fifty markets are open."""

    async def get(self, request: Request) -> bytes:
        is_open = ("status", "open") in request.query
        return frames.listing(frames.MARKETS if is_open else ())


class _Local(KalshiConnector):
    """A feed of Kalshi's that connects to the bench's own venue, which wants no signature."""

    def __init__(self, url: str) -> None:
        super().__init__(_OWNER, series=[frames.SERIES])
        self._url = url

    def connect(self) -> Address:
        return Address(self._url)

    def rest(self) -> AbstractAsyncContextManager[Rest]:
        return nullcontext(_OpenMarkets())


class _Quotes(_Local, KalshiMarketConnector):
    pass


class _Books(_Local, KalshiBooksConnector):
    pass


def _coinbase(url: str) -> Connector:
    return CoinbaseConnector(url=url, rest_url=None)


LOADS = {
    "coinbase": Load(
        "Coinbase matches and tickers",
        30_000,
        "price.ticks",
        "ticker",
        0,
        frames.coinbase,
        _coinbase,
    ),
    "kalshi_tickers": Load(
        "Kalshi tickers",
        30_000,
        "kalshi.market",
        "ticker",
        len(frames.MARKETS),
        frames.tickers,
        _Quotes,
    ),
    "kalshi_deltas": Load(
        "Kalshi order book deltas, 50 books kept",
        10_000,
        "kalshi.market",
        "orderbook_delta",
        0,
        frames.deltas,
        _Books,
    ),
}


def answers(command: str | bytes) -> tuple[list[bytes], list[str]]:
    """The frames that answer a subscription, and the channels that it is of."""
    asked: dict[str, Any] = orjson.loads(command)
    if "cmd" not in asked:
        channels: list[str] = asked["channels"]
        return [orjson.dumps({"type": "subscriptions", "channels": channels})], channels
    channels = asked.get("params", {}).get("channels", [])
    replies = [
        {
            "id": asked["id"],
            "type": "subscribed",
            "msg": {"channel": channel, "sid": frames.SIDS[channel]},
        }
        for channel in channels
    ]
    return [orjson.dumps(reply) for reply in replies], channels

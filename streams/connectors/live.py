"""From feed names to connectors that can run, with the simulated venue started where named."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from streams.connectors import FEEDS
from streams.connectors.base import Connector
from streams.connectors.coinbase import SimulatedConnector
from streams.errors import UserError
from streams.events.types import SYMBOL
from streams.settings import Settings
from streams.simulated import SimulatedVenue

__all__ = ["live_connectors"]

_SYMBOL = re.compile(SYMBOL)


@asynccontextmanager
async def live_connectors(
    feeds: Sequence[str], symbols: Sequence[str], settings: Settings
) -> AsyncIterator[list[Connector]]:
    """The connectors of the named feeds, for these symbols (none: each feed's main ones).

    `simulated` starts its server in this process, on a free loopback port, for as long as the
    context lasts. Raises UserError for an unknown feed, what is no symbol, and settings that lack
    or contradict something.
    """
    for feed in feeds:
        if feed not in FEEDS:
            known = ", ".join(sorted(FEEDS))
            raise UserError(f"unknown venue {feed!r}; the venues are {known}")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise UserError(f"{symbol!r} is no symbol; write it as BTC-USD")
    connectors = [FEEDS[feed].live(settings, symbols) for feed in dict.fromkeys(feeds)]
    async with AsyncExitStack() as stack:
        for connector in connectors:
            if isinstance(connector, SimulatedConnector):
                server = await stack.enter_async_context(SimulatedVenue())
                connector.url = server.url
        yield connectors

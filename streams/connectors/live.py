"""From venue names to connectors that can run, with the simulated venue started where named."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from streams.connectors import VENUES
from streams.connectors.base import Connector
from streams.errors import UserError
from streams.events.types import SYMBOL
from streams.simulated import SimulatedVenue

__all__ = ["live_connectors"]

_SYMBOL = re.compile(SYMBOL)


@asynccontextmanager
async def live_connectors(
    venues: Sequence[str], symbols: Sequence[str] = ()
) -> AsyncIterator[list[Connector]]:
    """The connectors of the named venues, for these symbols (none: each venue's main ones).

    `simulated` starts its server in this process, on a free loopback port, for as long as the
    context lasts. Raises UserError for an unknown venue or what is no symbol.
    """
    for venue in venues:
        if venue not in VENUES:
            known = ", ".join(sorted(VENUES))
            raise UserError(f"unknown venue {venue!r}; the venues are {known}")
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise UserError(f"{symbol!r} is no symbol; write it as BTC-USD")
    chosen = {"symbols": tuple(symbols)} if symbols else {}
    async with AsyncExitStack() as stack:
        connectors = []
        for venue in dict.fromkeys(venues):
            if venue == "simulated":
                server = await stack.enter_async_context(SimulatedVenue())
                connectors.append(VENUES[venue](url=server.url, **chosen))
            else:
                connectors.append(VENUES[venue](**chosen))
        yield connectors

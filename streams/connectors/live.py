"""From feed names to connectors that can run, with the simulated venue started where named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from streams.connectors import FEEDS, FEEDS_OF_VENUE
from streams.connectors.base import Connector
from streams.connectors.coinbase import SimulatedConnector
from streams.errors import UserError
from streams.settings import Settings
from streams.simulated import SimulatedVenue

__all__ = ["feeds_of", "live_connectors"]


def feeds_of(names: Sequence[str]) -> list[str]:
    """The feeds that these names mean, each once: a feed's own, or a venue's for all of its feeds.

    Raises UserError for an unknown name.
    """
    feeds: dict[str, None] = {}
    for name in names:
        if name not in FEEDS and name not in FEEDS_OF_VENUE:
            known = ", ".join(sorted({*FEEDS, *FEEDS_OF_VENUE}))
            raise UserError(f"unknown venue {name!r}; the venues are {known}")
        feeds.update(dict.fromkeys(FEEDS_OF_VENUE.get(name, (name,))))
    return list(feeds)


@asynccontextmanager
async def live_connectors(
    names: Sequence[str], settings: Settings
) -> AsyncIterator[list[Connector]]:
    """The connectors of the named venues and feeds.

    `simulated` starts its server in this process, on a free loopback port, for as long as the
    context lasts, unless the settings say where one listens. Raises UserError for an unknown name,
    and for settings that lack or contradict something.
    """
    connectors = [FEEDS[feed].live(settings) for feed in feeds_of(names)]
    async with AsyncExitStack() as stack:
        for connector in connectors:
            is_served = connector.feed in settings.websocket_urls
            if isinstance(connector, SimulatedConnector) and not is_served:
                server = await stack.enter_async_context(SimulatedVenue())
                connector.url = server.url
        yield connectors

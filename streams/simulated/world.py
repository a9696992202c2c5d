"""The simulated world live: Coinbase's and Kalshi's servers on loopback, and who trades there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from streams.live import Live
from streams.settings import Endpoints
from streams.simulated.access import ApiKey, api_key, published, settings_file
from streams.simulated.kalshi.markets import SERIES
from streams.simulated.kalshi.reads import Reads
from streams.simulated.kalshi.run import Counts, run
from streams.simulated.kalshi.simulation import Simulation
from streams.simulated.kalshi.venue import VenueServer
from streams.simulated.server import SimulatedVenue

__all__ = ["live"]

_UNDERLYING = "BTC-USD"


async def live(
    right: Live,
    endpoints: Endpoints,
    home: Path,
    name: str,
    started: int,
    counts: Counts,
    ready: Callable[[Path], None],
) -> None:
    """Serve both venues, and trade, until cancelled.

    The account is new, without cash: `simulated/demo/<name>-<started>/0`, the time in microseconds
    since 1970 UTC, in hexadecimal. `ready` is called with the file of the settings by which to
    connect, once both listen; it is gone when they do not any more. Raises UserError when the
    folder cannot be written or the broker is out of reach, and what the producer raises.
    """
    account = f"simulated/demo/{name}-{started:x}/0"
    simulation, reads = Simulation(right, account, started, started), Reads()
    file = settings_file(home, name)
    with api_key(home, name) as key:
        async with (
            SimulatedVenue() as spot,
            VenueServer(simulation.venue, {key.id: key.public}, line=reads) as kalshi,
        ):
            with published(file, _settings(account, key, spot, kalshi)):
                ready(file)
                await run(endpoints, simulation, reads, lambda: spot.price(_UNDERLYING), counts)


def _settings(
    account: str, key: ApiKey, spot: SimulatedVenue, kalshi: VenueServer
) -> Mapping[str, str]:
    return {
        "TAPE_ACCOUNT": account,
        "TAPE_KALSHI_KEY_ID": key.id,
        "TAPE_KALSHI_KEY_FILE": str(key.file),
        "TAPE_KALSHI_REST_URL": kalshi.rest_url,
        "TAPE_KALSHI_WEBSOCKET_URL": kalshi.websocket_url,
        "TAPE_KALSHI_SERIES": SERIES,
        "TAPE_WEBSOCKET_URLS": f"simulated={spot.url}",
    }

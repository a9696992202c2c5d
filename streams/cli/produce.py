"""`tape produce`: venues live into Kafka."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.feeds import Series, Symbols, chosen
from streams.cli.running import log_to_stderr, parse_duration, together, until_stopped

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["produce"]


def produce(
    venues: Annotated[
        list[str], typer.Argument(help="Such as coinbase, kraken, binance, kalshi, simulated.")
    ],
    symbol: Symbols = None,
    series: Series = None,
    duration: Annotated[
        str | None, typer.Option("--for", help="How long (30s, 5m); without it, until Ctrl-C.")
    ] = None,
) -> None:
    """Send what venues report to the topics until stopped.

    Each feed works and crashes by itself, and starts again after a pause. A
    second process with the same feeds stands by: it takes over within ten
    seconds when the first one dies.

    Example: tape produce coinbase kraken --symbol BTC-USD
    Example: tape produce kalshi --series KXBTCD
    """
    import uvloop

    log_to_stderr()
    seconds = None if duration is None else parse_duration(duration)
    uvloop.run(_produce(venues, chosen(symbol, series), seconds))


async def _produce(venues: list[str], settings: Settings, seconds: float | None) -> None:
    from streams.connectors.live import live_connectors
    from streams.connectors.supervisor import supervise
    from streams.events.catalogue import TOPICS
    from streams.heartbeat import Pulse, keep_beating
    from streams.producer import Producer
    from streams.settings import endpoints
    from streams.topics import topic_ids

    started = time.time_ns() // 1000
    async with live_connectors(venues, settings) as connectors:
        pulses = [Pulse(f"producer/{one.feed}", started, scope=one.lease()) for one in connectors]
        places = endpoints(settings, with_postgres=False)
        await asyncio.to_thread(topic_ids, places, [topic.name for topic in TOPICS])
        async with Producer(places) as health:
            feeds = [
                supervise(connector, places, pulse, tell=health.send)
                for connector, pulse in zip(connectors, pulses, strict=True)
            ]
            await until_stopped(together([*feeds, keep_beating(pulses, health.send)]), seconds)
    for connector, pulse in zip(connectors, pulses, strict=True):
        print(
            f"{connector.feed}: {pulse.events:,} events of {pulse.frames:,} frames, "
            f"{pulse.gaps:,} gaps, {pulse.unparsed:,} not read, {pulse.reconnects:,} reconnects"
        )

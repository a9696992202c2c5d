"""`tape produce`: venues live into Kafka."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from streams.cli.running import log_to_stderr, parse_duration, together, until_stopped

__all__ = ["produce"]


def produce(
    venues: Annotated[list[str], typer.Argument(help="coinbase, binance, simulated.")],
    symbol: Annotated[
        list[str] | None, typer.Option(help="BTC-USD; may be given several times.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--for", help="How long (30s, 5m); without it, until Ctrl-C.")
    ] = None,
) -> None:
    """Send the trades and quotes of venues to the topic price.ticks until stopped.

    Example: tape produce coinbase --symbol BTC-USD --symbol ETH-USD
    """
    log_to_stderr()
    seconds = None if duration is None else parse_duration(duration)
    asyncio.run(_produce(venues, symbol or [], seconds))


async def _produce(venues: list[str], symbols: list[str], seconds: float | None) -> None:
    from streams.connectors.live import live_connectors
    from streams.connectors.runner import Counts, run
    from streams.producer import Producer
    from streams.settings import endpoints, load_settings

    settings = load_settings()
    async with live_connectors(venues, symbols, settings) as connectors:
        counts = {connector.feed: Counts() for connector in connectors}
        async with Producer(endpoints(settings, with_postgres=False)) as producer:
            running = [run(one, producer, counts[one.feed]) for one in connectors]
            await until_stopped(together(running), seconds)
    for feed, count in counts.items():
        print(
            f"{feed}: {count.events:,} events of {count.frames:,} frames, {count.gaps:,} gaps, "
            f"{count.unparsed:,} not read, {count.reconnects:,} reconnects"
        )

"""`tape record`: raw frames of venues into a file."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.feeds import Series, Symbols, chosen
from streams.cli.running import log_to_stderr, parse_duration, together, until_stopped

if TYPE_CHECKING:
    from streams.connectors.base import Connector
    from streams.heartbeat import Pulse
    from streams.recording import RecordingWriter
    from streams.settings import Settings

__all__ = ["record"]


def record(
    venues: Annotated[list[str], typer.Argument(help="coinbase, binance, simulated.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new file.")],
    duration: Annotated[
        str | None, typer.Option("--for", help="How long (30s, 5m); without it, until Ctrl-C.")
    ] = None,
    symbol: Symbols = None,
    series: Series = None,
) -> None:
    """Keep the frames of venues as they come, with their receive times, for `tape replay`.

    Example: tape record coinbase binance -o ticks.jsonl.zst --for 10m
    """
    log_to_stderr()
    seconds = None if duration is None else parse_duration(duration)
    asyncio.run(_record(venues, chosen(symbol, series), output, seconds))


async def _record(
    venues: list[str], settings: Settings, output: Path, seconds: float | None
) -> None:
    from streams.connectors.live import live_connectors
    from streams.heartbeat import Pulse
    from streams.recording import RecordingWriter

    async with live_connectors(venues, settings) as connectors:
        started = time.time_ns() // 1000
        pulses = {one.feed: Pulse(f"recorder/{one.feed}", started) for one in connectors}
        with RecordingWriter(output) as writer:
            keeping = [_keep(one, writer, pulses[one.feed]) for one in connectors]
            await until_stopped(together(keeping), seconds)
    for feed, pulse in pulses.items():
        print(
            f"{feed}: {pulse.frames:,} frames, {pulse.gaps:,} gaps, {pulse.unparsed:,} not "
            f"read, {pulse.reconnects:,} reconnects"
        )
    print(f"written to {output}")


async def _keep(connector: Connector, writer: RecordingWriter, pulse: Pulse) -> None:
    from streams.connectors.runner import Parsed, listen

    async def write(parsed: Parsed) -> None:
        if parsed.frame is not None:
            writer.write(parsed.frame)

    await listen(connector, write, pulse)

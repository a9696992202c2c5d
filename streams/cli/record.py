"""`tape record`: raw frames of venues into a file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.running import log_to_stderr, parse_duration, together, until_stopped

if TYPE_CHECKING:
    from streams.connectors.base import Connector
    from streams.connectors.runner import Counts
    from streams.recording import RecordingWriter

__all__ = ["record"]


def record(
    venues: Annotated[list[str], typer.Argument(help="coinbase, binance, simulated.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new file.")],
    duration: Annotated[
        str | None, typer.Option("--for", help="How long (30s, 5m); without it, until Ctrl-C.")
    ] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="BTC-USD; may be given several times.")
    ] = None,
) -> None:
    """Keep the frames of venues as they come, with their receive times, for `tape replay`.

    Example: tape record coinbase binance -o ticks.jsonl.zst --for 10m
    """
    log_to_stderr()
    seconds = None if duration is None else parse_duration(duration)
    asyncio.run(_record(venues, symbol or [], output, seconds))


async def _record(
    venues: list[str], symbols: list[str], output: Path, seconds: float | None
) -> None:
    from streams.connectors.live import live_connectors
    from streams.connectors.runner import Counts
    from streams.recording import RecordingWriter
    from streams.settings import load_settings

    async with live_connectors(venues, symbols, load_settings()) as connectors:
        counts = {connector.feed: Counts() for connector in connectors}
        with RecordingWriter(output) as writer:
            keeping = [_keep(one, writer, counts[one.feed]) for one in connectors]
            await until_stopped(together(keeping), seconds)
    for feed, count in counts.items():
        print(
            f"{feed}: {count.frames:,} frames, {count.gaps:,} gaps, {count.unparsed:,} not "
            f"read, {count.reconnects:,} reconnects"
        )
    print(f"written to {output}")


async def _keep(connector: Connector, writer: RecordingWriter, counts: Counts) -> None:
    from streams.connectors.runner import Parsed, listen

    async def write(parsed: Parsed) -> None:
        if parsed.frame is not None:
            writer.write(parsed.frame)

    await listen(connector, write, counts)

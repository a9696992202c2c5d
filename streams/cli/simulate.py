"""`tape simulate`: a small Coinbase and Kalshi on this machine, and an account at work."""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.running import log_to_stderr, parse_duration, until_stopped
from streams.errors import UserError

__all__ = ["simulate"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


def simulate(
    name: Annotated[
        str, typer.Option(help="What the account's name begins with; each start makes a new one.")
    ] = "trader",
    duration: Annotated[
        str | None, typer.Option("--for", help="How long (30s, 5m); without it, until Ctrl-C.")
    ] = None,
) -> None:
    """Serve simulated venues on this machine, and trade on a simulated account.

    They speak the protocols of Coinbase and Kalshi, on ports of loopback. The
    Kalshi markets are on the simulated BTC-USD; an hour of theirs lasts ten
    seconds. What happens there reaches Kafka by the connectors alone: in another
    terminal, source the file that this command names, and run
    `tape produce simulated kalshi kalshi-account`.
    The trader's commands go through the topic trade.commands, and yours for the
    same account are executed as well. No order leaves this process.

    Example: tape simulate --for 1m
    """
    log_to_stderr()
    seconds = None if duration is None else parse_duration(duration)
    if _NAME.fullmatch(name) is None:
        raise UserError(f"{name!r} is no name: up to 40 letters, digits, dashes and underscores")
    asyncio.run(_simulate(name, seconds))


async def _simulate(name: str, seconds: float | None) -> None:
    from streams.live import Live
    from streams.settings import endpoints, load_settings
    from streams.simulated.kalshi.run import Counts
    from streams.simulated.world import live

    settings, counts = load_settings(), Counts()
    places = endpoints(settings, with_postgres=False)
    started = time.time_ns() // 1000
    trading = live(Live(), places, settings.home, name, started, counts, _ready)
    await until_stopped(trading, seconds)
    print(f"{counts.commands:,} commands, {counts.events:,} events sent to Kafka")


def _ready(file: Path) -> None:
    print(
        "the simulated venues listen; what happens there goes into Kafka with\n"
        f"  . {shlex.quote(str(file))}\n"
        "  tape produce simulated kalshi kalshi-account",
        flush=True,
    )

"""`tape simulate`: the simulated Kalshi account and its trader."""

from __future__ import annotations

import asyncio
import re
import time
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
    """Trade on a simulated account: fills, orders, positions, settlements and cash into Kafka.

    Its markets are on the price of the simulated BTC-USD and live ten seconds,
    so `tape produce simulated` must run beside it. Its trader's commands go
    through the topic trade.commands, and yours for the same account are executed
    as well. No order leaves this process.

    Example: tape simulate --for 1m
    """
    log_to_stderr()
    seconds = None if duration is None else parse_duration(duration)
    if _NAME.fullmatch(name) is None:
        raise UserError(f"{name!r} is no name: up to 40 letters, digits, dashes and underscores")
    started = time.time_ns() // 1000
    asyncio.run(_simulate(f"simulated/demo/{name}-{started:x}/0", started, seconds))


async def _simulate(account: str, seed: int, seconds: float | None) -> None:
    from streams.settings import endpoints, load_settings
    from streams.simulated.kalshi.run import Counts, run

    counts = Counts()
    reach = endpoints(load_settings(), with_postgres=False)
    await until_stopped(run(reach, account, seed, counts), seconds)
    print(f"{account}: {counts.commands:,} commands, {counts.events:,} events")

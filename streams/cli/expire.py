"""`tape expire`: tells of trades whose market has closed."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from streams.cli.running import log_to_stderr, parse_duration, until_stopped

__all__ = ["expire"]


def expire(
    duration: Annotated[
        str | None, typer.Option("--for", help="How long (30s, 5m); without it, until Ctrl-C.")
    ] = None,
) -> None:
    """Record in trade.events that a trade expired once its market has closed, until stopped.

    Looks every second for trades that are pending, open or closing. A market
    closes when the venue says so, else when its ticker says so, and that is the
    time recorded. For live use only: a replay or a rebuild reads what was
    recorded. It waits while the database or the broker is away. Running it
    twice does no harm.

    Example: tape expire
    """
    log_to_stderr()
    seconds = None if duration is None else parse_duration(duration)
    asyncio.run(_expire(seconds))


async def _expire(seconds: float | None) -> None:
    from streams.expirer import Expirer
    from streams.live import Live
    from streams.producer import Producer
    from streams.settings import endpoints, load_settings

    reach = endpoints(load_settings())
    async with Producer(reach) as producer:
        expirer = Expirer(Live(), reach.dsn, producer)
        await until_stopped(expirer.run(), seconds)
    print(f"trades expired: {expirer.expired:,}")

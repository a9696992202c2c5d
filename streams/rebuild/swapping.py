"""Trying to swap until it succeeds: catch up, try, and catch up again."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from psycopg import errors

from projections.base import Connection, Partition, Projection
from projections.swap import BUSY, Swapped, TooLong, try_swap
from streams.rebuild.catching_up import Follower

__all__ = ["swap"]

#: A swap is tried once catching up took so little: seconds.
_CLOSE_ENOUGH = 1.0
#: Live units wait no longer than so many seconds for a swap that catches up.
_LONGEST_HOLD = 1.0
#: Pauses between tries, in seconds.
_PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


async def swap(
    connection: Connection,
    projection: Projection[Any],
    number: int,
    follower: Follower,
    in_transaction: Callable[[Connection, int], Awaitable[None]],
    check: Callable[[], Awaitable[None]],
    waits: Callable[[str], None],
) -> Swapped:
    """Swap as soon as nobody is in the way. See projections.swap.try_swap.

    `check` raises what speaks against a swap; `waits` is told what a try failed by.
    """

    async def catch_up(live: Mapping[Partition, int]) -> bool:
        return await follower.up_to(live, time.monotonic() + _LONGEST_HOLD)

    for attempt in itertools.count():
        while await follower.to_end() > _CLOSE_ENOUGH:
            pass
        await check()
        try:
            return await try_swap(connection, projection, number, catch_up, in_transaction)
        except (*BUSY, TooLong) as error:
            waits(_why(error))
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
    raise AssertionError


def _why(error: BaseException) -> str:
    if isinstance(error, errors.LockNotAvailable):
        return "a unit of work is being committed, or someone reads for long"
    return " ".join(str(error).split())

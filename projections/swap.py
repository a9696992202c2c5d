"""The swap: a generation takes the place of the current one, in one transaction.

It locks the live checkpoints, so that live units wait while readers do not; has the new generation
catch up with them; bumps the old epochs, so that a unit that waited is refused and its worker goes
on in the new generation; and, last of all, replaces the views. There no lock is waited for longer
than 20 ms, because readers queue behind a swap that waits. Where one is not to be had, all is
undone and tried again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import errors

from projections import checkpoint
from projections.base import Connection, Partition, Projection
from projections.errors import Refusal
from projections.names import views_of

#: For the views; and for the checkpoints, where live units wait that are as patient (milliseconds).
_LOCK_TIMEOUT_MS = 20
_CHECKPOINT_TIMEOUT_MS = 1_000
#: Readers are held up for as long as the views are being replaced: at most so many seconds.
LONGEST_LOCKOUT = 0.08
#: A busy reader, or a unit that lasts: what a try ends with that may succeed later.
BUSY = (errors.LockNotAvailable, errors.DeadlockDetected)

# Not `for update`: the checkpoints refer to these rows, and a claim must not wait for that.
_LOCK_GENERATIONS = """
select generation, is_current from public.generations
where projection = %s
order by generation
for no key update
"""
# A topic that was made anew since has other offsets: there is nothing to catch up with.
_LOCK_CHECKPOINTS = """
select c.topic, c.partition, c.next_offset
from public.checkpoints as c
where c.projection = %(projection)s and c.generation = %(current)s
    and c.topic_id in (
        select n.topic_id from public.checkpoints as n
        where n.projection = %(projection)s and n.generation = %(generation)s
    )
order by c.topic, c.partition
for update of c
"""
_BUMP = """
update public.checkpoints set epoch = epoch + 1 where projection = %s and generation = %s
"""
_NOT_CURRENT = """
update public.generations set is_current = false where projection = %s and generation = %s
"""
_IS_CURRENT = """
update public.generations set is_current = true, built = coalesce(built, now())
where projection = %s and generation = %s
"""

#: Brings the new generation up to these live positions; returns False where that takes too long.
CatchUp = Callable[[Mapping[Partition, int]], Awaitable[bool]]


class TooLong(Exception):
    """A try took longer than readers or live units should wait; it was undone."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """What a swap did: from which generation, and how many seconds readers were held up."""

    replaced: int
    lockout: float
    reached: Mapping[Partition, int]


async def try_swap(
    connection: Connection,
    projection: Projection[Any],
    generation: int,
    catch_up: CatchUp,
    in_transaction: Callable[[Connection, int], Awaitable[None]],
) -> Swapped:
    """Try once to make `generation` the current one.

    `in_transaction` gets the number of the replaced generation, and does what belongs to the swap.
    Raises one of BUSY or TooLong when it is to be tried again, and Refusal when it cannot be done.
    """
    name = projection.name
    async with connection.transaction():
        await _wait_at_most(connection, _CHECKPOINT_TIMEOUT_MS)
        await connection.execute("set local synchronous_commit = on")
        current = await _lock_generations(connection, name, generation)
        if not await catch_up(await _lock_checkpoints(connection, name, current, generation)):
            raise TooLong(f"{name}: too much is missing for a swap")
        reached = await checkpoint.read(connection, name, generation)
        await connection.execute(_BUMP, [name, current])
        await connection.execute(_NOT_CURRENT, [name, current])
        await connection.execute(_IS_CURRENT, [name, generation])
        await in_transaction(connection, current)
        views = await views_of(connection, projection, generation)
        await _wait_at_most(connection, _LOCK_TIMEOUT_MS)
        began = time.monotonic()
        await connection.execute(views)
        if time.monotonic() - began > LONGEST_LOCKOUT:
            raise TooLong(f"{name}: readers would have waited too long")
    return Swapped(
        current,
        time.monotonic() - began,
        {source: one.next_offset for source, one in reached.items()},
    )


async def _wait_at_most(connection: Connection, milliseconds: int) -> None:
    await connection.execute(f"set local lock_timeout = {milliseconds}".encode())


async def _lock_generations(connection: Connection, projection: str, generation: int) -> int:
    rows = await (await connection.execute(_LOCK_GENERATIONS, [projection])).fetchall()
    current = [number for number, is_current in rows if is_current]
    if generation in current or not current or generation not in {number for number, _ in rows}:
        raise Refusal(
            f"{projection}: the generations are not as they were, so {generation} cannot take over;"
            " someone else rebuilt it, or dropped this one, meanwhile"
        )
    return int(current[0])


async def _lock_checkpoints(
    connection: Connection, projection: str, current: int, generation: int
) -> dict[Partition, int]:
    about = {"projection": projection, "current": current, "generation": generation}
    cursor = await connection.execute(_LOCK_CHECKPOINTS, about)
    return {
        Partition(topic, partition): next_offset
        for topic, partition, next_offset in await cursor.fetchall()
    }

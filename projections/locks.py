"""Locks on Kafka keys, for derived rows that are recomputed from facts.

A unit of work inserts its facts, takes these, and reads the facts in a later statement: so it
sees what another unit committed while it waited, whichever partition that one's records were in.
"""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from projections.base import Connection

#: A lock for each key would exhaust the server's lock table; keys share so many.
SLOTS = 1024

_LOCK = """
select pg_advisory_xact_lock(%s, slot)
from (select unnest(%s::integer[]) as slot order by slot) as slots
"""
_SHARE = _LOCK.replace("xact_lock", "xact_lock_shared")


async def lock_keys(
    connection: Connection, family: str, keys: Iterable[str], *, shared: bool = False
) -> None:
    """Lock keys until the transaction ends, always in the same order.

    Families (such as a projection's name) have nothing to do with each other. Shared locks only
    keep out those that are not.
    """
    slots = sorted({crc32(key.encode()) % SLOTS for key in keys})
    literal = f"{{{','.join(map(str, slots))}}}"
    number = crc32(family.encode()) >> 1  # a positive 32-bit integer
    await connection.execute(_SHARE if shared else _LOCK, [number, literal])

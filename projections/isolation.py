"""Writing batches of which some records may fail: the offenders are isolated by halving."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from projections.base import Batch, Connection, Decoded, Projection, Refused, count_records
from projections.faults import describe, is_data_fault

#: A projection's `write` or `load`.
Write = Callable[[Connection, Any], Awaitable[None]]


def halves(batches: Sequence[Batch]) -> tuple[list[Batch], list[Batch]]:
    """The same records in two parts of equal size, order kept."""
    middle = count_records(batches) // 2
    first: list[Batch] = []
    second: list[Batch] = []
    for batch in batches:
        if head := batch.records[: max(middle, 0)]:
            first.append(Batch(batch.source, head))
        if tail := batch.records[max(middle, 0) :]:
            second.append(Batch(batch.source, tail))
        middle -= len(batch.records)
    return first, second


async def write_or_refuse(
    projection: Projection[Any],
    write: Write,
    connection: Connection,
    side: Connection,
    batches: Sequence[Batch],
    decoded: Decoded[Any] | None = None,
    *,
    is_last_try: bool = False,
) -> list[Refused]:
    """Write the rows; whatever makes that fail is isolated by halving, and returned.

    In the transaction of the caller on `connection`; `side` is for what `prepare` does. A record
    that fails alone is tried once more: what the projection remembered, or what another process
    was just writing, may have been the reason. Raises what is no fault in the data.
    """
    try:
        decoded = decoded or projection.decode(batches)
        decoded = await projection.prepare(side, batches, decoded)
        async with connection.transaction():
            await write(connection, decoded.facts)
    except Exception as error:
        if not is_data_fault(error):
            raise
        fault = describe(error)  # the error itself would keep what was decoded from being freed
    else:
        return decoded.refused
    common = (projection, write, connection, side)
    if count_records(batches) == 1:
        if not is_last_try:
            return await write_or_refuse(*common, batches, is_last_try=True)
        return [Refused(batches[0].source, batches[0].records[0], fault)]
    first, second = halves(batches)
    return [*await write_or_refuse(*common, first), *await write_or_refuse(*common, second)]

"""Dead letters that are not wanted: they wait no more. Nothing of them is deleted."""

from __future__ import annotations

from collections.abc import Callable

from projections.database import connect
from projections.decisions import Operator, by_partition, record
from streams.events import DeadLettersDiscarded
from streams.events.system_decisions import MOST_OFFSETS
from streams.reports.dead_letters import CHOSEN, Chosen
from streams.reports.reading import Connection, database_faults
from streams.settings import Endpoints

__all__ = ["count_waiting", "discard"]

_COUNT = f"select count(*) from public.dead_letters where done is null and {CHOSEN}"
_DISCARD = f"""
update public.dead_letters as d set done = now(), outcome = 'discarded'
from (
    select projection, topic_id, partition, "offset"
    from public.dead_letters
    where done is null and {CHOSEN}
    order by projection, topic_id, partition, "offset"
    limit %(page)s
    for update
) as chosen
where d.projection = chosen.projection and d.topic_id = chosen.topic_id
    and d.partition = chosen.partition and d."offset" = chosen."offset"
returning d.projection, d.topic, d.topic_id::text, d.partition, d."offset"
"""


def count_waiting(connection: Connection, chosen: Chosen) -> int:
    """How many of these wait."""
    row = connection.execute(_COUNT, chosen.parameters()).fetchone()
    return row[0] if row else 0


async def discard(
    chosen: Chosen,
    endpoints: Endpoints,
    operator: Operator,
    most: int,
    advanced: Callable[[int], None],
) -> int:
    """Discard what waits of these, page by page, at most so many; returns how many.

    Each page and its decisions are one transaction: a kill leaves the rest waiting. `advanced` is
    given how many are discarded so far. Raises UserError: the database is out of reach.
    """
    discarded = 0
    with database_faults():
        async with await connect(endpoints.dsn, "dlq discard", {}) as connection:
            while discarded < most:
                page = {"page": min(MOST_OFFSETS, most - discarded)}
                async with connection.transaction():
                    parameters = {**chosen.parameters(), **page}
                    rows = await (await connection.execute(_DISCARD, parameters)).fetchall()
                    for letters in by_partition(rows):
                        decision = DeadLettersDiscarded(**operator.decides(), **letters)
                        await record(connection, decision)
                if not rows:
                    break
                discarded += len(rows)
                advanced(discarded)
    return discarded

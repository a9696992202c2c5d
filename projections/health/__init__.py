"""The projection `health`: how services did in the last seven days, and what went wrong.

Its tables hold what the newest events of each key say, by their own times, as far as these are
younger than `KEEP_DAYS` before the newest record. So they are the same whatever the order, the
repeats and the units of the records, and a log that begins late makes them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from projections.base import Batch, Connection, Decoded, Projection
from projections.health.reading import Facts, read
from projections.health.tables import KEEP_DAYS, TABLES, keep, write
from streams.events.system_health import TOPIC

__all__ = ["KEEP_DAYS", "Health"]


class Health(Projection[Facts]):
    """Services, their changes and minutes, restarts, and incidents."""

    name = "health"
    version = 1
    topics = (TOPIC,)
    tables = (*(table.name for table in TABLES), "health_kept")
    kafka_keys: ClassVar = {table.name: table.kafka_key for table in TABLES}
    uncompared = Projection.uncompared | {"appended"}
    keeps_days = KEEP_DAYS

    def decode(self, batches: Sequence[Batch]) -> Decoded[Facts]:
        return read(batches)

    async def write(self, connection: Connection, facts: Facts) -> None:
        if not facts.appended:
            return
        await keep(connection, facts.appended)
        for table in TABLES:
            await write(connection, table, facts.rows[table.name])

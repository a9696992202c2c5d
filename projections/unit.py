"""The unit of work: rows, dead letters and checkpoints of some batches, in one transaction.

The recipe was tried under kills, freezes and lost replies. Its order is what makes it safe: the
compare-and-set of the checkpoints is the first statement, so a worker that lost its partitions
writes nothing; a fault in the data is halved by savepoints until the offenders stand alone; a
fault of the infrastructure is tried again, because its outcome may be unknown. A small unit is
first tried at once, in the same order but without savepoints and without waiting in between.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
import structlog

from projections import checkpoint, deadletter
from projections.base import (
    SMALL_UNIT,
    Batch,
    Connection,
    Decoded,
    Partition,
    Projection,
    Refused,
    count_records,
)
from projections.checkpoint import Checkpoint, LogStart, Span
from projections.database import CLAIM_SETTINGS, at_once, connect
from projections.errors import Fenced, Refusal
from projections.faults import describe, is_data_fault, is_timeout
from projections.generation import schema_name
from projections.isolation import halves, write_or_refuse

log = structlog.get_logger(__name__)

#: A unit's transaction may last this long (milliseconds): less than the session timeout of the
#: consumer group (6 s), so that a frozen worker does not hold up the one that takes over.
TRANSACTION_TIMEOUT_MS = 5_000
#: A single record that outlasts that cannot be halved. It gets twice the time at each further try,
#: up to this (milliseconds), for else nothing behind it would ever be projected.
LONGEST_TRANSACTION_MS = 160_000
# The server's transaction_timeout does not end a COPY that waits for its client, so a worker that
# froze there would hold its checkpoints for ever.
_END_OVERDUE = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and usename = current_user and application_name = %s
    and xact_start < clock_timestamp() - make_interval(secs => %s)
"""
_BACKOFF = (0.1, 0.2, 0.5, 1.0, 2.0)


def spans(
    batches: Sequence[Batch], claims: Mapping[Partition, Checkpoint]
) -> dict[Partition, Span]:
    """What each partition's checkpoint moves over; batches of one partition follow each other."""
    result: dict[Partition, Span] = {}
    for batch in batches:
        first, until = batch.records[0].offset, batch.records[-1].offset + 1
        if (before := result.get(batch.source)) is not None:
            first = before.start
        result[batch.source] = Span(first, until, claims[batch.source].epoch)
    return result


def _may_go_step_by_step(error: Exception) -> bool:
    """Whether a unit that failed at once may do better with savepoints, one step after the other.

    Apart from faults in the data: past a limit of dead letters, if the partitions still are ours;
    a COPY; an error that the projection swallowed.
    """
    unsuited = (Refusal, psycopg.NotSupportedError, psycopg.errors.InFailedSqlTransaction)
    return isinstance(error, unsuited) or is_data_fault(error)


def _took_too_long(error: Exception, began: float, timeout_ms: int) -> bool:
    """Whether a unit that began then (monotonic seconds) outlasted its transaction.

    Where the server ended it during a rollback, psycopg only says that the connection is lost.
    """
    return is_timeout(error) or time.monotonic() - began >= timeout_ms / 1000


class Projector:
    """Commits batches of one projection, under the claims that it holds.

    Not for concurrent use: one unit of work at a time, and no claim during a unit.
    """

    def __init__(
        self, projection: Projection[Any], dsn: str, limits: deadletter.Limits | None = None
    ) -> None:
        self.projection = projection
        self.claims: dict[Partition, Checkpoint] = {}
        self._dsn = dsn
        self._watch = deadletter.Watch(projection.name, limits or deadletter.Limits())
        self._generation = 0
        self._timeout_ms = TRANSACTION_TIMEOUT_MS
        self._topic_ids: dict[str, str] = {}
        self._unit: Connection | None = None
        self._side: Connection | None = None

    def forget(self) -> None:
        """Hold no claim any more; a unit that is under way then ends in Fenced."""
        self.claims = {}

    async def claim(self, partitions: Mapping[Partition, LogStart]) -> dict[Partition, Checkpoint]:
        """Take over partitions of the current generation and return where to go on.

        Raises Refusal (see projections.checkpoint) and psycopg's errors.
        """
        self.forget()
        name = self.projection.name
        async with await connect(self._dsn, f"{name} claim", CLAIM_SETTINGS) as connection:
            await connection.execute(
                _END_OVERDUE, [f"tickertape {name} unit", TRANSACTION_TIMEOUT_MS / 1000]
            )
            async with connection.transaction():
                generation = await checkpoint.current_generation(
                    connection, name, self.projection.version
                )
                claims = await checkpoint.claim(
                    connection,
                    name,
                    generation,
                    partitions,
                    passes_over=self.projection.keeps_days is not None,
                )
            await self._watch.load(connection, generation)
        self.projection.forget()
        if generation != self._generation:
            await self.close()
            self._generation = generation
        self._topic_ids = {source.topic: part.topic_id for source, part in partitions.items()}
        self.claims = claims
        return dict(claims)

    async def commit(self, batches: Sequence[Batch], decoded: Decoded[Any] | None = None) -> None:
        """Project batches, all or nothing, and move the claims over them.

        `decoded` is what the projection made of them, where that was done ahead of time.
        Raises Fenced when the partitions are no longer this worker's, Refusal when too many
        records cannot be projected. Anything that may pass is tried again, for ever.
        """
        claims = self.claims
        unit = spans(batches, claims)
        for attempt in itertools.count():
            began = time.monotonic()
            try:
                await self._transact(batches, unit, decoded)
                break
            except Refusal:
                raise
            except Fenced:
                if self.claims is claims and await self._succeeded(unit):
                    break
                raise
            except Exception as error:
                if self.claims is not claims:
                    raise Fenced from error
                took_too_long = _took_too_long(error, began, self._timeout_ms)
                if took_too_long and count_records(batches) > 1:
                    return await self._commit_halves(batches)
                self._be_patient(took_too_long)
                await self._pause(attempt, error, unit)
        await self._end_patience()
        if self.claims is claims:
            for source, span in unit.items():
                claims[source] = Checkpoint(span.until, span.epoch)
        return None

    def _be_patient(self, took_too_long: bool) -> None:
        """More time for the next connection, and so for the next try of a single record."""
        if took_too_long:
            self._timeout_ms = min(2 * self._timeout_ms, LONGEST_TRANSACTION_MS)

    async def _end_patience(self) -> None:
        """Back to the usual timeout, which is the connection's."""
        if self._timeout_ms != TRANSACTION_TIMEOUT_MS:
            self._timeout_ms = TRANSACTION_TIMEOUT_MS
            await self.close()

    async def _commit_halves(self, batches: Sequence[Batch]) -> None:
        await self.close()
        for half in halves(batches):
            await self.commit(half)

    async def maintain(self, history_days: int | None) -> None:
        """Let the projection maintain the tables of the claimed generation."""
        if not self._generation:
            return
        settings = {"search_path": schema_name(self.projection.name, self._generation)}
        name = f"{self.projection.name} maintenance"
        async with await connect(self._dsn, name, settings) as connection:
            await self.projection.maintain(connection, history_days)

    async def close(self) -> None:
        """Close the connections; the next unit opens new ones."""
        for connection in (self._unit, self._side):
            if connection is not None:
                await connection.close()
        self._unit = self._side = None

    async def _transact(
        self,
        batches: Sequence[Batch],
        unit: Mapping[Partition, Span],
        decoded: Decoded[Any] | None,
    ) -> None:
        try:
            if count_records(batches) > SMALL_UNIT or not await self._at_once(
                batches, unit, decoded
            ):
                await self._step_by_step(batches, unit, decoded)
        except psycopg.Error as error:
            if error.sqlstate == checkpoint.FENCED:
                raise Fenced from error
            raise

    async def _at_once(
        self,
        batches: Sequence[Batch],
        unit: Mapping[Partition, Span],
        decoded: Decoded[Any] | None,
    ) -> bool:
        """The unit in one round trip; False, and nothing written, where that cannot be."""
        connection, _ = await self._connections()
        try:
            decoded = decoded or self.projection.decode(batches)
            if not self.projection.is_ready(decoded.facts):
                return False
            self._watch.check(decoded.refused, unit)
            async with at_once(connection):
                await self._advance(connection, unit)
                await self.projection.write(connection, decoded.facts)
                await self._bury(connection, decoded.refused)
        except Exception as error:
            if not _may_go_step_by_step(error):
                raise
            return False
        self._watch.committed(decoded.refused, unit)
        return True

    async def _step_by_step(
        self,
        batches: Sequence[Batch],
        unit: Mapping[Partition, Span],
        decoded: Decoded[Any] | None,
    ) -> None:
        connection, side = await self._connections()
        async with connection.transaction():
            await self._advance(connection, unit)
            refused = await write_or_refuse(
                self.projection, self.projection.write, connection, side, batches, decoded
            )
            self._watch.check(refused, unit)
            await self._bury(connection, refused)
        self._watch.committed(refused, unit)

    async def _advance(self, connection: Connection, unit: Mapping[Partition, Span]) -> None:
        await checkpoint.advance(connection, self.projection.name, self._generation, unit)

    async def _bury(self, connection: Connection, refused: Sequence[Refused]) -> None:
        if refused:
            await deadletter.insert(connection, self.projection.name, self._topic_ids, refused)

    async def _succeeded(self, unit: Mapping[Partition, Span]) -> bool:
        """Whether a refused unit had in fact been committed before: the reply to COMMIT was lost.

        Own epoch and own end offset cannot come about otherwise.
        """
        connection, _ = await self._connections()
        rows = await checkpoint.read(connection, self.projection.name, self._generation)
        committed = all(
            rows.get(source) == Checkpoint(span.until, span.epoch) for source, span in unit.items()
        )
        if committed:
            await self._watch.load(connection, self._generation)
        return committed

    async def _connections(self) -> tuple[Connection, Connection]:
        settings = {"search_path": schema_name(self.projection.name, self._generation)}
        name = self.projection.name
        if self._unit is None or self._unit.closed:
            self._unit = await connect(
                self._dsn,
                f"{name} unit",
                {
                    **settings,
                    "transaction_timeout": str(self._timeout_ms),
                    # What a crash of the server loses is projected again from the checkpoint,
                    # which is lost with it.
                    "synchronous_commit": "off",
                    # To compile a statement takes longer than any of these runs.
                    "jit": "off",
                },
            )
        if self._side is None or self._side.closed:
            self._side = await connect(
                self._dsn, f"{name} side", {**settings, "lock_timeout": "2000"}
            )
        return self._unit, self._side

    async def _pause(self, attempt: int, error: Exception, unit: Mapping[Partition, Span]) -> None:
        delay = _BACKOFF[min(attempt, len(_BACKOFF) - 1)]
        log.warning(
            "unit of work failed, trying the same again",
            projection=self.projection.name,
            error=describe(error),
            offsets={
                str(source): f"{span.start}-{span.until - 1}" for source, span in unit.items()
            },
            seconds=delay,
        )
        await self.close()
        await asyncio.sleep(delay)

"""One projection as a Faust app: its agent groups everything that waits into units of work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import faust
import structlog
from faust.types import EventT, Message

from projections.base import SMALL_UNIT, Batch, Decoded, Projection, count_records
from projections.deadletter import Limits
from projections.errors import Fenced, Refusal
from projections.unit import Projector
from streams.heartbeat import Pulse
from streams.housekeeping import keep_house
from streams.ledger import Fetch, GapError, Ledger
from streams.progress import Progress
from streams.security import faust_credentials
from streams.settings import Endpoints
from streams.transport import Transport

log = structlog.get_logger(__name__)

#: Seconds without a heartbeat after which the broker gives a worker's partitions away.
SESSION_TIMEOUT = 6.0
#: A unit of work closes once it has this many records, however much waits.
UNIT_RECORDS = 8_000
#: One fetch returns at most this many records.
FETCH_RECORDS = 4_000
#: Fetches that may wait in the agent's queue; records are bounded by `streams.ledger`.
WAITING_FETCHES = 1_000


class FetchSchema(faust.Schema):
    """Hands the transport's fetches on as they are."""

    def loads_key(self, app: Any, message: Message, **kwargs: Any) -> Any:
        return None

    def loads_value(self, app: Any, message: Message, **kwargs: Any) -> Any:
        return message.value


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator may set about a worker: see the settings of the same names."""

    limits: Limits = field(default_factory=Limits)
    history_days: int | None = None
    #: Host and port of its metrics and probes; None for none.
    metrics: tuple[str, int] | None = None


def group_name(projection: str) -> str:
    """The consumer group of a projection."""
    return f"tickertape-{projection}"


class Work(NamedTuple):
    """A projection's Faust app, and how it gets on."""

    app: faust.App
    progress: Progress


def build_app(
    projection: Projection[Any],
    endpoints: Endpoints,
    rules: Rules,
    state: Path,
    refuse: Callable[[Refusal], None],
) -> Work:
    """The Faust app of a projection.

    `state` is a folder that Faust may keep its files in; `refuse` ends the process.
    """
    app = faust.App(
        group_name(projection.name),
        broker=[f"kafka://{address}" for address in endpoints.brokers.split(",")],
        broker_credentials=faust_credentials(endpoints),
        store="memory://",
        datadir=str(state / f"faust-{projection.name}"),
        web_enabled=False,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=WAITING_FETCHES,
        broker_max_poll_records=FETCH_RECORDS,
        consumer_max_fetch_size=1024 * 1024,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=0.5,  # how the others learn that one has died
        broker_commit_interval=2.0,
        broker_request_timeout=40.0,
        broker_rebalance_timeout=15.0,
    )
    ledger = Ledger(Projector(projection, endpoints.dsn, rules.limits))
    pulse = Pulse(f"worker/{projection.name}", time.time_ns() // 1000)
    progress = Progress(projection.name, lambda: ledger.partitions, time.monotonic)
    app.transport = Transport(app, ledger, endpoints, refuse)
    topic = app.topic(*projection.topics, schema=FetchSchema())

    @app.agent(topic, name=projection.name, concurrency=1)
    async def project(stream: Any) -> None:
        await Agent(app, ledger, pulse, progress, refuse).run(stream)

    @app.task
    async def housekeeping() -> None:
        await keep_house(ledger, pulse, endpoints, rules.history_days)

    return Work(app, progress)


class Agent:
    """Groups what waits into units of work; decodes one while the one before is committing."""

    def __init__(
        self,
        app: faust.App,
        ledger: Ledger,
        pulse: Pulse,
        progress: Progress,
        refuse: Callable[[Refusal], None],
    ) -> None:
        self._app = app
        self._progress = progress
        self._ledger = ledger
        self._pulse = pulse
        self._refuse = refuse
        self._in_flight: asyncio.Task[None] | None = None

    async def run(self, stream: Any) -> None:
        """Close a unit when nothing more waits, or when it is full.

        No exception may leave this, because Faust then counts the message as done.
        """
        waiting: list[Fetch] = []
        records = 0
        event: EventT
        async for event in stream.events():
            fetch = cast(Fetch, event.value)
            self._ledger.taken(fetch)
            waiting.append(fetch)
            records += fetch.size
            if records < UNIT_RECORDS:
                if stream.channel.queue.empty():
                    await self._settle()
                if not stream.channel.queue.empty():
                    continue
            await self._launch(waiting)
            waiting, records = [], 0

    async def _launch(self, waiting: Sequence[Fetch]) -> None:
        """Admit and decode a unit, wait for the one before, and let this one go."""
        rebalances = self._ledger.rebalances
        try:
            batches = self._ledger.admit(waiting)
        except GapError:
            self._log("records are missing, going back to the checkpoints")
            self._recover()
            return
        if not batches:
            return
        decoded = await self._decode(batches)
        await self._settle()
        self._in_flight = asyncio.create_task(self._commit(batches, decoded, rebalances))

    async def _settle(self) -> None:
        """Wait for the unit that is under way; what comes meanwhile joins the next one."""
        if self._in_flight is not None:
            await self._in_flight
            self._in_flight = None

    async def _decode(self, batches: Sequence[Batch]) -> Decoded[Any] | None:
        """Ahead of the unit of work. Where that fails, the unit tries again, and isolates why.

        In a thread where it takes long: the unit before is waiting for the database meanwhile,
        and would wait for this as well.
        """
        decode = self._ledger.projector.projection.decode
        try:
            if count_records(batches) <= SMALL_UNIT:
                return decode(batches)
            return await asyncio.to_thread(decode, batches)
        except Exception:
            self._log("a unit cannot be decoded as a whole")
            return None

    async def _commit(
        self, batches: Sequence[Batch], decoded: Decoded[Any] | None, rebalances: int
    ) -> None:
        """One unit of work; whatever goes wrong leads back to the checkpoints."""
        async with self._ledger.busy:
            if rebalances != self._ledger.rebalances:
                return  # admitted before a rebalance: the records come again
            began = time.monotonic()
            self._progress.waits()
            try:
                await self._ledger.projector.commit(batches, decoded)
            except Refusal as refusal:
                self._ledger.forget()
                self._refuse(refusal)
            except Fenced:
                log.info("fenced: another worker has the partitions", app=self._app.conf.id)
                self._recover()
            except Exception:
                self._log("unit of work given up, going back to the checkpoints")
                self._recover()
            else:
                records = count_records(batches)
                self._pulse.took(time.time_ns() // 1000, frames=records)
                self._progress.committed(records, time.monotonic() - began)

    def _recover(self) -> None:
        """Drop what is held and rejoin the group in place; other apps of the process go on."""
        self._progress.recovers()
        if self._ledger.holds_partitions:
            self._ledger.forget()
            self._app.consumer._thread.rejoin()

    def _log(self, what: str) -> None:
        log.exception(what, app=self._app.conf.id)

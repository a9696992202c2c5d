"""What the log holds of an account already: read whole, before the feed begins."""

from __future__ import annotations

import asyncio
import time

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from streams import tolerant
from streams.clients import running
from streams.connectors.kalshi.seen import Seen
from streams.errors import UserError
from streams.events import AccountUnparsed, DecodeError, SnapshotFinished, decode
from streams.events.codec import ce_type
from streams.events.kalshi_account import TOPIC
from streams.settings import Endpoints

__all__ = ["remembered"]

log = structlog.get_logger(__name__)

#: Between batches the event loop does what else there is, such as a lease's heartbeats.
_BATCH = 1_000
_WAIT_MS = 1_000


async def remembered(endpoints: Endpoints, owner: str) -> tuple[Seen, int]:
    """What was produced of an account (`kalshi/prod/main`) up to now, by any process.

    Reads the whole topic, without a group; also returns how many records that were. Raises
    UserError where the broker is out of reach.
    """
    tolerant.install()
    reader = _Reader(owner)
    started = time.monotonic()
    try:
        await _read(endpoints, reader)
    except KafkaError as error:
        raise UserError(
            f"the topic {TOPIC} on {endpoints.brokers} cannot be read: {error!r}; "
            "`tape doctor` tries the connection"
        ) from error
    log.info(
        "the log was read",
        topic=TOPIC,
        account=owner,
        records=reader.records,
        seconds=round(time.monotonic() - started, 1),
    )
    return reader.seen(), reader.records


async def _read(endpoints: Endpoints, reader: _Reader) -> None:
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=endpoints.brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **endpoints.kafka,
    )
    async with running(consumer):
        ends = await consumer.end_offsets(consumer.assignment())
        starts = await consumer.beginning_offsets(list(ends))
        due = {partition for partition in ends if starts[partition] < ends[partition]}
        while due:
            for partition, records in (
                await consumer.getmany(*due, timeout_ms=_WAIT_MS, max_records=_BATCH)
            ).items():
                for record in records:
                    reader.take(record)
                if await consumer.position(partition) >= ends[partition]:
                    due.discard(partition)
            await asyncio.sleep(0)


class _Reader:
    """Makes of records what was seen of one account."""

    def __init__(self, owner: str) -> None:
        self.records = 0
        self._seen = Seen()
        # Most records of other accounts need not be parsed: values are written by our own codec.
        self._mark = f'"account":"{owner}/'.encode()
        self._owner = owner
        #: When the last two readings ended, by their ids.
        self._readings: dict[str, int] = {}

    def take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        """Learn from one record; one that is no event of ours is passed over."""
        self.records += 1
        try:
            is_unparsed = ce_type(record.headers) == AccountUnparsed.ce_type()
            if not is_unparsed and self._mark not in (record.value or b""):
                return
            event = decode(record.value, record.headers)
        except DecodeError:
            return
        match event:
            case AccountUnparsed():
                self._seen.unread(event)
            case SnapshotFinished():
                self._readings[event.snapshot_id] = event.time
            case _ if getattr(event, "origin", None) == "native":
                self._seen.news(event)

    def seen(self) -> Seen:
        """All that was learned.

        What the last reading found may have been on its way to other partitions when its end was
        written, and its process was killed. All of the reading before is in the log.
        """
        times = sorted(self._readings.values())
        if len(times) > 1:
            self._seen.read_until = times[-2]
        return self._seen

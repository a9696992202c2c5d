"""The trade commands that come by Kafka from now on.

Read from the end, without a group: nothing that was asked before is executed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams.clients import running
from streams.errors import UserError
from streams.events import DecodeError, Event, TradeCommand, decode, trade_commands
from streams.settings import Endpoints

__all__ = ["Inbox"]

log = structlog.get_logger(__name__)

_START_WITHIN_S = 15.0


class Inbox:
    """Takes the commands that come from its opening on."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoints: Endpoints) -> AsyncIterator[Inbox]:
        """Connect. Raises UserError where the broker is out of reach."""
        consumer = AIOKafkaConsumer(
            trade_commands.TOPIC,
            bootstrap_servers=endpoints.brokers,
            auto_offset_reset="latest",
            enable_auto_commit=False,
            **endpoints.kafka,
        )
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_START_WITHIN_S):
                    await stack.enter_async_context(running(consumer))
                    for partition in consumer.assignment():
                        # Known from here on: what is sent later is not missed.
                        await consumer.position(partition)
            except (KafkaError, TimeoutError) as error:
                raise UserError(
                    f"the broker {endpoints.brokers} cannot be read: {error!r}; "
                    "`tape doctor` tries the connection"
                ) from error
            yield cls(consumer)

    async def receive(self) -> list[TradeCommand]:
        """The commands that came since the last call, for whichever account."""
        batches = await self._consumer.getmany(timeout_ms=0)
        events = (_event(record) for records in batches.values() for record in records)
        return [event for event in events if isinstance(event, TradeCommand)]


def _event(record: Any) -> Event | None:
    try:
        return decode(record.value, record.headers)
    except DecodeError as error:
        place = f"{record.topic}[{record.partition}]@{record.offset}"
        log.warning("record not read", place=place, error=str(error))
        return None

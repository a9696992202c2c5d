"""The trade commands that come by Kafka from now on.

Read from the end, without a group: nothing that was asked before is executed.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams.clients import until_closed
from streams.errors import UserError
from streams.events import DecodeError, Event, TradeCommand, decode, trade_commands
from streams.settings import Endpoints

__all__ = ["Inbox"]

log = structlog.get_logger(__name__)

_START_WITHIN_S = 15.0


class Inbox:
    """An async context manager. Raises UserError on entering when the broker is out of reach."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            trade_commands.TOPIC,
            bootstrap_servers=self._endpoints.brokers,
            auto_offset_reset="latest",
            enable_auto_commit=False,
            **self._endpoints.kafka,
        )
        try:
            async with asyncio.timeout(_START_WITHIN_S):
                await self._consumer.start()
                for partition in self._consumer.assignment():
                    # Known from here on: what is sent later is not missed.
                    await self._consumer.position(partition)
        except (KafkaError, TimeoutError) as error:
            await until_closed(self._consumer.stop())
            raise UserError(
                f"the broker {self._endpoints.brokers} cannot be read: {error!r}; "
                "`tape doctor` tries the connection"
            ) from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await until_closed(self._consumer.stop())

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

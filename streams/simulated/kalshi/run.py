"""The simulated account live: commands and the price from Kafka, what becomes of them into Kafka.

Its trader's commands go through the topic `trade.commands` like anyone's. It reads that topic from
the end, without a group: nothing that was asked before it started is executed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams.errors import UserError
from streams.events import (
    DecodeError,
    Event,
    PriceTrade,
    TradeCommand,
    decode,
    price,
    trade_commands,
)
from streams.producer import Producer
from streams.settings import Endpoints
from streams.simulated.kalshi.simulation import Simulation

__all__ = ["Counts", "run"]

log = structlog.get_logger(__name__)

_EVERY_S = 0.05
_START_WITHIN_S = 15.0
#: How long a stop waits for commands that are on their way, seconds.
_LAST_COMMANDS_WITHIN_S = 1.5
_PRICE_KEY = b"simulated:BTC-USD"


@dataclass
class Counts:
    """What an account has done since it started."""

    commands: int = 0
    events: int = 0


async def run(endpoints: Endpoints, account: str, seed: int, counts: Counts) -> None:
    """Trade on this account, which begins without cash, until cancelled.

    A stop gives no more commands, and lets those be executed that are on their way. Raises
    UserError when the broker is out of reach, and what the producer raises.
    """
    async with Producer(endpoints) as producer, Inbox(endpoints) as inbox:
        live = Live(Simulation(account, seed, _now()), inbox, producer, counts)
        work = asyncio.create_task(live.run())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            live.stop()  # between two steps: what the exchange did is told whole
            await work
            raise


class Live:
    """A simulation beside the clock and the broker."""

    def __init__(
        self, simulation: Simulation, inbox: Inbox, producer: Producer, counts: Counts
    ) -> None:
        self._simulation = simulation
        self._inbox = inbox
        self._producer = producer
        self._counts = counts
        self._stopping = False

    async def run(self) -> None:
        """Trade until a stop; then until the commands that were sent are executed."""
        while not self._stopping:
            await self._step()
            await self._trade()
            await asyncio.sleep(_EVERY_S)
        await self._finish()

    def stop(self) -> None:
        """Give no more commands, and let `run` end."""
        self._stopping = True

    async def _step(self) -> None:
        """Execute the commands that came; let the exchange go on, once there is a price."""
        for command in await self._inbox.receive():
            await self._send(self._simulation.execute(command, _now()))
        if self._inbox.price is not None:
            await self._send(self._simulation.advance(_now(), self._inbox.price))

    async def _trade(self) -> None:
        commands = self._simulation.trade(_now())
        self._counts.commands += len(commands)
        await self._send(commands)

    async def _finish(self) -> None:
        deadline = time.monotonic() + _LAST_COMMANDS_WITHIN_S
        while self._simulation.unanswered and time.monotonic() < deadline:
            await self._step()
            await asyncio.sleep(_EVERY_S)
        if self._simulation.unanswered:
            log.warning("commands were not executed", count=self._simulation.unanswered)

    async def _send(self, events: Iterable[Event]) -> None:
        for event in events:
            self._counts.events += 1
            await self._producer.send(event)


class Inbox:
    """What comes by Kafka from now on: commands, and the price of bitcoin at the simulated venue.

    An async context manager. Raises UserError on entering when the broker is out of reach.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        #: The newest; None before the first.
        self.price: Decimal | None = None
        self._endpoints = endpoints
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            price.TOPIC,
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
            await self._consumer.stop()
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
        await self._consumer.stop()

    async def receive(self) -> list[TradeCommand]:
        """The commands that came since the last call, for whichever account."""
        commands: list[TradeCommand] = []
        for partition, records in (await self._consumer.getmany(timeout_ms=0)).items():
            if partition.topic == trade_commands.TOPIC:
                commands += [one for one in map(_event, records) if isinstance(one, TradeCommand)]
            else:
                self._take_price(records)
        return commands

    def _take_price(self, records: Iterable[Any]) -> None:
        """The newest of them, which alone is decoded."""
        trades = [one for one in records if one.key == _PRICE_KEY and _is_trade(one)]
        if trades and isinstance(trade := _event(trades[-1]), PriceTrade):
            self.price = trade.price


def _is_trade(record: Any) -> bool:
    return ("ce_type", PriceTrade.ce_type().encode()) in record.headers


def _event(record: Any) -> Event | None:
    try:
        return decode(record.value, record.headers)
    except DecodeError as error:
        place = f"{record.topic}[{record.partition}]@{record.offset}"
        log.warning("record not read", place=place, error=str(error))
        return None


def _now() -> int:
    return time.time_ns() // 1000

"""A WebSocket server on loopback that speaks Coinbase Exchange's public feed protocol.

Source of the protocol: docs.cdp.coinbase.com/exchange/docs/websocket-overview.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from types import TracebackType
from typing import Self

import orjson
import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from streams.simulated.faults import Faults, FaultyLine
from streams.simulated.market import PRODUCTS, JsonFrame, Market
from streams.simulated.subscription import Subscription, SubscriptionError

__all__ = ["SimulatedVenue"]

log = structlog.get_logger(__name__)

#: A client that sends no subscription within this is closed, as at Coinbase. Seconds.
SUBSCRIBE_WITHIN = 5.0
#: A client that lags this many frames behind is cut off (Coinbase: ErrSlowConsume).
_LONGEST_QUEUE = 20_000
#: How often trades are made; those that are due by then come together. Seconds.
_TICK = 0.005
#: What lies further back than this, after the process was stopped, is not caught up. Seconds.
_LONGEST_CATCH_UP = 1.0
_HEARTBEAT_EVERY = 1.0

#: Replies to a client come through unharmed.
_REPLIES = ("subscriptions", "error")


class _Client:
    """One connection: what it subscribed to, and the frames that wait to be sent."""

    def __init__(self, socket: ServerConnection, faults: Faults) -> None:
        self.subscription = Subscription()
        self._socket = socket
        self._line = FaultyLine(faults)
        self._queue: asyncio.Queue[JsonFrame] = asyncio.Queue(_LONGEST_QUEUE)

    def offer(self, frame: JsonFrame) -> None:
        """Queue a frame; a client without room for it is cut off."""
        try:
            self._queue.put_nowait(frame)
        except asyncio.QueueFull:
            log.warning("a slow client is cut off", waiting=self._queue.qsize())
            self._socket.transport.abort()

    async def send(self) -> None:
        """Send what is queued, with the faults of the line, until the connection ends."""
        while True:
            frame = await self._queue.get()
            encoded = orjson.dumps(frame)
            if frame["type"] in _REPLIES:
                await self._socket.send(encoded, text=True)
                continue
            delivery = self._line.deliver(encoded, str(frame["type"]), str(frame["product_id"]))
            await asyncio.sleep(delivery.delay)
            for data in delivery.frames:
                await self._socket.send(data, text=True)
            if delivery.disconnect:
                self._socket.transport.abort()
                return


class SimulatedVenue:
    """The venue. Use as an async context manager: it listens on `url` while inside."""

    def __init__(
        self,
        *,
        trades_per_second: float = 200.0,
        seed: int | None = None,
        first_number: int | None = None,
        faults: Faults | None = None,
        port: int = 0,
    ) -> None:
        """`first_number` is where trade ids and sequences start; `port` 0 takes a free one.

        By default it is the time in µs: ids go on rising over restarts and never meet those of an
        earlier run. The default `seed` differs from start to start as well.
        """
        now = _now()
        self._faults = faults or Faults()
        self._interval = 1.0 / trades_per_second
        self._market = Market(
            seed=now if seed is None else seed,
            first_number=now if first_number is None else first_number,
        )
        self._port = port
        self._clients: set[_Client] = set()
        self._running = AsyncExitStack()

    @property
    def url(self) -> str:
        """The address to connect to, while inside the context."""
        return f"ws://127.0.0.1:{self._port}"

    def price(self, product: str) -> Decimal:
        """What a product costs now, dollars."""
        return self._market.mid(product)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(serve(self._serve, "127.0.0.1", self._port))
            self._port = next(iter(server.sockets)).getsockname()[1]
            for work in (self._trade(), self._beat()):
                stack.push_async_callback(_stop, asyncio.create_task(work))
            self._running = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._running.aclose()

    async def _serve(self, socket: ServerConnection) -> None:
        client = _Client(socket, self._faults)
        sender = asyncio.create_task(client.send())
        self._clients.add(client)
        try:
            async with asyncio.timeout(SUBSCRIBE_WITHIN):
                self._answer(client, await socket.recv())
            async for message in socket:
                self._answer(client, message)
        except TimeoutError:
            await socket.close(1008, "no subscription within 5 s")
        except ConnectionClosed:
            pass
        finally:
            self._clients.discard(client)
            await _stop(sender)

    def _answer(self, client: _Client, message: str | bytes) -> None:
        try:
            products = client.subscription.request(message)
        except SubscriptionError as error:
            client.offer({"type": "error", "message": "Failed to subscribe", "reason": str(error)})
            return
        client.offer(client.subscription.answer())
        for product in sorted(products):
            if (match := self._market.last_match(product)) is not None:
                client.offer(match)

    async def _trade(self) -> None:
        """Make the trades that are due, at the rate, whether or not someone listens."""
        due = time.monotonic()
        while True:
            now = time.monotonic()
            due = max(due, now - _LONGEST_CATCH_UP)
            while due <= now:
                due += self._interval
                step = self._market.step(_now())
                self._publish("matches", step.product, step.match)
                self._publish("ticker", step.product, step.ticker)
            await asyncio.sleep(_TICK)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_EVERY)
            for product in PRODUCTS:
                self._publish("heartbeat", product, self._market.heartbeat(product, _now()))

    def _publish(self, channel: str, product: str, frame: JsonFrame) -> None:
        for client in list(self._clients):
            if client.subscription.has(channel, product):
                client.offer(frame)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, ConnectionClosed):
        await task


def _now() -> int:
    return time.time_ns() // 1000

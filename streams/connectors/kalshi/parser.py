"""The state of one connection to Kalshi: its subscriptions, and what its frames are taken for."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import orjson

from streams.connectors.base import FrameParser, Request, json_object
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.subscriptions import ANSWERS, Place, Subscriptions
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, shown
from streams.events import EncodedEvent, Event, Unparsed

__all__ = ["KalshiParser"]


@dataclass
class KalshiParser(FrameParser):
    """Checks the number of each frame before anything else is made of it.

    `owner` is whose connection it is (`kalshi/prod/main`), `opened` when it was opened, in
    microseconds since 1970 UTC.
    """

    owner: str
    opened: int
    #: What becomes of a frame that cannot be read.
    unread: ClassVar[type[Unparsed]]
    subscriptions: Subscriptions = field(default_factory=Subscriptions, init=False)
    _heard: int = field(default=0, init=False)

    def read(
        self, frame: bytes, arrival: int, received: int, request: Request | None
    ) -> list[Event]:
        delivery = Delivery(self.owner, "native", self.connection, arrival, received)
        events: list[Event] = []
        try:
            if request is not None:
                return self.reply(request, json_object(frame), delivery)
            whole = json_object(frame)
            self._hear(whole, received)
            self._take(whole, frame, delivery, events)
        except FrameError as error:
            events.append(delivery.unread(self.unread, frame, str(error)))
            events += self.unreadable(delivery)
        return events

    def quick(self, frame: bytes, received: int, trace: str) -> list[EncodedEvent] | None:
        try:
            whole = orjson.loads(frame)
            if type(whole) is not dict or not self.subscriptions.is_next(whole):
                return None
        except (orjson.JSONDecodeError, FrameError):
            return None
        record = self.quick_record(whole, frame, received, trace)
        if record is None:
            return None
        self._hear(whole, received)
        self.subscriptions.place(whole)
        return [record]

    def quick_record(
        self, frame: Item, data: bytes, received: int, trace: str
    ) -> EncodedEvent | None:
        """The record of a frame with the number that is expected, if it is of a common kind."""
        return None

    def tick(self, now: int) -> None:
        super().tick(now)
        probe = self.subscriptions.probe(now, self._heard or self.opened)
        if probe is not None:
            self.say(probe)

    def _hear(self, frame: Item, received: int) -> None:
        """The session lives; some frames tell when they were sent."""
        self._heard = received
        sent = frame.get("sending_ts_ms")
        if type(sent) is int and sent > 0:
            self.sent = received, sent * 1000

    def _take(self, frame: Item, data: bytes, delivery: Delivery, events: list[Event]) -> None:
        """Add the events of a frame. Raises FrameError, with what was added before."""
        kind = frame.get("type")
        if kind == "error":
            self.subscriptions.answered(frame)  # ends the connection, which tells of all at once
        place = self.subscriptions.place(frame)
        if place is not None and place.order == "repeat":
            return
        if place is not None and place.order == "gap":
            events += self.gap(frame, place, delivery)
        if not isinstance(kind, str):
            raise FrameError(f"unknown message type {shown(kind)}")
        if kind in ANSWERS:
            self.subscriptions.answered(frame)
            self.answered(frame, delivery)
        else:
            events += self.fact(kind, frame, data, delivery)

    @abstractmethod
    def fact(self, kind: str, frame: Item, data: bytes, delivery: Delivery) -> list[Event]:
        """The events of a frame that is no answer. Raises FrameError and ConnectorError only."""

    @abstractmethod
    def reply(self, request: Request, reply: Item, delivery: Delivery) -> list[Event]:
        """The events of a REST reply. Raises FrameError and ConnectorError only."""

    @abstractmethod
    def gap(self, frame: Item, place: Place, delivery: Delivery) -> list[Event]:
        """Messages of this frame's subscription are missing before it."""

    def unreadable(self, delivery: Delivery) -> list[Event]:
        """A frame or reply could not be read, so its number, if it had one, is not known."""
        return []

    @abstractmethod
    def answered(self, frame: Item, delivery: Delivery) -> None:
        """A command was answered; errors end the connection before."""

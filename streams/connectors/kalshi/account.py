"""The feed of one account: its private channels, and REST for what they do not or did not tell.

None of the private channels is numbered, so that what is lost on them is not noticed; and none of
them tells what was before. Hence a reading by REST as soon as they are live, and then on a
schedule. Source: reference/connectors.md sections 2, 3.4 to 3.6, 4 and 6.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from streams.connectors.base import ConnectorError, Request
from streams.connectors.kalshi import account_frames
from streams.connectors.kalshi.delivery import Converter, Delivery, kept
from streams.connectors.kalshi.feed import Access, KalshiConnector
from streams.connectors.kalshi.memory import remembered
from streams.connectors.kalshi.pages import Page, page_of
from streams.connectors.kalshi.parser import KalshiParser
from streams.connectors.kalshi.reading import Reading
from streams.connectors.kalshi.seen import Seen
from streams.connectors.kalshi.subscriptions import Place
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, shown
from streams.events import AccountUnparsed, Event
from streams.settings import Endpoints

__all__ = ["AccountParser", "KalshiAccountConnector"]

_CHANNELS = ("fill", "user_orders", "market_positions")
_FRAMES: Mapping[str, Converter] = {
    "fill": account_frames.fill,
    "market_position": account_frames.position,
    "user_order": account_frames.order,
}
_SUBACCOUNT = re.compile(r"[0-9]{1,2}")
#: The code of a channel's refusal, which leaves the other channels of a command alone.
_UNKNOWN_CHANNEL = 8

_SECOND = 1_000_000
#: How long the channels may take to be live. Microseconds.
_LIVE_WITHIN = 10 * _SECOND
#: After a frame that could not be read.
_SOON = 5 * _SECOND


class _Pace(NamedTuple):
    """When readings begin, and which of them are full.

    Positions, balance, orders and fills are read `every` so many microseconds after the end of one;
    settlements, deposits and withdrawals too by one in `full_every`, the first included. By number
    and not by time, so that a replay, which has no ticks, takes the same for a full one.
    """

    every: int
    full_every: int


_PACE = _Pace(60 * _SECOND, 5)
#: The simulated venue's hours last ten seconds.
_PACE_OF_SIMULATED = _Pace(_SECOND, 1)


class KalshiAccountConnector(KalshiConnector):
    """Fills, orders, positions, settlements, balances and transfers of all subaccounts."""

    name = "kalshi-account"

    def __init__(
        self, owner: str, access: Access | None = None, series: Sequence[str] = ()
    ) -> None:
        super().__init__(owner, access, series)
        self._seen = Seen()

    async def prepare(self, endpoints: Endpoints) -> int:
        self._seen, records = await remembered(endpoints, self.owner)
        return records

    def parser(self, connection: str, opened: int) -> AccountParser:
        parser = AccountParser(self.venue, connection, self.owner, opened, self._seen)
        parser.say(parser.subscriptions.subscribe(opened, *_CHANNELS))
        return parser

    def lease(self) -> str:
        return f"{self.name}.{self.owner}"


@dataclass
class AccountParser(KalshiParser):
    """One connection: frames and replies in, of these only what is new or different out."""

    unread = AccountUnparsed
    seen: Seen
    _request: Request | None = field(default=None, init=False)
    _refusals: int = field(default=0, init=False)
    _reading: Reading | None = field(default=None, init=False)
    _readings: int = field(default=0, init=False)
    #: When the next reading is due; None until the channels are live.
    _next: int | None = field(default=None, init=False)

    def read(
        self, frame: bytes, arrival: int, received: int, request: Request | None
    ) -> list[Event]:
        self._request = request
        self._read_again()
        events = [*self._concluded(received), *super().read(frame, arrival, received, request)]
        if request is None:
            return events
        return [
            one for one in events if not isinstance(one, AccountUnparsed) or self.seen.unread(one)
        ]

    def tick(self, now: int) -> None:
        """As in general. Raises ConnectorError where the channels are not live in time."""
        super().tick(now)
        if self._next is None and now - self.opened > _LIVE_WITHIN:
            raise ConnectorError(f"the venue has not subscribed us to {self._missing()} in time")
        self._read_again()

    def refused(self, request: Request, error: ConnectorError) -> None:
        further = None if self._reading is None else self._reading.refused(request, self.now)
        if further is None:
            raise error
        self.say(*further)

    def fact(self, kind: str, frame: Item, data: bytes, delivery: Delivery) -> list[Event]:
        convert = _FRAMES.get(kind)
        if convert is None:
            raise FrameError(f"unknown message type {shown(kind)}")
        return self._news([convert(frame, delivery, kept(data.decode()))])

    def reply(self, request: Request, reply: Item, delivery: Delivery) -> list[Event]:
        number = dict(request.query).get("subaccount", "0")
        if _SUBACCOUNT.fullmatch(number) is None:
            raise FrameError(f"the request is of no subaccount: {shown(number)}")
        page = page_of(request, reply, replace(delivery, subaccount=int(number)))
        return self._page(request, page, delivery.received)

    def gap(self, frame: Item, place: Place, delivery: Delivery) -> list[Event]:
        """None of these channels is numbered. Should one be, a reading tells what is missing."""
        self._read_soon()
        return []

    def unreadable(self, delivery: Delivery) -> list[Event]:
        """What a frame told, a reading tells too."""
        if self._request is not None:
            return self._page(self._request, Page(None, []), delivery.received)
        self._read_soon()
        return []

    def answered(self, frame: Item, delivery: Delivery) -> None:
        if frame.get("type") == "unsubscribed":
            raise ConnectorError(f"the venue ended the subscription {shown(frame.get('sid'))}")
        if self._next is None and not self._missing():
            self._next = self.now
            self._read_again()

    def _take(self, frame: Item, data: bytes, delivery: Delivery, events: list[Event]) -> None:
        if _refuses_channel(frame):
            self._refusals += 1
        else:
            super()._take(frame, data, delivery, events)
        if self._refusals and self._refusals >= len(self._missing()):
            missing = ", ".join(self._missing())
            raise ConnectorError(f"the venue refuses to subscribe us to {missing}: unknown channel")

    @property
    def _pace(self) -> _Pace:
        return _PACE_OF_SIMULATED if self.owner.startswith("simulated/") else _PACE

    def _missing(self) -> list[str]:
        """The channels that are not live."""
        return [one for one in _CHANNELS if self.subscriptions.sid_of(one) is None]

    def _page(self, request: Request, page: Page, received: int) -> list[Event]:
        reading = self._reading
        if reading is None:
            return self._news(page.events)
        events = reading.begun(request, received)
        events += self._news(page.events, reading.as_of)
        self.say(*reading.replied(request, page, self.now))
        return [*events, *self._concluded(received)]

    def _news(self, events: Sequence[Event], as_of: int | None = None) -> list[Event]:
        found = (self.seen.news(event, as_of) for event in events)
        return [event for event in found if event is not None]

    def _read_again(self) -> None:
        """Begin the reading that is due."""
        if self._reading is not None or self._next is None or self.now < self._next:
            return
        name = f"{self.connection}-{self._readings}"
        is_full = self._readings % self._pace.full_every == 0
        self._readings += 1
        self._reading = Reading(self.owner, name, self.seen, is_full=is_full)
        self.say(*self._reading.first())

    def _read_soon(self) -> None:
        if self._next is not None:
            self._next = min(self._next, self.now + _SOON)

    def _concluded(self, received: int) -> list[Event]:
        """What the reading says at its end, if that is now."""
        reading = self._reading
        if reading is None or not reading.is_over:
            return []
        self._reading = None
        self._next = self.now + self._pace.every
        return self._news(reading.finished(received))


def _refuses_channel(frame: Item) -> bool:
    msg = frame.get("msg")
    is_unknown = isinstance(msg, dict) and msg.get("code") == _UNKNOWN_CHANNEL
    return is_unknown and frame.get("type") == "error"

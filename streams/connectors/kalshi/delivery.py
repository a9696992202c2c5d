"""Whose message it is, how and when it came; and what becomes of one that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from streams.connectors.base import unparsed
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, shown
from streams.events import Event, Unparsed
from streams.events.types import Origin
from streams.owners import venue_of

#: As JSON text within JSON, in bytes: what `Raw` takes, and a record of the codec has room for.
LARGEST_RAW = 500_000

#: One frame, item or row, its delivery and its JSON text → its event. Raises FrameError only.
Converter = Callable[[Item, "Delivery", str | None], Event]
#: The same, where one item may say several things.
Converters = Callable[[Item, "Delivery", str | None], Iterable[Event]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One frame, reply or row: whose it is, and how it came here.

    `account` is venue, mode and name (`kalshi/prod/main`). `subaccount` is the one that was asked
    for: it stands where the message names none (balances, positions and settlements by REST never
    do). `connection` names one run of one connection or one legacy store, in at most 40 characters,
    and `arrival` numbers its frames, replies or rows: both together occur once. `received` is in
    microseconds since 1970 UTC, within the accepted event times.
    """

    account: str
    origin: Origin
    connection: str
    arrival: int
    received: int
    subaccount: int = 0

    @property
    def venue(self) -> str:
        """The venue of market data: see `venue_of`."""
        return venue_of(self.account)

    def account_of(self, item: Item) -> str:
        """The full account of a message: `kalshi/prod/main/0`. Raises FrameError if the subaccount
        (`subaccount` by WebSocket, `subaccount_number` by REST and in orders) is no number."""
        for name in ("subaccount", "subaccount_number"):
            number = item.get(name)
            if number is None:
                continue
            if type(number) is not int or not 0 <= number <= 63:
                raise FrameError(f"{name}: none of 0 to 63: {shown(number)}")
            return f"{self.account}/{number}"
        return f"{self.account}/{self.subaccount}"

    def unread(self, model: type[Unparsed], data: bytes, error: str) -> Unparsed:
        """The event of this delivery when it cannot be read: `data` is all of it, as it came."""
        where = (self.venue, self.connection, self.arrival)
        return unparsed(model, *where, data, error, self.received)


def kept(text: str) -> str | None:
    """JSON text as events keep it: None if its record would become too large."""
    return text if len(orjson.dumps(text)) <= LARGEST_RAW else None


def each(
    items: Sequence[object], convert: Converters, model: type[Unparsed], delivery: Delivery
) -> list[Event]:
    """The events of a reply's items, in order. An item that cannot be read is one `model`.

    Its connection and arrival are the delivery's `connection/arrival` and the place in the list.
    Raises FrameError if an item is nested too deeply to be written as JSON.
    """
    events: list[Event] = []
    for place, item in enumerate(items):
        data = json_bytes(item)
        try:
            events.extend(convert(_json_object(item), delivery, kept(data.decode())))
        except FrameError as error:
            own = f"{delivery.connection}/{delivery.arrival}"
            one = replace(delivery, connection=own, arrival=place)
            events.append(one.unread(model, data, str(error)))
    return events


def list_of(reply: Item, name: str) -> list[Any]:
    """The list of that name in a reply. Raises FrameError for a reply without it, such as an
    error's: it does not say that there are none."""
    value = reply.get(name)
    if not isinstance(value, list):
        raise FrameError(f"{name}: not a list: {shown(value)}")
    return value


def json_bytes(value: object) -> bytes:
    """A value as JSON; decimals and the like of a table's row become text."""
    try:
        return orjson.dumps(value, default=str)
    except TypeError as error:
        raise FrameError(f"cannot be written as JSON: {error}") from error


def _json_object(item: object) -> Item:
    if not isinstance(item, dict):
        raise FrameError(f"not a JSON object but {type(item).__name__}")
    return item

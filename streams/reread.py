"""Frames that could not be read, sent through their feed's parser again.

Each by a fresh parser: a frame stands for itself. What only says how it stands to others, such as
a gap in numbers, a fresh parser cannot know, and is dropped. Ids are those of live events, so that
what is told twice changes no table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from streams.connectors import recorded
from streams.connectors.base import Connector, ConnectorError, is_cut, json_object
from streams.connectors.kalshi.account_frames import message
from streams.connectors.kalshi.books import KalshiBooksConnector
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.connectors.kalshi.values import words
from streams.connectors.kraken import KrakenConnector
from streams.connectors.values import FrameError
from streams.events import Event, MarketGap, PriceGap, Unparsed

__all__ = ["Reread", "reread"]

_NO_FEED = (
    "no feed is named: it is a REST reply, which says nothing without what was asked, or it was "
    "kept before feeds were named"
)
_OF_BOOK = (
    "a message of an order book is of no use out of its place: the book was told to be invalid, "
    "and got a fresh snapshot"
)


@dataclass(frozen=True, slots=True)
class Reread:
    """What became of a frame.

    `read`: it says these events, or nothing of ours. `left`: by itself it is of no use.
    `unread`: it still cannot be read. `reason` is of the latter two.
    """

    outcome: Literal["read", "left", "unread"]
    events: list[Event] = field(default_factory=list)
    reason: str = ""


def reread(event: Unparsed) -> Reread:
    """Read the frame of an event again, as of the time when it came. Raises nothing."""
    feed = event.feed
    if feed is None or _is_of_book(feed, event.frame):
        return Reread("left", reason=_NO_FEED if feed is None else _OF_BOOK)
    if is_cut(event):
        return Reread("unread", reason="only the beginning of the frame was kept")
    try:
        connector = recorded(feed)
    except LookupError:
        return Reread("unread", reason=f"this program has no feed {feed!a}")
    return _read(connector, event)


def _read(connector: Connector, event: Unparsed) -> Reread:
    try:
        _follow(connector, event.frame)
        parser = connector.parser(event.connection, event.received)
        events = parser.read(event.frame, event.arrival, event.received, None)
    except ConnectorError as error:
        return Reread("unread", reason=f"it says that the venue refused something: {error}")
    except Exception as error:  # a fault of ours: the other frames are read nevertheless
        return Reread("unread", reason=f"the parser failed: {type(error).__name__}: {error}")
    for one in events:
        if isinstance(one, Unparsed):
            return Reread("unread", reason=one.error)
    return Reread("read", [one for one in events if not isinstance(one, PriceGap | MarketGap)])


def _is_of_book(feed: str, frame: bytes) -> bool:
    """Whether it only says how a book has changed."""
    try:
        return feed.partition("@")[0] == KalshiBooksConnector.name or (
            feed == KrakenConnector.feed and json_object(frame).get("channel") == "book"
        )
    except FrameError:
        return False  # the parser says why


def _follow(connector: Connector, frame: bytes) -> None:
    """Have the frame's market followed: of other markets this feed would pass over what they become
    (lifecycle), and a frame was kept as unread because it was not passed over."""
    if isinstance(connector, KalshiMarketConnector):
        try:
            ticker = words(message(json_object(frame)), "market_ticker")
        except FrameError:
            return  # the parser says why
        connector.series = () if ticker is None else (ticker.split("-", 1)[0],)

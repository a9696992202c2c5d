"""The pages of REST lists: what one tells, and what to ask for after it. Pure.

Source: openapi.yaml 3.34.0. A list goes on while its page has a cursor, which is good for the same
path and filters only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from streams.connectors.base import Request, json_object
from streams.connectors.kalshi import account_replies, market_replies
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.values import Item, words
from streams.connectors.values import FrameError, shown
from streams.events import AccountUnparsed, Event, MarketUnparsed, Unparsed

__all__ = ["Page", "following", "listing", "page_of", "read_page"]


class Page(NamedTuple):
    """One reply: its JSON object, None where it is not what was asked for; its events; a cursor."""

    reply: Item | None
    events: list[Event]
    cursor: str | None = None


class _Path(NamedTuple):
    convert: Callable[[Item, Delivery, Request], list[Event]]
    unread: type[Unparsed] = AccountUnparsed


#: Lengths of candlesticks, minutes.
_PERIODS = ("1", "60", "1440")


def _plain(convert: Callable[[Item, Delivery], list[Event]]) -> _Path:
    return _Path(lambda reply, delivery, _: convert(reply, delivery))


def _balance(reply: Item, delivery: Delivery) -> list[Event]:
    return [account_replies.balance(reply, delivery)]


def _deposits(reply: Item, delivery: Delivery) -> list[Event]:
    return account_replies.transfers(reply, "deposit", delivery)


def _withdrawals(reply: Item, delivery: Delivery) -> list[Event]:
    return account_replies.transfers(reply, "withdrawal", delivery)


def _trades(reply: Item, delivery: Delivery, _: Request) -> list[Event]:
    return market_replies.trades(reply, delivery)


def _candles(reply: Item, delivery: Delivery, request: Request) -> list[Event]:
    minutes = dict(request.query).get("period_interval", "")
    if minutes not in _PERIODS:
        raise FrameError(f"the request is of no period: {shown(minutes)}")
    return market_replies.candles(reply, int(minutes), delivery)


_PATHS: Mapping[str, _Path] = {
    "/historical/fills": _plain(account_replies.fills),
    "/historical/orders": _plain(account_replies.orders),
    "/historical/trades": _Path(_trades, MarketUnparsed),
    "/markets/trades": _Path(_trades, MarketUnparsed),
    "/portfolio/balance": _plain(_balance),
    "/portfolio/deposits": _plain(_deposits),
    "/portfolio/fills": _plain(account_replies.fills),
    "/portfolio/orders": _plain(account_replies.orders),
    "/portfolio/positions": _plain(account_replies.positions),
    "/portfolio/settlements": _plain(account_replies.settlements),
    "/portfolio/withdrawals": _plain(_withdrawals),
}
_CANDLES = _Path(_candles, MarketUnparsed)
#: What these tell is not of events.
_OTHER = _plain(lambda _, __: [])


def read_page(request: Request, data: bytes, delivery: Delivery) -> Page:
    """What a reply tells. Raises nothing: one that cannot be read is one Unparsed."""
    try:
        return page_of(request, json_object(data), delivery)
    except FrameError as error:
        return Page(None, [delivery.unread(_path(request.path).unread, data, str(error))])


def page_of(request: Request, reply: Item, delivery: Delivery) -> Page:
    """The same of its JSON object. Raises FrameError where it is not what was asked for."""
    events = _path(request.path).convert(reply, delivery, request)
    return Page(reply, events, words(reply, "cursor"))


def _path(path: str) -> _Path:
    if path.startswith("/portfolio/orders/"):
        return _PATHS["/portfolio/orders"]
    return _CANDLES if path.endswith("/candlesticks") else _PATHS.get(path, _OTHER)


def following(request: Request, cursor: str) -> Request:
    """The request for the page after."""
    kept = tuple((name, value) for name, value in request.query if name != "cursor")
    return Request(request.path, (*kept, ("cursor", cursor)))


def listing(request: Request) -> Request:
    """The list that a page is of, wherever it begins."""
    moving = ("cursor", "limit", "min_ts", "max_ts")
    return Request(request.path, tuple(one for one in request.query if one[0] not in moving))

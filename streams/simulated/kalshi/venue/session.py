"""One WebSocket connection: its subscriptions, the answers to its commands, and its frames. Pure.

Rules of the numbers (asyncapi.yaml, and recordings of the real venue): `seq` counts for each
subscription from 1, over all its markets; `ok` and `unsubscribed` use a number up, `subscribed`
does not. A channel has one subscription per connection: to subscribe again adds markets to it, and
is answered by `ok`. Channels of the venue that are not in `CHANNELS` are unknown here, and
`use_yes_price` true is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from streams.simulated.kalshi.venue import messages
from streams.simulated.kalshi.venue.commands import (
    ERRORS,
    Command,
    CommandError,
    command,
    parse,
    selection,
    texts,
    the_sid,
)
from streams.simulated.kalshi.venue.depth import Depth
from streams.simulated.kalshi.venue.messages import CHANNELS, Channel, Message
from streams.simulated.kalshi.venue.state import Venue
from streams.simulated.kalshi.venue.subscription import Subscription
from streams.simulated.kalshi.venue.wire import Json, millis

__all__ = ["Frame", "Session"]

_ALL = "all"
#: Channels that take no markets: they tell of all, or of indices.
_WITHOUT_MARKETS = ("market_lifecycle_v2", "cfbenchmarks_value")


class Frame(NamedTuple):
    """A text frame of a subscription, if it is of one."""

    kind: str
    sid: int | None
    data: bytes


class Session:
    """What one client is subscribed to. Frames come out in the order in which to send them."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._subscriptions: dict[Channel, Subscription] = {}
        self._sids = 0

    def handle(self, data: str | bytes) -> list[Frame]:
        """The answers to a client's message; what is no command is answered by an error."""
        number = None
        try:
            number, message = parse(data)
            asked = command(number, message)
            return self._handlers()[asked.name](asked)
        except CommandError as error:
            return [self._error(error.code, number)]

    def refuse(self, data: str | bytes, code: int) -> list[Frame]:
        """Answer a message by an error, whatever it asks for."""
        number = None
        with suppress(CommandError):
            number, _ = parse(data)
        return [self._error(code, number)]

    def hear(self, message: Message) -> list[Frame]:
        """The frame of a message, for a client that subscribed to it."""
        subscription = self._subscriptions.get(message.channel)
        if subscription is None or not subscription.wants(message.topic):
            return []
        return [self._data(subscription, message)]

    def end(self, sid: int, code: int) -> list[Frame]:
        """End a subscription by a terminal error (10 or 25); none where it is gone already."""
        subscription = self._find(sid)
        if subscription is None:
            return []
        del self._subscriptions[subscription.channel]
        return [self._error(code, None, subscription)]

    def _handlers(self) -> Mapping[str, Callable[[Command], list[Frame]]]:
        return {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "update_subscription": self._update,
            "list_subscriptions": self._list,
        }

    def _subscribe(self, asked: Command) -> list[Frame]:
        channels = asked.params.get("channels")
        if not isinstance(channels, list) or not channels:
            raise CommandError(3)
        frames: list[Frame] = []
        for channel in channels:
            try:
                frames += self._subscribe_to(_known(channel), asked)
            except CommandError as error:
                frames.append(self._error(error.code, asked.number))
        return frames

    def _subscribe_to(self, channel: Channel, asked: Command) -> list[Frame]:
        topics, by_id = self._topics(channel, asked.params)
        if asked.params.get("use_yes_price", False) is not False:
            raise CommandError(11)
        existing = self._subscriptions.get(channel)
        if existing is not None:
            added = existing.add(topics or ())
            acknowledged = self._ok(existing, asked.number)
            return [acknowledged, *self._initial(existing, added, asked.params)]
        silent = asked.params.get("skip_ticker_ack") is True
        covered: dict[str, None] | None = None if topics is None else {}
        subscription = Subscription(self._sids + 1, channel, covered, by_id, silent)
        subscription.add(topics or ())
        self._sids += 1
        self._subscriptions[channel] = subscription
        body: Json = {"channel": channel, "sid": subscription.sid}
        acknowledged = self._frame("subscribed", None, {"id": asked.number}, body)
        return [acknowledged, *self._initial(subscription, topics or (), asked.params)]

    def _topics(
        self, channel: Channel, params: Mapping[str, Any]
    ) -> tuple[tuple[str, ...] | None, bool]:
        if channel == "market_lifecycle_v2":
            return None, False
        if channel == "cfbenchmarks_value":
            return self._indices(params), False
        chosen = selection(params, channel)
        if chosen is None:
            if channel == "orderbook_delta":
                raise CommandError(14)
            return None, False
        return self._tickers(chosen.names, chosen.by_id), chosen.by_id

    def _tickers(self, names: Iterable[str], by_id: bool) -> tuple[str, ...]:
        if not by_id:
            return tuple(names)
        known = {one.listed.market_id: ticker for ticker, one in self._venue.markets.items()}
        return tuple(known[name] for name in names if name in known)

    def _indices(self, params: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Those named; None for all. An index that does not exist is not refused."""
        given = texts(params, "index_ids")
        return None if _ALL in given else given

    def _initial(
        self, subscription: Subscription, tickers: Iterable[str], params: Mapping[str, Any]
    ) -> list[Frame]:
        """Snapshots of the markets that are new to a subscription."""
        if subscription.channel == "orderbook_delta":
            return [self._snapshot(subscription, ticker) for ticker in tickers]
        if subscription.channel == "ticker" and params.get("send_initial_snapshot") is True:
            quoted = [self._venue.markets[one] for one in tickers if one in self._venue.markets]
            last = [market.quotes[-1] for market in quoted if market.quotes]
            return [self._data(subscription, messages.ticker(quote)) for quote in last]
        return []

    def _snapshot(
        self, subscription: Subscription, ticker: str, number: int | None = None
    ) -> Frame:
        """The book now. One of a market that the venue does not know has no id and is empty."""
        market = self._venue.markets.get(ticker)
        market_id, depth = (market.listed.market_id, market.depth) if market else ("", Depth())
        return self._data(subscription, messages.snapshot(ticker, market_id, depth), number)

    def _unsubscribe(self, asked: Command) -> list[Frame]:
        sids = asked.params.get("sids")
        if not isinstance(sids, list) or not sids:
            raise CommandError(4)
        return [self._unsubscribe_from(sid, asked.number) for sid in sids]

    def _unsubscribe_from(self, sid: object, number: int | None) -> Frame:
        subscription = self._find(sid)
        if subscription is None:
            return self._error(7, number)
        del self._subscriptions[subscription.channel]
        head = {"id": number, "sid": subscription.sid, "seq": subscription.next()}
        return self._frame("unsubscribed", subscription.sid, head)

    def _update(self, asked: Command) -> list[Frame]:
        subscription = self._find(the_sid(asked.params))
        if subscription is None:
            raise CommandError(7)
        try:
            return self._act(subscription, asked)
        except CommandError as error:
            return [self._error(error.code, asked.number, subscription)]

    def _act(self, subscription: Subscription, asked: Command) -> list[Frame]:
        action = asked.params.get("action")
        if action is None:
            raise CommandError(15)
        if subscription.channel == "cfbenchmarks_value":
            return [self._act_on_indices(subscription, action, asked)]
        if subscription.channel in _WITHOUT_MARKETS:
            raise CommandError(13)
        return self._act_on_markets(subscription, action, asked)

    def _act_on_indices(self, subscription: Subscription, action: str, asked: Command) -> Frame:
        if action == "indexlist":
            head = {"id": asked.number, "sid": subscription.sid, "seq": subscription.next()}
            body: Json = {"index_ids": sorted(self._venue.indices)}
            return self._frame("cfbenchmarks_value_indexlist", subscription.sid, head, body)
        if action not in ("subscribe_indices", "unsubscribe_indices"):
            raise CommandError(13)
        given = self._indices(asked.params)
        if given == ():
            raise CommandError(24)
        if action == "subscribe_indices" and given is None:
            subscription.topics = None
        elif action == "subscribe_indices":
            subscription.add(given or ())
        elif given is None:
            subscription.topics = {}
        else:
            subscription.remove(given)
        return self._ok(subscription, asked.number)

    def _act_on_markets(
        self, subscription: Subscription, action: str, asked: Command
    ) -> list[Frame]:
        if action not in ("add_markets", "delete_markets", "get_snapshot"):
            raise CommandError(13)
        if action == "get_snapshot" and subscription.channel != "orderbook_delta":
            raise CommandError(13)
        chosen = selection(asked.params, subscription.channel)
        if chosen is None:
            raise CommandError(14)
        tickers = self._tickers(chosen.names, chosen.by_id)
        if action == "get_snapshot":
            return [self._snapshot(subscription, ticker, asked.number) for ticker in tickers]
        if action == "delete_markets":
            subscription.remove(tickers)
            return [self._ok(subscription, asked.number)]
        added = subscription.add(tickers)
        acknowledged = self._ok(subscription, asked.number)
        return [acknowledged, *self._initial(subscription, added, asked.params)]

    def _list(self, asked: Command) -> list[Frame]:
        body = [{"channel": one.channel, "sid": one.sid} for one in self._subscriptions.values()]
        return [self._frame("ok", None, {"id": asked.number}, body)]

    def _ok(self, subscription: Subscription, number: int | None) -> Frame:
        """What the subscription covers after an update, whole."""
        head = {"id": number, "sid": subscription.sid, "seq": subscription.next()}
        return self._frame("ok", subscription.sid, head, self._covered(subscription))

    def _covered(self, subscription: Subscription) -> Json:
        topics = subscription.topics
        if subscription.channel == "cfbenchmarks_value":
            return {"index_ids": [_ALL] if topics is None else list(topics)}
        if topics is None or subscription.silent:
            return {}
        if subscription.by_id:
            markets = self._venue.markets
            return {"market_ids": [markets[ticker].listed.market_id for ticker in topics]}
        return {"market_tickers": list(topics)}

    def _data(
        self, subscription: Subscription, message: Message, number: int | None = None
    ) -> Frame:
        head: dict[str, int | None] = {"id": number, "sid": subscription.sid}
        if subscription.numbered:
            head["seq"] = subscription.next()
        return self._frame(message.kind, subscription.sid, head, orjson.Fragment(message.body))

    def _error(
        self, code: int, number: int | None, subscription: Subscription | None = None
    ) -> Frame:
        head: dict[str, int | None] = {"id": number}
        if subscription is not None:
            head["sid"] = subscription.sid
            if subscription.numbered:
                head["seq"] = subscription.next()
        return self._frame("error", head.get("sid"), head, {"code": code, "msg": ERRORS[code]})

    def _frame(
        self, kind: str, sid: int | None, head: Mapping[str, int | None], body: object = None
    ) -> Frame:
        envelope: Json = {"type": kind}
        envelope |= {name: value for name, value in head.items() if value is not None}
        envelope["sending_ts_ms"] = millis(self._venue.now)
        if body is not None:
            envelope["msg"] = body
        return Frame(kind, sid, orjson.dumps(envelope, option=orjson.OPT_APPEND_NEWLINE))

    def _find(self, sid: object) -> Subscription | None:
        return next((one for one in self._subscriptions.values() if one.sid == sid), None)


def _known(channel: object) -> Channel:
    for known in CHANNELS:
        if channel == known:
            return known
    raise CommandError(8)

"""The fake Kraken: WebSocket v2 with trades and books, and the REST API's trades.

Source of the protocol: docs.kraken.com/api, websocket-v2 and rest-api/get-recent-trades. Numbers
are JSON numbers with all their digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from zlib import crc32

import orjson

from streams.simulated.kalshi.venue.line import Line
from streams.simulated.kalshi.venue.query import Reply
from streams.simulated.market import rfc3339
from tests.venue.spot.venue import Dialogue, Json, Said, SpotVenue, reply
from tests.venue.spot.world import SYMBOLS, Step, Trade, World

__all__ = ["FakeKraken"]

_DEPTH = 10
_SNAPSHOT = 50
_REST_PAIRS = {"XBTUSD": ("BTC-USD", "XXBTZUSD"), "ETHUSD": ("ETH-USD", "XETHZUSD")}

#: Price → quantity, best first.
Side = dict[str, str]


class _Lies:
    """How many of the next books of a kind are told with a wrong checksum."""

    def __init__(self) -> None:
        self.left: Counter[str] = Counter()

    def of(self, kind: str, checksum: int) -> int:
        if not self.left[kind]:
            return checksum
        self.left[kind] -= 1
        return checksum ^ 1


class _Dialogue(Dialogue):
    def __init__(self, world: World, lies: _Lies) -> None:
        super().__init__(world)
        self._lies = lies
        self._trades: set[str] = set()
        #: Symbol → the book as it was told last.
        self._books: dict[str, tuple[Side, Side]] = {}

    def opened(self) -> Iterable[Said]:
        status = {"system": "online", "api_version": "v2", "version": "2.0.10"}
        return [Said("status", {"channel": "status", "type": "update", "data": [status]})]

    def asked(self, message: Json) -> Iterable[Said]:
        params = message["params"]
        assert isinstance(params, dict)
        for name in params["symbol"]:
            symbol = name.replace("/", "-")
            if symbol not in SYMBOLS:
                reason = f"Currency pair not supported {name}"
                yield _answer(message, name, success=False, error=reason)
                return
            yield _answer(message, name, success=True)
            yield from self._changed(str(message["method"]), params["channel"], symbol)

    def heard(self, step: Step) -> Iterable[Said]:
        symbol = step.trade.symbol
        if symbol in self._trades:
            yield _frame("trade", "update", [_trade(step.trade)])
        if symbol in self._books:
            yield self._book(symbol, "update")

    def beat(self) -> Iterable[Said]:
        return [Said("heartbeat", {"channel": "heartbeat"})]

    def _changed(self, method: str, channel: str, symbol: str) -> Iterable[Said]:
        if method == "unsubscribe":
            self._books.pop(symbol, None)
        elif channel == "trade":
            self._trades.add(symbol)
            newest = [_trade(trade) for trade in self.world.last(symbol, _SNAPSHOT)]
            yield _frame("trade", "snapshot", newest)
        else:
            self._books[symbol] = {}, {}
            yield self._book(symbol, "snapshot")

    def _book(self, symbol: str, kind: str) -> Said:
        """What changed within the depth since the last one."""
        told = self._books[symbol]
        bids, asks = (dict(list(side.items())[:_DEPTH]) for side in self.world.book(symbol))
        self._books[symbol] = bids, asks
        book = {
            "symbol": symbol.replace("-", "/"),
            "bids": _changes(told[0], bids),
            "asks": _changes(told[1], asks),
            "checksum": self._lies.of(kind, _checksum(bids, asks)),
            "timestamp": rfc3339(self.world.time),
        }
        return _frame("book", kind, [book])


class FakeKraken(SpotVenue):
    """Kraken."""

    path = "/v2"
    refusal = reply({"error": ["EGeneral:Permission denied"]})

    def __init__(self, world: World, faults: Line | None = None) -> None:
        super().__init__(world, faults)
        self._lies = _Lies()

    def falsify(self, **books: int) -> None:
        """Tell so many books with a wrong checksum: `update=1`, `snapshot=1`."""
        self._lies.left.update(books)

    def dialogue(self, query: Mapping[str, str]) -> Dialogue:
        return _Dialogue(self.world, self._lies)

    def answer(self, path: str, query: Mapping[str, str]) -> Reply:
        """`/0/public/Trades?pair=XBTUSD&since=<ns>`: those after it, oldest first."""
        if path != "/0/public/Trades" or query["pair"] not in _REST_PAIRS:
            return reply({"error": ["EQuery:Unknown asset pair"]})
        symbol, pair = _REST_PAIRS[query["pair"]]
        since, most = int(query.get("since", "0")), int(query.get("count", "1000"))
        later = [one for one in self.world.trades[symbol] if _nanos(one) > since][:most]
        last = str(_nanos(later[-1]) if later else since)
        return reply({"error": [], "result": {pair: [_item(one) for one in later], "last": last}})


def _answer(message: Json, name: str, **outcome: object) -> Said:
    params = message["params"]
    assert isinstance(params, dict)
    result = {"channel": params["channel"], "symbol": name}
    head = {"method": message["method"], "req_id": message["req_id"], "result": result}
    return Said("reply", head | outcome, is_reply=True)


def _frame(channel: str, kind: str, data: list[Json]) -> Said:
    return Said(f"{channel} {kind}", {"channel": channel, "type": kind, "data": data})


def _trade(trade: Trade) -> Json:
    return {
        "symbol": trade.symbol.replace("-", "/"),
        "side": trade.side,
        "price": orjson.Fragment(trade.price),
        "qty": orjson.Fragment(trade.size),
        "ord_type": "market",
        "trade_id": trade.number,
        "timestamp": rfc3339(trade.time),
    }


def _changes(before: Side, after: Side) -> list[Json]:
    gone = {price: "0.00000000" for price in before if price not in after}
    news = {price: size for price, size in after.items() if before.get(price) != size}
    return [
        {"price": orjson.Fragment(price), "qty": orjson.Fragment(size)}
        for price, size in (gone | news).items()
    ]


def _checksum(bids: Side, asks: Side) -> int:
    """Of all prices and quantities without point and leading zeros, asks before bids."""
    texts = [text for side in (asks, bids) for level in side.items() for text in level]
    return crc32("".join(str(int(text.replace(".", ""))) for text in texts).encode())


def _nanos(trade: Trade) -> int:
    """The REST API's times are finer than the feed's."""
    return trade.time * 1000 + 789


def _item(trade: Trade) -> list[object]:
    seconds, nanos = divmod(_nanos(trade), 1_000_000_000)
    time = orjson.Fragment(f"{seconds}.{nanos:09d}")
    return [f"{trade.price}000", trade.size, time, trade.side[0], "m", "", trade.number]

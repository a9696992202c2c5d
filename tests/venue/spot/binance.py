"""The fake Binance: combined streams of aggTrade and bookTicker, and the REST API's aggTrades.

Source of the protocol: github.com/binance/binance-spot-api-docs. Its symbols are in USDT; times are
in milliseconds, and a subscription is the address itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.simulated.kalshi.venue.query import Reply
from tests.venue.spot.venue import Dialogue, Json, Said, SpotVenue, reply
from tests.venue.spot.world import SYMBOLS, Step, Trade, World

__all__ = ["FakeBinance", "symbol_of"]

_LONGEST_PAGE = 1_000


def symbol_of(symbol: str) -> str:
    """The world's BTC-USD → BTC-USDT."""
    return f"{symbol}T"


class _Dialogue(Dialogue):
    def __init__(self, world: World, streams: list[str]) -> None:
        super().__init__(world)
        self._streams = frozenset(streams)

    def heard(self, step: Step) -> Iterable[Said]:
        name, quote = _name(step.trade.symbol), step.quote
        event = {"e": "aggTrade", "E": self.world.time // 1000, "s": name, **_item(step.trade)}
        book = {
            "u": step.ticker["sequence"],
            "s": name,
            "b": quote.bid,
            "B": quote.bid_size,
            "a": quote.ask,
            "A": quote.ask_size,
        }
        yield from self._said(name, "aggTrade", event)
        yield from self._said(name, "bookTicker", book)

    def _said(self, name: str, kind: str, data: Json) -> Iterable[Said]:
        stream = f"{name.lower()}@{kind}"
        if stream in self._streams:
            yield Said(kind, {"stream": stream, "data": data})


class FakeBinance(SpotVenue):
    """Binance, or Binance US."""

    refusal = reply({"code": -2015, "msg": "Rejected."}, 451)

    def dialogue(self, query: Mapping[str, str]) -> Dialogue:
        return _Dialogue(self.world, query.get("streams", "").split("/"))

    def answer(self, path: str, query: Mapping[str, str]) -> Reply:
        """`/api/v3/aggTrades?symbol=BTCUSDT&fromId=…&limit=…`: those from the number on."""
        symbols = {_name(symbol): symbol for symbol in SYMBOLS}
        if path != "/api/v3/aggTrades" or query["symbol"] not in symbols:
            return reply({"code": -1121, "msg": "Invalid symbol."}, 400)
        first, limit = int(query["fromId"]), int(query.get("limit", "500"))
        trades = self.world.trades[symbols[query["symbol"]]]
        page = [trade for trade in trades if trade.number >= first][: min(limit, _LONGEST_PAGE)]
        return reply([_item(trade) for trade in page])


def _name(symbol: str) -> str:
    return symbol_of(symbol).replace("-", "")


def _item(trade: Trade) -> Json:
    """Each aggregates one trade."""
    return {
        "a": trade.number,
        "p": trade.price,
        "q": trade.size,
        "f": trade.number,
        "l": trade.number,
        "T": trade.time // 1000,
        "m": trade.side == "sell",
        "M": True,
    }

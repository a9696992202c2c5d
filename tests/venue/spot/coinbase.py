"""The fake Coinbase: its Exchange feed, its Advanced Trade feed, and the REST API of both.

Source of the protocols: docs.cdp.coinbase.com, exchange/docs and advanced-trade-apis/websocket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from streams.simulated.kalshi.venue.query import Reply
from streams.simulated.market import rfc3339
from streams.simulated.subscription import Subscription, SubscriptionError
from tests.venue.spot.venue import Dialogue, Json, Said, SpotVenue, reply
from tests.venue.spot.world import SYMBOLS, Step, Trade, World

__all__ = ["FakeAdvanced", "FakeCoinbase"]

_MAKER = {"buy": "sell", "sell": "buy"}
_LONGEST_PAGE = 1_000
#: How many trades begin a subscription to market_trades.
_SNAPSHOT = 20


class _ExchangeDialogue(Dialogue):
    """Frames of the Exchange feed, as the simulated market writes them."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._subscription = Subscription()

    def asked(self, message: Json) -> Iterable[Said]:
        try:
            products = self._subscription.request(orjson.dumps(message))
        except SubscriptionError as error:
            body = {"type": "error", "message": "Failed to subscribe", "reason": str(error)}
            return [Said("error", body, is_reply=True)]
        greeted = [self.world.market.last_match(product) for product in sorted(products)]
        return [
            Said("subscriptions", self._subscription.answer(), is_reply=True),
            *(Said("last_match", match) for match in greeted if match is not None),
        ]

    def heard(self, step: Step) -> Iterable[Said]:
        if self._subscription.has("matches", step.trade.symbol):
            yield Said("match", step.match)
        if self._subscription.has("ticker", step.trade.symbol):
            yield Said("ticker", step.ticker)

    def beat(self) -> Iterable[Said]:
        for product in SYMBOLS:
            if self._subscription.has("heartbeat", product):
                yield Said("heartbeat", self.world.market.heartbeat(product, self.world.time))


class _AdvancedDialogue(Dialogue):
    """Frames of Advanced Trade, numbered over all channels of the connection."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._products: dict[str, set[str]] = {}
        self._number = 0
        self._beats = 0

    def asked(self, message: Json) -> Iterable[Said]:
        channel, products = str(message["channel"]), message["product_ids"]
        assert isinstance(products, list)
        if not set(products) <= set(SYMBOLS):
            error = {"type": "error", "message": "ProductIds are invalid"}
            return [Said("error", error, is_reply=True)]
        self._products.setdefault(channel, set()).update(products)
        subscribed = {name: sorted(ids) for name, ids in self._products.items()}
        said = [self._said("subscriptions", "subscriptions", [{"subscriptions": subscribed}])]
        if channel == "market_trades":
            newest = [trade for one in products for trade in self.world.last(one, _SNAPSHOT)]
            said.append(self._trades("snapshot", newest))
        return said

    def heard(self, step: Step) -> Iterable[Said]:
        if step.trade.symbol in self._products.get("market_trades", ()):
            yield self._trades("update", [step.trade])
        if step.trade.symbol in self._products.get("ticker", ()):
            quote = step.quote
            ticker = {
                "type": "ticker",
                "product_id": step.trade.symbol,
                "price": step.trade.price,
                "best_bid": quote.bid,
                "best_bid_quantity": quote.bid_size,
                "best_ask": quote.ask,
                "best_ask_quantity": quote.ask_size,
            }
            yield self._said("ticker", "ticker", [{"type": "update", "tickers": [ticker]}])

    def beat(self) -> Iterable[Said]:
        self._beats += 1
        event: Json = {"current_time": "2026-09-21 UTC m=+1", "heartbeat_counter": str(self._beats)}
        return [self._said("heartbeats", "heartbeats", [event])]

    def _trades(self, kind: str, trades: list[Trade]) -> Said:
        """The newest first."""
        items = [
            {
                "trade_id": str(trade.number),
                "product_id": trade.symbol,
                "price": trade.price,
                "size": trade.size,
                "side": _MAKER[trade.side].upper(),
                "time": rfc3339(trade.time),
            }
            for trade in reversed(trades)
        ]
        return self._said(kind, "market_trades", [{"type": kind, "trades": items}])

    def _said(self, kind: str, channel: str, events: list[Json]) -> Said:
        number, self._number = self._number, self._number + 1
        body = {
            "channel": channel,
            "timestamp": rfc3339(self.world.time),
            "sequence_num": number,
            "events": events,
        }
        return Said(kind, body)


class FakeCoinbase(SpotVenue):
    """Coinbase Exchange."""

    refusal = reply({"message": "Forbidden"}, 403)

    def dialogue(self, query: Mapping[str, str]) -> Dialogue:
        return _ExchangeDialogue(self.world)

    def answer(self, path: str, query: Mapping[str, str]) -> Reply:
        """`/products/BTC-USD/trades?limit=…&after=…`: those below the number, newest first."""
        _, products, symbol, trades = path.split("/")
        if (products, trades) != ("products", "trades") or symbol not in SYMBOLS:
            return reply({"message": "NotFound"}, 404)
        limit, after = int(query.get("limit", "1000")), int(query.get("after", str(2**63)))
        older = [trade for trade in self.world.trades[symbol] if trade.number < after]
        page = older[-min(limit, _LONGEST_PAGE) :]
        return reply([_item(trade) for trade in reversed(page)])


class FakeAdvanced(FakeCoinbase):
    """Coinbase Advanced Trade; missed trades are asked of the exchange."""

    def dialogue(self, query: Mapping[str, str]) -> Dialogue:
        return _AdvancedDialogue(self.world)


def _item(trade: Trade) -> Json:
    return {
        "trade_id": trade.number,
        "side": _MAKER[trade.side],
        "size": trade.size,
        "price": trade.price,
        "time": rfc3339(trade.time),
    }

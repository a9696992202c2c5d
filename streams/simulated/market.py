"""A seeded random walk of prices and the frames that Coinbase would send of it. Pure."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from decimal import Decimal

from streams.events.types import moment

__all__ = ["PRODUCTS", "Market", "Step", "rfc3339"]

_SATOSHI = 100_000_000

#: Product → its first mid price in cents.
PRODUCTS = {"BTC-USD": 6_400_000, "ETH-USD": 320_000}

JsonFrame = dict[str, object]


@dataclass
class _Product:
    """One product's book, in cents and in hundred-millionths of the base currency."""

    name: str
    mid: int
    trade_id: int
    sequence: int
    opened: int
    low: int
    high: int
    volume: int = 0
    last_match: JsonFrame | None = None


@dataclass(frozen=True)
class Step:
    """One trade: the `match` frame, and the `ticker` frame that repeats it."""

    product: str
    match: JsonFrame
    ticker: JsonFrame


class Market:
    """BTC-USD and ETH-USD. The same seed, first number and times give the same frames.

    Trade ids and sequences start above `first_number` and rise; trade ids by one per product,
    sequences by more (Coinbase counts every order in them).
    """

    def __init__(self, seed: int, first_number: int) -> None:
        self._random = random.Random(seed)
        self._products = {
            name: _Product(
                name=name,
                mid=mid,
                trade_id=first_number,
                sequence=first_number,
                opened=mid,
                low=mid,
                high=mid,
            )
            for name, mid in PRODUCTS.items()
        }

    def step(self, now: int) -> Step:
        """The next trade, at `now` (microseconds since 1970 UTC)."""
        product = self._random.choice(list(self._products.values()))
        self._walk(product)
        bid, ask = self._spread(product)
        taker = self._random.choice(("buy", "sell"))
        price = ask if taker == "buy" else bid
        size = self._size(product)
        product.trade_id += 1
        product.sequence += self._random.randint(1, 20)
        product.low = min(product.low, price)
        product.high = max(product.high, price)
        product.volume += size
        match = self._match(product, taker, price, size, now)
        product.last_match = match
        return Step(product.name, match, self._ticker(product, match, taker, bid, ask))

    def mid(self, product: str) -> Decimal:
        """The price between the best bid and ask, dollars."""
        return Decimal(self._products[product].mid).scaleb(-2)

    def last_match(self, product: str) -> JsonFrame | None:
        """The frame that greets a subscriber to `matches`, if there was a trade yet."""
        match = self._products[product].last_match
        return match and {**match, "type": "last_match"}

    def heartbeat(self, product: str, now: int) -> JsonFrame:
        """The frame that Coinbase sends each second, whether or not there are trades."""
        book = self._products[product]
        return {
            "type": "heartbeat",
            "last_trade_id": book.trade_id,
            "product_id": product,
            "sequence": book.sequence,
            "time": rfc3339(now),
        }

    def _walk(self, product: _Product) -> None:
        """A step of about one basis point, drawn back a little to where the walk began."""
        reach = max(1, product.mid // 20_000)
        drift = (product.opened - product.mid) // 2_000
        product.mid = max(100, product.mid + drift + self._random.randint(-reach, reach))

    def _spread(self, product: _Product) -> tuple[int, int]:
        half = self._random.randint(1, max(1, product.mid // 100_000))
        return product.mid - half, product.mid + half

    def _size(self, product: _Product) -> int:
        """Mostly small, seldom large; the same order of dollars for each product."""
        dollars = self._random.choice((5, 20, 50, 100, 250, 500, 1_000, 2_500, 10_000))
        whole = dollars * 100 * _SATOSHI // product.mid
        return max(1, self._random.randint(whole // 2, whole))

    def _match(self, product: _Product, taker: str, price: int, size: int, now: int) -> JsonFrame:
        return {
            "type": "match",
            "trade_id": product.trade_id,
            "maker_order_id": self._order_id(),
            "taker_order_id": self._order_id(),
            "side": "sell" if taker == "buy" else "buy",
            "size": _decimal(size, 8),
            "price": _decimal(price, 2),
            "product_id": product.name,
            "sequence": product.sequence,
            "time": rfc3339(now),
        }

    def _ticker(
        self, product: _Product, match: JsonFrame, taker: str, bid: int, ask: int
    ) -> JsonFrame:
        return {
            "type": "ticker",
            "sequence": match["sequence"],
            "product_id": product.name,
            "price": match["price"],
            "open_24h": _decimal(product.opened, 2),
            "volume_24h": _decimal(product.volume, 8),
            "low_24h": _decimal(product.low, 2),
            "high_24h": _decimal(product.high, 2),
            "volume_30d": _decimal(product.volume * 30, 8),
            "best_bid": _decimal(bid, 2),
            "best_bid_size": _decimal(self._size(product), 8),
            "best_ask": _decimal(ask, 2),
            "best_ask_size": _decimal(self._size(product), 8),
            "side": taker,
            "time": match["time"],
            "trade_id": match["trade_id"],
            "last_size": match["size"],
        }

    def _order_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def _decimal(units: int, places: int) -> str:
    whole, fraction = divmod(units, 10**places)
    return f"{whole}.{fraction:0{places}d}"


def rfc3339(micros: int) -> str:
    """As venues write a time: microseconds since 1970 UTC in RFC 3339, all six digits."""
    return moment(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

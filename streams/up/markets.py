"""What `tape up` shows of Kalshi's markets: the best bid and ask of those that close next."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg

__all__ = ["MarketQuote", "read_markets"]

_NEAREST = """
select ticker, b.yes_bid, b.yes_bid_size, b.yes_ask, b.yes_ask_size, b.valid,
    extract(epoch from m.closes - clock_timestamp())::float8
from market_best as b join markets as m using (venue, ticker)
where starts_with(venue, %(prefix)s) = %(wanted)s
    and m.status = 'active' and m.closes > clock_timestamp()
order by m.closes, abs(coalesce(b.yes_bid, 0) + coalesce(b.yes_ask, 1) - 1), ticker
limit 3
"""


class MarketQuote(NamedTuple):
    """The best bid and ask of a book, dollars of YES; None where a side is empty.

    `closes_in` are seconds by the database's clock.
    """

    ticker: str
    bid: Decimal | None
    bid_size: Decimal | None
    ask: Decimal | None
    ask_size: Decimal | None
    valid: bool
    closes_in: float


def read_markets(
    connection: psycopg.Connection[Any], prefix: str, *, wanted: bool
) -> Sequence[MarketQuote]:
    """Of venues whose name begins with `prefix`, or (not `wanted`) all others.

    The next to close come first, of these the least decided.
    """
    rows = connection.execute(_NEAREST, {"prefix": prefix, "wanted": wanted})
    return [MarketQuote(*row) for row in rows]

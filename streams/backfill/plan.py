"""What a backfill of Kalshi reads: units, each of one kind and one window of time. Pure.

Source: reference/connectors.md section 6.3 and openapi.yaml 3.34.0. What is older than its cutoff
is in the historical tier only, and the live one does not say that it lacks it. The cutoffs move
while a backfill runs, so near them both tiers are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote

from streams.connectors.base import Request
from streams.connectors.kalshi import values
from streams.connectors.kalshi.delivery import list_of
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError
from streams.events import Event, Fill, MarketCandle, MarketTrade, Settlement
from streams.events.tickers import read_ticker

__all__ = ["CUTOFF", "KINDS", "Cutoffs", "Kind", "Life", "Span", "Unit", "account_units"]
__all__ += ["lives", "market_requests", "market_units"]

Kind = Literal["fills", "orders", "settlements", "trades", "candles"]
KINDS: tuple[Kind, ...] = ("fills", "orders", "settlements", "trades", "candles")

CUTOFF = Request("/historical/cutoff")

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 86_400 * _SECOND
#: The account's windows; a killed backfill reads at most so much again, of each kind.
_ACCOUNT_WINDOW = 90 * _DAY
#: The most candles of one request.
_CANDLES = 5_000
_PAGE = ("limit", "1000")
_TICKERS = 50


class Span(NamedTuple):
    """A span of time, microseconds since 1970 UTC; the end is not in it."""

    start: int
    end: int

    def windows(self, length: int) -> list[Span]:
        """The span in parts of at most this length."""
        starts = range(self.start, self.end, length)
        return [Span(start, min(start + length, self.end)) for start in starts]

    def within(self, other: Span) -> Span:
        """What both have in common; it may be empty."""
        return Span(max(self.start, other.start), min(self.end, other.end))


class Cutoffs(NamedTuple):
    """What is older lies in the historical tier; 0 where the venue has none."""

    settled: int = 0
    trades: int = 0
    orders: int = 0

    @classmethod
    def of(cls, reply: Item) -> Cutoffs:
        """Those of GET /historical/cutoff. Raises FrameError."""
        names = ("market_settled_ts", "trades_created_ts", "orders_updated_ts")
        return cls(*(values.rfc3339(reply, name) or 0 for name in names))


class Life(NamedTuple):
    """When a market was traded; `settled` is None where it is not, or that is not known."""

    ticker: str
    span: Span
    settled: int | None


@dataclass(frozen=True, slots=True)
class Unit:
    """Pages that are read whole, or again from the first. `of` is a market or a subaccount."""

    kind: Kind
    span: Span
    requests: tuple[Request, ...]
    of: str = ""

    @property
    def name(self) -> str:
        """The same for the same contents, in each run."""
        return f"{self.kind}/{self.of}/{self.span.start}-{self.span.end}"

    def includes(self, event: Event) -> bool:
        """Whether an event lies in the unit's window: the venue's bounds are whole seconds.

        Which of its times an order is found by is not documented, so that all are taken.
        """
        match event:
            case Fill() | Settlement() | MarketTrade():
                return self.span.start <= event.time < self.span.end
            case MarketCandle():
                return self.span.start < event.end <= self.span.end
        return True


def account_units(
    kinds: Iterable[Kind], span: Span, subaccounts: Sequence[int], cutoffs: Cutoffs
) -> list[Unit]:
    """Those of the account itself. Fills are read where markets are needed too."""
    wanted = set(kinds)
    windows = span.windows(_ACCOUNT_WINDOW)
    units = []
    if wanted & {"fills", "trades", "candles"}:
        units += [_of_tiers("fills", window, cutoffs.trades) for window in windows]
    if "orders" in wanted:
        units += [_of_tiers("orders", window, cutoffs.orders, all_tiers=True) for window in windows]
    if "settlements" in wanted:
        units += [
            _listed("settlements", window, ["/portfolio/settlements"], ("subaccount", str(number)))
            for number in subaccounts
            for window in windows
        ]
    return units


def market_units(kinds: Iterable[Kind], span: Span, life: Life, cutoffs: Cutoffs) -> list[Unit]:
    """Trades and candlesticks of one market."""
    units = []
    traded = span.within(Span(life.span.start, life.span.end + _DAY))
    if "trades" in kinds and traded.start < traded.end:
        tiers = _tiers(traded, cutoffs.trades)
        paths = [{"live": "/markets/trades", "historical": "/historical/trades"}[t] for t in tiers]
        units.append(_listed("trades", traded, paths, ("ticker", life.ticker)))
    if "candles" in kinds:
        quoted = span.within(life.span)
        # A period ends at a whole minute, and the last may end after the market did.
        last = -(-quoted.end // _MINUTE) * _MINUTE if quoted.end < span.end else quoted.end
        first = quoted.start // _MINUTE * _MINUTE
        units += [
            _candles(life, window, cutoffs)
            for window in Span(first, last).windows(_CANDLES * _MINUTE)
        ]
    return units


def market_requests(tickers: Sequence[str], series: Iterable[str]) -> list[Request]:
    """The lists of markets, of both tiers, that say when these lived."""
    wanted = [
        ("tickers", ",".join(tickers[start : start + _TICKERS]))
        for start in range(0, len(tickers), _TICKERS)
    ]
    wanted += [("series_ticker", name) for name in series]
    paths = ("/markets", "/historical/markets")
    return [Request(path, (one, _PAGE)) for one in wanted for path in paths]


def lives(reply: Item) -> list[Life]:
    """The markets of GET /markets or /historical/markets. Raises FrameError."""
    found = []
    for item in list_of(reply, "markets"):
        if not isinstance(item, dict):
            raise FrameError(f"markets: not a JSON object but {type(item).__name__}")
        ticker = values.words(item, "ticker")
        opens, closes = values.rfc3339(item, "open_time"), values.rfc3339(item, "close_time")
        if ticker is None or opens is None or closes is None:
            raise FrameError(f"markets: without ticker, open_time or close_time: {ticker}")
        found.append(Life(ticker, Span(opens, closes), values.rfc3339(item, "settlement_ts")))
    return found


def _of_tiers(kind: Kind, span: Span, cutoff: int, *, all_tiers: bool = False) -> Unit:
    """An order is archived by its end, but found by another time: its tier cannot be told."""
    tiers = ("live", "historical") if all_tiers and cutoff else _tiers(span, cutoff)
    roots = {"live": "/portfolio", "historical": "/historical"}
    return _listed(kind, span, [f"{roots[tier]}/{kind}" for tier in tiers])


def _listed(kind: Kind, span: Span, paths: Sequence[str], *filters: tuple[str, str]) -> Unit:
    bounds = (
        ("min_ts", str(span.start // _SECOND)),
        ("max_ts", str(-(-span.end // _SECOND))),
    )
    requests = tuple(Request(path, (*filters, *bounds, _PAGE)) for path in paths)
    return Unit(kind, span, requests, filters[0][1] if filters else "")


def _candles(life: Life, span: Span, cutoffs: Cutoffs) -> Unit:
    query = (
        ("start_ts", str(span.start // _SECOND)),
        ("end_ts", str(span.end // _SECOND)),
        ("period_interval", "1"),
    )
    ticker = quote(life.ticker, safe="")
    series = quote(read_ticker(life.ticker).series, safe="")
    paths = {
        "live": f"/series/{series}/markets/{ticker}/candlesticks",
        "historical": f"/historical/markets/{ticker}/candlesticks",
    }
    settled = life.settled
    tiers = ["live"] if settled is None else _tiers(Span(settled, settled + 1), cutoffs.settled)
    requests = tuple(Request(paths[tier], query) for tier in tiers)
    return Unit("candles", span, requests, life.ticker)


def _tiers(span: Span, cutoff: int) -> list[str]:
    """Where the things of these times are; the live tier comes first."""
    tiers = ["live"] if span.end > cutoff - _DAY else []
    return [*tiers, "historical"] if span.start < cutoff + _DAY and cutoff else tiers

"""Which markets a feed follows: those of its series that are open. Pure.

The lifecycle channel tells of new and finished ones; REST says which are open at the start, and
now and then, because a message may be lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from streams.connectors.base import Request
from streams.connectors.kalshi.account_frames import message
from streams.connectors.kalshi.delivery import list_of
from streams.connectors.kalshi.values import Item, words
from streams.connectors.values import FrameError

__all__ = ["Change", "Following", "after", "pages"]

#: How often REST is asked which markets are open; the second time soon, for it lags behind.
#: Microseconds.
_ASK_EVERY = 300_000_000
_ASK_SOON = 10_000_000
_PAGE = 1000


class Change(NamedTuple):
    """Markets to be followed from now on, and those to be followed no more."""

    added: list[str]
    removed: list[str]


class Following:
    """The markets that one connection follows."""

    def __init__(self, series: Iterable[str]) -> None:
        self.tickers: dict[str, None] = {}
        self.series = tuple(series)
        self._ended: set[str] = set()
        #: Those that REST may not know as open: heard of since it was asked, or not open yet.
        self._news: set[str] = set()
        self._unopened: set[str] = set()
        self._due = 0
        #: What the pages so far had, by series.
        self._open: dict[str, list[str]] = {}

    def concerns(self, ticker: object) -> bool:
        """Whether a market is of one of the series."""
        return isinstance(ticker, str) and ticker.split("-", 1)[0] in self.series

    def ask(self, now: int) -> list[Request]:
        """The requests for the markets that are open."""
        self._due = now + (_ASK_EVERY if self._due else _ASK_SOON)
        self._news.clear()
        self._open = {series: [] for series in self.series}
        return [pages(series, "open") for series in self.series]

    def is_due(self, now: int) -> bool:
        """Whether it is time to ask again."""
        return now >= self._due

    def is_listed(self) -> bool:
        """Whether all that was asked for was read."""
        return not self._open

    def is_of(self, request: Request) -> bool:
        """Whether a request is one of `ask`."""
        return request.path == "/markets" and ("status", "open") in request.query

    def read(self, request: Request, reply: Item) -> tuple[Change, list[Request]]:
        """Take one page; the change comes with the last one. Raises FrameError.

        A recording tells by its requests which series were followed.
        """
        series = dict(request.query)["series_ticker"]
        if series not in self.series:
            self.series += (series,)
        tickers = [words(item, "ticker") for item in list_of(reply, "markets")]
        found = self._open.setdefault(series, [])
        found += [ticker for ticker in tickers if ticker is not None]
        cursor = words(reply, "cursor")
        if cursor is not None:
            return Change([], []), [after(request, cursor)]
        del self._open[series]
        known = {*found, *self._news, *self._unopened}
        gone = [ticker for ticker in self._of(series) if ticker not in known]
        return self._change(found, gone), []

    def hear(self, frame: Item) -> Change:
        """Take a lifecycle frame. Raises FrameError."""
        msg = message(frame)
        ticker, kind = words(msg, "market_ticker"), words(msg, "event_type")
        if ticker is None:
            raise FrameError("market_ticker: missing")
        if not self.concerns(ticker):
            return Change([], [])
        self._news.add(ticker)
        self._unopened.discard(ticker)
        match kind:
            case "created":
                self._unopened.add(ticker)
                return self._change([ticker], [])
            case "activated":
                return self._change([ticker], [])
            case "determined" | "settled":
                self._ended.add(ticker)
                return self._change([], [ticker])
        return self._change([], [])

    def _of(self, series: str) -> list[str]:
        return [ticker for ticker in self.tickers if ticker.split("-", 1)[0] == series]

    def _change(self, found: Iterable[str], gone: Iterable[str]) -> Change:
        added = [one for one in found if one not in self.tickers and one not in self._ended]
        removed = [one for one in gone if one in self.tickers]
        self.tickers.update(dict.fromkeys(added))
        for ticker in removed:
            del self.tickers[ticker]
        return Change(list(dict.fromkeys(added)), removed)


def pages(series: str, status: str, **more: int) -> Request:
    """The request for the first page of a series' markets of this status."""
    query = {"series_ticker": series, "status": status, "limit": _PAGE, **more}
    return Request("/markets", tuple((name, str(value)) for name, value in query.items()))


def after(request: Request, cursor: str) -> Request:
    """The request for the page after the one that ended with this cursor."""
    kept = tuple(pair for pair in request.query if pair[0] != "cursor")
    return Request(request.path, (*kept, ("cursor", cursor)))

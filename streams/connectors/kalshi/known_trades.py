"""Until when the public trades of each market are known, and which of them to ask REST for. Pure.

A trade is missed where the numbers of the subscription say so, and between two connections. The
last trades of a market that ended meanwhile are missed as well, though it is followed no more.
"""

from __future__ import annotations

__all__ = ["KnownTrades"]


class KnownTrades:
    """What outlives a connection: of each market, the time up to which no trade is missing.

    `until` is such a time for all of them, which a former process told; without it, it is when all
    were listed first, for what is traded before is nobody's. All times are in microseconds since
    1970 UTC; `due` is when to ask.
    """

    def __init__(self, until: int | None = None) -> None:
        self._until = until
        self._since: dict[str, int] = {}
        #: Those to ask for: when; None once it was asked.
        self._behind: dict[str, int | None] = {}
        #: Those that ended, but may have had trades that did not come.
        self._ending: set[str] = set()
        self._complete: set[str] = set()
        #: Until when no trade of any market is missing: what the next process begins with.
        self.complete_until = until
        self._newest = until
        #: The newest trade when the listing under way was asked for, and the last one that is done.
        self._asked: int | None = None
        self._listed: int | None = None

    def connected(self) -> None:
        """A new connection: what the one before had asked for is not answered any more."""
        self._behind.clear()
        self._listed = None

    def listing(self) -> None:
        """All markets are asked for, and no such question is open."""
        self._asked = self._newest

    def listed(self, ticker: str, now: int, due: int) -> None:
        """A market is open, and followed from `now` on; it may have been before."""
        is_new = ticker not in self._since
        if is_new:
            self._since[ticker] = now if self._until is None else self._until
        if not is_new or self._until is not None:
            self._ask(ticker, due)

    def open_listed(self, now: int) -> None:
        """All open markets are known; those that are found later were overlooked."""
        if self._until is None:
            self._until = self.complete_until = now

    def all_listed(self) -> None:
        """So are those that ended, and with them all there were when they were asked for."""
        self._listed = self._asked
        self.confirm()

    def confirm(self) -> None:
        """Where nothing is being asked for, all is known up to when the markets were listed.

        Not up to now: a market may have begun since that nobody has told of.
        """
        if self._listed is None or self._behind:
            return
        self.complete_until = max(self._listed, self.complete_until or 0)

    def begun(self, ticker: str, now: int, due: int, *, is_traded: bool) -> None:
        """The same of one that was just heard of.

        It has no earlier trades, unless it was followed before; but one that is traded already may
        have some before its subscription begins.
        """
        if ticker in self._since or is_traded:
            self._ask(ticker, due)
        self._since.setdefault(ticker, now)

    def ended(self, ticker: str) -> None:
        """A market that was followed has ended."""
        self._ending.add(ticker)

    def found_ended(self, ticker: str, closes: int | None, due: int) -> None:
        """A market that is not followed has ended; it was, if it closed later than `until`."""
        if ticker in self._complete:
            return
        if ticker not in self._since:
            if self._until is None or closes is None or closes <= self._until:
                return
            self._since[ticker] = self._until
        self._ending.add(ticker)
        self._ask(ticker, due)

    def arrived(self, ticker: str, time: int) -> None:
        """A trade came. Until a gap is filled, what comes behind it does not count as known."""
        self._newest = max(time, self._newest or 0)
        if ticker in self._since and ticker not in self._behind:
            self._since[ticker] = time

    def missed(self, due: int) -> None:
        """Some trades of whichever markets did not come."""
        for ticker in self._since:
            self._ask(ticker, due)

    def in_order(self) -> None:
        """Nothing is missing up to here: of what has ended, all is known."""
        for ticker in self._ending - self._behind.keys():
            self._finish(ticker)

    def to_ask(self, now: int) -> list[tuple[str, int]]:
        """The markets to ask for, and since when; each once."""
        found = [one for one, due in self._behind.items() if due is not None and now >= due]
        self._behind |= dict.fromkeys(found)
        return [(ticker, self._since[ticker]) for ticker in found]

    def unanswered(self, ticker: str, due: int) -> None:
        """The answer could not be read: it is to be asked for again."""
        if ticker in self._since:
            self._behind[ticker] = due

    def answered(self, ticker: str) -> None:
        """All of a market's trades have come that were asked for."""
        self._behind.pop(ticker, None)
        if ticker in self._ending:
            self._finish(ticker)

    def _ask(self, ticker: str, due: int) -> None:
        self._behind.setdefault(ticker, due)

    def _finish(self, ticker: str) -> None:
        self._ending.discard(ticker)
        self._since.pop(ticker, None)
        self._complete.add(ticker)

"""One reading of an account by REST: what to ask for, and what it says when all has come. Pure.

First the venue says up to when its replies know the account, and which subaccounts there are. Then
come all pages of all lists; then single orders and positions that were known and are in no list
any more. Lists of facts go back a little further than the reading before.

Replies are told apart by what they answer, not by their order: the replay of a recording, which
begins without memory, would have asked for other times.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from streams.connectors.base import ConnectorError, Request
from streams.connectors.kalshi import values
from streams.connectors.kalshi.delivery import list_of
from streams.connectors.kalshi.pages import Page, following, listing
from streams.connectors.kalshi.seen import Seen
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError
from streams.events import Event, Order, Position, SnapshotFinished, SnapshotStarted, Unparsed
from streams.events.types import EARLIEST_TIME

__all__ = ["SUBACCOUNTS", "Reading", "subaccounts"]

_SECOND = 1_000_000
#: How far fills and orders are read back behind the reading before. Microseconds.
_OVERLAP = 60 * _SECOND
#: The same for settlements, of which not every reading tells, and which are few.
_LONG_OVERLAP = 86_400 * _SECOND
#: How far behind the clock replies are, where the venue does not say it. Microseconds.
_LAG = 2 * _SECOND

_AS_OF = Request("/exchange/user_data_timestamp")
SUBACCOUNTS = Request("/portfolio/subaccounts/balances")
_FIRST = (_AS_OF, SUBACCOUNTS)
_ORDER = "/portfolio/orders/"
_POSITIONS = "/portfolio/positions"
_LAST_SUBACCOUNT = 63
_PAGE = ("limit", "1000")
_RESTING = Request("/portfolio/orders", (("status", "resting"),))
#: Of these the largest page is smaller.
_SMALL_PAGE = ("limit", "500")
_TRANSFERS = ("/portfolio/deposits", "/portfolio/withdrawals")
#: Of these the largest page is smaller.
_SMALL_LAST_SUBACCOUNT = 63
_PAGE = ("limit", "500")


class Reading:
    """The requests of one reading that are not answered yet, and what the others said.

    `name` becomes the snapshots' id. A full reading includes settlements and transfers.
    """

    def __init__(self, owner: str, name: str, seen: Seen, *, is_full: bool) -> None:
        #: Up to when replies certainly know the account; None until the lists are asked for.
        self.as_of: int | None = None
        #: Whether all that was asked for has come.
        self.is_over = False
        self._owner = owner
        self._name = name
        self._is_full = is_full
        self._seen = seen
        #: The lists that are not complete, with the cursor that was asked for last.
        self._due: dict[Request, str | None] = dict.fromkeys(_FIRST)
        self._told_as_of: int | None = None
        self._subaccounts = [0]
        self._started: int | None = None
        self._tickers: dict[int, set[str]] = {}
        self._resting: set[str] = set()
        self._unreadable: set[int] = set()
        self._is_broken = False
        self._has_looked_back = False

    def first(self) -> list[Request]:
        """What to ask for at first."""
        return list(_FIRST)

    def begun(self, request: Request, received: int) -> list[Event]:
        """The beginning of a snapshot of each subaccount, with the first reply of the lists."""
        if self._started is not None or request in _FIRST:
            return []
        if self.as_of is None:
            # A recording does not tell of refusals, such as those of the first requests.
            self._lists(received)
        self._started = received
        return [
            SnapshotStarted(
                account=f"{self._owner}/{number}",
                origin="native",
                received=received,
                raw=None,
                snapshot_id=self._name,
                time=received,
            )
            for number in self._subaccounts
        ]

    def replied(self, request: Request, page: Page, now: int) -> list[Request]:
        """Take a reply, whose events are known to `seen`. Returns what to ask for next.

        Raises ConnectorError for a list without end.
        """
        if listing(request) not in self._due:
            return []
        self._learn(request, page)
        return self._next(request, page.cursor, now)

    def refused(self, request: Request, now: int) -> list[Request] | None:
        """Go on without a reply; None where that is not possible."""
        if request.path.startswith(_ORDER):
            self._seen.forget_order(unquote(request.path.removeprefix(_ORDER)))
        elif request not in _FIRST and request.path not in _TRANSFERS:
            return None
        return self._next(request, None, now)

    def finished(self, received: int) -> list[Event]:
        """The end of the snapshots of those subaccounts whose positions are all known.

        None at all where some list could not be read: a snapshot's end says that everything up to
        its time was.
        """
        if self._is_broken or self.as_of is None:
            return []
        return [
            SnapshotFinished(
                account=f"{self._owner}/{number}",
                origin="native",
                received=received,
                raw=None,
                snapshot_id=self._name,
                time=self.as_of,
                tickers=sorted(tickers),
            )
            for number, tickers in self._tickers.items()
            if number not in self._unreadable
        ]

    def _learn(self, request: Request, page: Page) -> None:
        query = dict(request.query)
        if request == _AS_OF:
            self._told_as_of = _as_of(page.reply)
        elif request == SUBACCOUNTS:
            self._subaccounts = subaccounts(page.reply or {})
        elif page.reply is None:
            self._is_broken = True
        elif listing(request) == _RESTING:
            self._resting.update(one.order_id for one in page.events if isinstance(one, Order))
        elif request.path == _POSITIONS:
            number = int(query["subaccount"])
            if query["settlement_status"] == "settled":
                self._seen.absent(f"{self._owner}/{number}", query["ticker"])
                return
            tickers = self._tickers.setdefault(number, set())
            tickers.update(one.ticker for one in page.events if isinstance(one, Position))
            if any(isinstance(one, Unparsed) for one in page.events):
                self._unreadable.add(number)

    def _next(self, request: Request, cursor: str | None, now: int) -> list[Request]:
        place = listing(request)
        if place not in self._due:
            return []
        if cursor is not None:
            if self._due[place] == cursor:
                raise ConnectorError(f"the venue gives the same page of {place} again and again")
            self._due[place] = cursor
            return [following(request, cursor)]
        del self._due[place]
        if self._due:
            return []
        if self.as_of is None:
            return self._lists(now)
        asked = [] if self._has_looked_back else self._missing(self.as_of)
        self._has_looked_back = True
        self._due = dict.fromkeys(map(listing, asked))
        self.is_over = not asked
        return asked

    def _lists(self, now: int) -> list[Request]:
        self.as_of = max(EARLIEST_TIME, self._told_as_of or now - _LAG)
        asked: list[Request] = []
        for number in self._subaccounts:
            of = ("subaccount", str(number))
            asked.append(Request("/portfolio/balance", (of,)))
            asked.append(_positions(number, ("settlement_status", "unsettled")))
            if self._is_full:
                since = self._since(_LONG_OVERLAP)
                asked.append(Request("/portfolio/settlements", (of, *since, _PAGE)))
        since = self._since(_OVERLAP)
        asked.append(Request(_RESTING.path, (*_RESTING.query, _PAGE)))
        asked += [Request(path, (*since, _PAGE)) for path in (_RESTING.path, "/portfolio/fills")]
        if self._is_full:
            asked += [Request(path, (_SMALL_PAGE,)) for path in _TRANSFERS]
        self._due = dict.fromkeys(map(listing, asked))
        return asked

    def _since(self, overlap: int) -> tuple[tuple[str, str], ...]:
        until = self._seen.read_until
        return () if until is None else (("min_ts", str((until - overlap) // _SECOND)),)

    def _missing(self, as_of: int) -> list[Request]:
        """What was open when last heard of, and is in no list of what is."""
        orders = self._seen.resting(as_of) - self._resting
        asked = [Request(_ORDER + quote(order_id, safe="")) for order_id in sorted(orders)]
        for number, tickers in self._tickers.items():
            gone = self._seen.held(f"{self._owner}/{number}", as_of) - tickers
            settled = ("settlement_status", "settled")
            asked += [_positions(number, settled, ("ticker", one)) for one in sorted(gone)]
        return asked


def _positions(number: int, *filters: tuple[str, str]) -> Request:
    return Request(_POSITIONS, (("subaccount", str(number)), *filters, _PAGE))


def _as_of(reply: Item | None) -> int | None:
    try:
        return values.rfc3339(reply or {}, "as_of_time")
    except FrameError:
        return None


def subaccounts(reply: Item) -> list[int]:
    """Those of GET /portfolio/subaccounts/balances; the main one where it says none."""
    try:
        items = list_of(reply, "subaccount_balances")
    except FrameError:
        return [0]
    numbers = {item.get("subaccount_number") for item in items if isinstance(item, dict)}
    known = [one for one in numbers if type(one) is int and 0 <= one <= _LAST_SUBACCOUNT]
    return sorted(known) or [0]

"""What was produced of an account, so that only what is new or different is produced. Pure.

The same fact comes by WebSocket and again by REST, and by REST again and again. Compared is what
both channels give: what one of them leaves out is no difference. What is older than what is known,
as REST is for about a second after each change, is no news either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple

from streams.events import (
    AccountUnparsed,
    Balance,
    Event,
    Fill,
    Order,
    Position,
    Settlement,
    SnapshotFinished,
    Transfer,
)

__all__ = ["Seen"]

#: Values of fields in a fixed order; None where the channel does not give one.
Contents = tuple[object, ...]

_MILLISECOND = 1_000
_SECOND = 1_000_000
_FINAL = frozenset({"canceled", "executed"})


class _Order(NamedTuple):
    contents: Contents
    filled: Decimal
    is_final: bool
    updated: int | None
    is_resting: bool
    #: The latest time that it is known to have been so, microseconds.
    time: int


@dataclass(slots=True)
class _Position:
    contents: Contents
    time: int
    is_held: bool


class Seen:
    """The newest known state of each thing; of facts that never change, that they are known."""

    def __init__(self) -> None:
        #: Everything up to this time was read, of all that REST gives; microseconds, None: nothing.
        self.read_until: int | None = None
        self._facts: dict[tuple[str, ...], Contents] = {}
        self._orders: dict[tuple[str, str], _Order] = {}
        self._positions: dict[tuple[str, str], _Position] = {}
        self._balances: dict[str, tuple[int, Contents]] = {}
        self._unread: set[bytes] = set()

    def news(self, event: Event, as_of: int | None = None) -> Event | None:
        """The event to be produced, or None where it tells nothing new. It counts as produced.

        `as_of` is the time up to which a REST reply certainly knows the account.
        """
        match event:
            case Order():
                return self._order(event)
            case Position():
                return self._position(event, as_of)
            case Balance():
                return self._balance(event)
            case Fill() | Settlement() | Transfer():
                return self._fact(event)
            case SnapshotFinished():
                self.read_until = max(event.time, self.read_until or 0)
        return event

    def unread(self, event: AccountUnparsed) -> AccountUnparsed | None:
        """The same for a part of a REST reply, which comes again with the next one."""
        digest = blake2b(event.frame, digest_size=16).digest()
        if digest in self._unread:
            return None
        self._unread.add(digest)
        return event

    def resting(self, before: int) -> set[str]:
        """Orders that rested when last heard of, where that was before this time."""
        return {
            order_id
            for (_, order_id), order in self._orders.items()
            if order.is_resting and order.time < before
        }

    def forget_order(self, order_id: str) -> None:
        """The venue does not know a resting order any more."""
        for key, order in self._orders.items():
            if key[1] == order_id:
                self._orders[key] = order._replace(is_resting=False)

    def held(self, account: str, before: int) -> set[str]:
        """Markets in which the account held contracts when last heard of, before this time."""
        return {
            ticker
            for (owner, ticker), position in self._positions.items()
            if owner == account and position.is_held and position.time < before
        }

    def absent(self, account: str, ticker: str) -> None:
        """A position is among those that are settled."""
        if (account, ticker) in self._positions:
            self._positions[account, ticker].is_held = False

    def _fact(self, event: Fill | Settlement | Transfer) -> Event | None:
        key, contents = _of_fact(event)
        known = self._facts.get(key)
        if known is not None and not _adds(known, contents):
            return None
        self._facts[key] = _joined(known, contents)
        return event

    def _order(self, event: Order) -> Event | None:
        key = (event.account, event.order_id)
        known = self._orders.get(key)
        state = _Order(
            contents=_of_order(event),
            filled=event.fill_count,
            is_final=event.status in _FINAL,
            updated=event.updated,
            is_resting=event.status == "resting",
            time=event.updated or event.created or event.received,
        )
        if known is not None:
            if _is_behind(state, known) or not _adds(known.contents, state.contents):
                return None
            state = state._replace(
                contents=_joined(known.contents, state.contents),
                updated=state.updated or known.updated,
            )
        self._orders[key] = state
        return event

    def _position(self, event: Position, as_of: int | None) -> Event | None:
        key = (event.account, event.ticker)
        contents = (event.position, event.cost, event.realized_pnl, event.fees)
        known = self._positions.get(key)
        if known is not None and not _adds(known.contents, contents):
            known.time = max(known.time, event.time)
            return None
        if known is not None and event.time <= known.time:
            newer = _later(event.time, known.time, as_of)
            if newer is None:
                return None
            # The newest word must have the newest time, else it loses against the one before.
            event = event.model_copy(update={"time": newer})
        self._positions[key] = _Position(contents, event.time, event.position != 0)
        return event

    def _balance(self, event: Balance) -> Event | None:
        contents = (event.balance, event.portfolio_value, event.exact)
        known = self._balances.get(event.account)
        if known is not None and (event.time < known[0] or not _adds(known[1], contents)):
            return None
        self._balances[event.account] = event.time, contents
        return event


def _later(time: int, known: int, as_of: int | None) -> int | None:
    """When another state than the known one, by its own time no newer, is true all the same.

    A REST reply that knows the account up to a later time is: the time of its last change then is
    earlier than that of the message that told of the state before. Two messages of one millisecond
    are in the order of arrival. None: it is older.
    """
    if as_of is not None:
        return as_of if as_of > known else None
    return known + 1 if time // _MILLISECOND == known // _MILLISECOND else None


def _is_behind(state: _Order, known: _Order) -> bool:
    """Whether a state is older: less filled, not final any more, or updated earlier.

    The rule by which the projection keeps the newest (docs/trades.md, "Facts").
    """
    if state.filled != known.filled:
        return state.filled < known.filled
    if state.is_final != known.is_final:
        return known.is_final
    if state.updated is None or known.updated is None:
        return False
    return state.updated // _MILLISECOND < known.updated // _MILLISECOND


def _adds(known: Contents, contents: Contents) -> bool:
    return any(new is not None and new != old for old, new in zip(known, contents, strict=True))


def _joined(known: Contents | None, contents: Contents) -> Contents:
    if known is None:
        return contents
    return tuple(old if new is None else new for old, new in zip(known, contents, strict=True))


def _of_fact(event: Fill | Settlement | Transfer) -> tuple[tuple[str, ...], Contents]:
    """The natural key, and what is compared."""
    match event:
        case Fill():
            return ("fill", event.account, event.trade_id), (
                *(event.ticker, event.order_id, event.side, event.yes_price, event.count),
                *(event.fee, event.is_taker, event.time // _SECOND),
            )
        case Settlement():
            return ("settlement", event.account, event.ticker, str(event.time)), (
                *(event.result, event.value, event.yes_count, event.no_count, event.yes_cost),
                *(event.no_cost, event.revenue, event.fee),
            )
        case Transfer():
            return (event.kind, event.account, event.transfer_id, event.status), (
                *(event.method, event.amount, event.fee, event.created, event.finalized),
            )


def _of_order(event: Order) -> Contents:
    return (
        *(event.ticker, event.client_order_id, event.side, event.status, event.yes_price),
        *(event.initial_count, event.fill_count, event.remaining_count),
        *(event.fill_cost, event.fees),
        *_milliseconds((event.created, event.updated, event.expires)),
    )


def _milliseconds(times: Iterable[int | None]) -> Iterable[int | None]:
    return (None if time is None else time // _MILLISECOND for time in times)

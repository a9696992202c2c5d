"""Hypothesis strategies for the lives of trades: what an account, its operator and its venue say.

`lives()` gives the events of a few markets in the order in which they came about, coherent enough
that most become trades; but anything may be missing, doubled, contradicted or from both origins.
`shuffled()` gives such events in any order, some of them again, and how to cut them into units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

from hypothesis import strategies as st

from streams.events import (
    Balance,
    CancelTrade,
    CloseFailed,
    CloseTrade,
    Event,
    Fill,
    MarkError,
    OpenTrade,
    Order,
    OrderAccepted,
    OrderRejected,
    Position,
    Settlement,
    SnapshotFinished,
    SnapshotStarted,
    TradeExpired,
    Transfer,
)
from streams.events.trade_commands import client_order_id

Side = Literal["yes", "no"]
Origin = Literal["native", "legacy"]

OTHER: dict[Side, Side] = {"yes": "no", "no": "yes"}
ACCOUNTS = ["kalshi/prod/main/0", "kalshi/demo/main/0"]
TICKERS = [
    "KXBTCD-25AUG0619-T114749.99",
    "KXETHD-25AUG0619-T3779.99",
    "KXU3-25JUN-T4.2",
    "KXMAYORNYCPARTY-25-D",
]
#: 2025-08-06 22:10:00 UTC, in microseconds.
EVENING = 1_754_518_200_000_000
SECOND = 1_000_000
#: The ticket that every automatic close of the old system carried.
AUTO_STOP = "TICKET-${Math.random()}"

STEPS = [0, 1, 999, 1_000, 250_000, SECOND, 7 * SECOND, 60 * SECOND]
#: In hundredths of a contract.
COUNTS = [100, 200, 500, 1_000, 2_000, 50, 225, 333]
#: In hundredths of a cent.
PRICES = [9_600, 400, 5_000, 100, 9_900, 3_333, 6_250, 0, 10_000]


@dataclass(frozen=True)
class Place:
    """An account and a market."""

    account: str
    ticker: str


@dataclass(frozen=True)
class Asked:
    """What an open command asked for: the trade, as far as one knows."""

    place: Place
    ticket: str
    side: Side
    count: Decimal


def hundredths(number: int) -> Decimal:
    return Decimal(number).scaleb(-2)


def price_of(number: int) -> Decimal:
    return Decimal(number).scaleb(-4)


class Scribe:
    """Draws what happens and writes it down; in one story its clock goes forward only."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.events: list[Event] = []
        self.now = EVENING
        self.names = 0

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def chance(self, one_in: int) -> bool:
        """True once in so many times; shrinks to False."""
        return bool(self.draw(st.integers(0, one_in - 1)) == one_in - 1)

    def name(self, kind: str) -> str:
        """A new id. Its order says nothing about time."""
        self.names += 1
        return f"{kind}-{self.pick('m', 'a', 'z')}{self.names}"

    def begin(self) -> None:
        """A story begins at any time: lives overlap."""
        self.now = EVENING + self.pick(0, 0, 1, SECOND, 30 * SECOND, 600 * SECOND)

    def later(self) -> int:
        self.now += self.pick(*STEPS)
        return self.now

    def count(self) -> Decimal:
        return hundredths(self.pick(*COUNTS))

    def price(self) -> Decimal:
        return price_of(self.pick(*PRICES))

    def split(self, count: Decimal) -> list[Decimal]:
        """The count in one to three parts."""
        whole = int(count.scaleb(2))
        cuts = self.draw(st.lists(st.integers(1, max(whole - 1, 1)), max_size=2))
        edges = sorted({0, whole, *(cut for cut in cuts if cut < whole)})
        return [hundredths(b - a) for a, b in pairwise(edges)]

    def say(self, event: type[Event], /, **fields: Any) -> None:
        self.events.append(event(**fields))

    # Commands and outcomes

    def ask(self, kind: type[Event], place: Place, ticket: str, **fields: Any) -> str:
        """A command of a ticket; returns its id."""
        command_id = self.name("C")
        common = {"command_id": command_id, "ticket_id": ticket, "time": self.later()}
        fields = {"origin": "native", **vars(place), **common, **fields}
        self.say(kind, **fields)
        return command_id

    def ask_to_open(
        self, place: Place, origin: Origin = "native", ticket: str | None = None
    ) -> tuple[Asked, str]:
        asked = Asked(place, ticket or self.name("T"), self.pick("yes", "no"), self.count())
        command_id = self.ask(
            OpenTrade,
            place,
            asked.ticket,
            origin=origin,
            side=asked.side,
            count=asked.count,
            price=self.pick(price_of(9_600), None, self.price()),
            symbol=self.pick(None, "BTC"),
            market=self.pick("Kalshi", None),
            strategy=self.pick("Hourly HTC", None),
            contract=self.pick("BTC 7pm", None),
            strike=self.pick(None, Decimal("114750.00")),
            prob=self.pick(Decimal("97.2"), None, Decimal("50.5"), Decimal(3)),
            entry_method=self.pick("auto", "manual", None),
        )
        return asked, command_id

    def report(self, kind: type[Event], place: Place, ticket: str, **fields: Any) -> None:
        common = {"ticket_id": ticket, "time": self.later(), "origin": "native"}
        self.say(kind, **{**vars(place), **common, **fields})

    # What the venue says

    def of_account(self, **fields: Any) -> dict[str, Any]:
        return {"origin": "native", "received": self.now + 5, "raw": None, **fields}

    def fill(self, place: Place, **fields: Any) -> None:
        """One execution, as one or both channels tell of it."""
        time = self.later()
        full: dict[str, Any] = {
            **self.of_account(),
            **vars(place),
            "trade_id": self.name("F"),
            "order_id": None,
            "client_order_id": None,
            "fee": None,
            "is_taker": None,
            "post_position": None,
            **fields,
        }
        channel = self.pick("rest", "socket", "both", "seconds")
        if channel in {"rest", "both"}:
            lacking = {"fee": None, "client_order_id": None} if channel == "both" else {}
            self.say(Fill, **{**full, **lacking, "time": time, "is_taker": True})
        if channel in {"socket", "both"}:
            self.say(Fill, **{**full, "time": time // 1_000 * 1_000, "post_position": Decimal(3)})
        if channel == "seconds":
            self.say(Fill, **{**full, "time": time // SECOND * SECOND})

    def order(self, place: Place, order_id: str, **fields: Any) -> None:
        """One state of an order."""
        full: dict[str, Any] = {
            **self.of_account(),
            **vars(place),
            "order_id": order_id,
            "client_order_id": None,
            "kind": "limit",
            "fill_cost": None,
            "fees": None,
            "created": None,
            "updated": None,
            "expires": None,
            "reason": None,
            **fields,
        }
        self.say(Order, **full)


# Orders


@dataclass(frozen=True)
class Ticketed:
    """Whose order it is, and how one may know."""

    ticket: str
    command_id: str
    #: By the order's own client order id, by that of its fills, by `order_accepted`, or not at all.
    by: str


def an_order(
    scribe: Scribe,
    place: Place,
    side: Side,
    count: Decimal,
    whose: Ticketed | None = None,
    fates: Sequence[str] = ("executed", "executed", "partial", "unfilled", "resting", "unseen"),
) -> None:
    """An order with its states and its fills, whole or in part."""
    order_id = scribe.name("O")
    fate = scribe.pick(*fates)
    carried = client_order_id(whose.ticket, whose.command_id) if whose else None
    on_order = carried if whose and whose.by == "order" else None
    on_fills = carried if whose and whose.by in {"order", "fills"} else None
    if whose and whose.by == "accepted":
        named = scribe.pick(whose.command_id, None)
        scribe.report(OrderAccepted, place, whose.ticket, order_id=order_id, command_id=named)
    limit = scribe.pick(scribe.price(), None)
    created = scribe.pick(scribe.later(), None)
    wanted = scribe.split(count)
    if fate == "unfilled":
        wanted = []
    elif fate in {"partial", "resting"}:
        wanted = wanted[:-1]
    has_fees = scribe.pick(True, False)
    filled = fees = Decimal(0)

    def state(status: str) -> None:
        scribe.order(
            place,
            order_id,
            client_order_id=on_order,
            side=side,
            status=status,
            yes_price=limit,
            initial_count=count,
            fill_count=filled,
            remaining_count=Decimal(0) if status == "canceled" else count - filled,
            fees=fees if has_fees else None,
            created=created,
            updated=scribe.pick(scribe.now, scribe.now // 1_000 * 1_000, None),
        )

    for part in wanted:
        if fate != "unseen" and scribe.chance(3):
            state("resting")
        fee = scribe.pick(None, Decimal("0.02"), Decimal("0.07"))
        filled += part
        fees += fee or Decimal("0.05")
        scribe.fill(
            place,
            order_id=order_id,
            client_order_id=on_fills,
            side=side,
            yes_price=scribe.price(),
            count=part,
            fee=fee,
        )
    scribe.later()
    if fate != "unseen":
        final = {"executed": "executed", "resting": "resting"}.get(fate, "canceled")
        state(scribe.pick(final, final, final, "unknown"))


def whose_order(scribe: Scribe, ticket: str, command_id: str) -> Ticketed:
    return Ticketed(ticket, command_id, scribe.pick("order", "order", "fills", "accepted", "not"))


# Lives of trades


def a_native_trade(scribe: Scribe, place: Place) -> None:
    """Opened by a command, and whatever came of it."""
    asked, command_id = scribe.ask_to_open(place)
    if scribe.chance(8):
        scribe.ask(MarkError, place, asked.ticket, reason=None)
    if scribe.chance(8):
        scribe.report(OrderRejected, place, asked.ticket, command_id=None, reason="no balance")
    if scribe.pick(True, True, True, False):
        whose = whose_order(scribe, asked.ticket, command_id)
        an_order(scribe, place, asked.side, asked.count, whose)
        if scribe.chance(6):
            whose = whose_order(scribe, asked.ticket, command_id)
            an_order(scribe, place, asked.side, asked.count, whose)
    elif scribe.pick(True, False):
        named = scribe.pick(command_id, None)
        scribe.report(OrderRejected, place, asked.ticket, command_id=named, reason=None)
    if scribe.chance(8):
        scribe.ask(CancelTrade, place, asked.ticket, reason=None)
    if scribe.chance(8):
        scribe.ask(MarkError, place, asked.ticket, reason="never came about")
    for _ in range(scribe.pick(0, 1, 1, 2, 3)):
        a_native_close(scribe, asked)
    if scribe.chance(3):
        scribe.report(TradeExpired, place, asked.ticket)


def a_native_close(scribe: Scribe, asked: Asked) -> None:
    """Full, partial, too much, failed, or without any answer."""
    count = scribe.pick(asked.count, scribe.count())
    command_id = scribe.ask(
        CloseTrade,
        asked.place,
        asked.ticket,
        side=OTHER[asked.side],
        count=scribe.pick(count, None),
        price=scribe.pick(None, scribe.price()),
        close_method=scribe.pick("manual", "auto", None),
    )
    fate = scribe.pick("order", "order", "order", "failed", "rejected", "silence")
    if fate == "order":
        whose = whose_order(scribe, asked.ticket, command_id)
        an_order(scribe, asked.place, OTHER[asked.side], count, whose)
    elif fate != "silence":
        kind = CloseFailed if fate == "failed" else OrderRejected
        named = scribe.pick(command_id, None)
        scribe.report(kind, asked.place, asked.ticket, command_id=named, reason=None)


def an_imported_trade(scribe: Scribe, place: Place) -> None:
    """Of the old system: no order is known to be the trade's, closes have tickets of their own."""
    asked, command_id = scribe.ask_to_open(place, "legacy")
    if scribe.chance(5):
        whose = whose_order(scribe, asked.ticket, command_id)
        an_order(scribe, place, asked.side, asked.count, whose)
    else:
        unlinked_fills(scribe, place, asked.side, asked.count)
    for _ in range(scribe.pick(0, 1, 1, 2)):
        a_legacy_close(scribe, asked)
    if scribe.chance(3):
        scribe.report(TradeExpired, place, asked.ticket, origin="legacy")


def unlinked_fills(scribe: Scribe, place: Place, side: Side, count: Decimal) -> None:
    """Fills of an order that nobody can link, or of none."""
    order_id = scribe.pick(scribe.name("O"), None)
    for part in scribe.split(count):
        scribe.fill(
            place,
            origin=scribe.pick("legacy", "native"),
            order_id=order_id,
            side=side,
            yes_price=scribe.price(),
            count=part,
            fee=scribe.pick(None, Decimal("0.03")),
        )


def a_legacy_close(scribe: Scribe, asked: Asked) -> None:
    count = scribe.pick(asked.count, scribe.count())
    ticket = scribe.pick(AUTO_STOP, scribe.name("T"), asked.ticket)
    command_id = scribe.ask(
        CloseTrade,
        asked.place,
        ticket,
        origin="legacy",
        side=scribe.pick(OTHER[asked.side], OTHER[asked.side], OTHER[asked.side], asked.side),
        count=scribe.pick(count, None),
        price=None,
        close_method=scribe.pick("manual", "auto"),
    )
    fate = scribe.pick("fills", "fills", "fills", "order", "failed", "silence")
    if fate == "fills":
        unlinked_fills(scribe, asked.place, OTHER[asked.side], count)
    elif fate == "order":
        whose = whose_order(scribe, ticket, command_id)
        an_order(scribe, asked.place, OTHER[asked.side], count, whose)
    elif fate == "failed":
        kind = scribe.pick(CloseFailed, OrderRejected)
        named = scribe.pick(command_id, None)
        scribe.report(kind, asked.place, ticket, command_id=named, reason=None)


def a_hedge(scribe: Scribe, place: Place) -> None:
    """Two trades on the two sides of one market, at once."""
    for _ in range(2):
        asked, command_id = scribe.ask_to_open(place)
        whose = Ticketed(asked.ticket, command_id, "order")
        an_order(scribe, place, asked.side, asked.count, whose, ("executed", "partial"))


def a_stranger(scribe: Scribe, place: Place) -> None:
    """What belongs to nothing that we asked for."""
    what = scribe.pick("order", "fill", "close", "accepted", "cancel", "carried")
    ticket = scribe.name("T")
    if what == "order":
        an_order(scribe, place, scribe.pick("yes", "no"), scribe.count())
    elif what == "fill":
        unlinked_fills(scribe, place, scribe.pick("yes", "no"), scribe.count())
    elif what == "close":
        origin = scribe.pick("native", "legacy")
        whatever = {"count": None, "price": None, "close_method": None, "origin": origin}
        scribe.ask(CloseTrade, place, ticket, side=scribe.pick("yes", "no"), **whatever)
    elif what == "accepted":
        order_id = scribe.name("O")
        scribe.report(OrderAccepted, place, ticket, order_id=order_id, command_id=None)
    elif what == "cancel":
        scribe.ask(CancelTrade, place, ticket, reason=None)
    else:
        whose = Ticketed(ticket, scribe.name("C"), "order")
        an_order(scribe, place, scribe.pick("yes", "no"), scribe.count(), whose)


def a_ticket_twice(scribe: Scribe, place: Place) -> None:
    """Another open command with a ticket that is taken, here or on another market."""
    asked, command_id = scribe.ask_to_open(place, scribe.pick("native", "legacy"))
    where = scribe.pick(place, place, Place(scribe.pick(*ACCOUNTS), scribe.pick(*TICKERS)))
    origin = scribe.pick("native", "legacy")
    again, other_id = scribe.ask_to_open(where, origin, asked.ticket)
    for one, named in ((asked, command_id), (again, other_id)):
        whose = whose_order(scribe, one.ticket, named)
        an_order(scribe, one.place, one.side, one.count, whose)


def a_resting_limit(scribe: Scribe, place: Place) -> None:
    """Limit orders that hold cash, some of them covered by what is held."""
    side = scribe.pick("yes", "no")
    if scribe.pick(True, False):
        unlinked_fills(scribe, place, OTHER[side], scribe.count())
    for _ in range(scribe.pick(1, 2)):
        order_id, count, limit = scribe.name("O"), scribe.count(), scribe.price()
        created = scribe.later()
        parts = scribe.split(count)
        filled = Decimal(0)
        fate = scribe.pick("resting", "canceled", "executed")
        for part in parts if fate == "executed" else parts[:-1]:
            price = scribe.pick(limit, scribe.price())
            scribe.fill(place, order_id=order_id, side=side, yes_price=price, count=part)
            filled += part
        scribe.order(
            place,
            order_id,
            side=side,
            status=fate,
            yes_price=limit,
            initial_count=count,
            fill_count=filled,
            remaining_count=count - filled,
            created=created,
            updated=scribe.pick(scribe.later(), None),
        )


def a_settlement(scribe: Scribe, place: Place) -> None:
    """The market pays out, perhaps twice."""
    for _ in range(scribe.pick(1, 1, 1, 2)):
        result = scribe.pick("yes", "no", "scalar")
        value = scribe.pick(Decimal("0.25"), None) if result == "scalar" else None
        scribe.say(
            Settlement,
            **scribe.of_account(),
            **vars(place),
            result=result,
            value=value,
            yes_count=scribe.count(),
            no_count=Decimal(0),
            yes_cost=None,
            no_cost=None,
            revenue=scribe.pick(Decimal("20.00"), Decimal(0)),
            fee=None,
            time=scribe.later(),
        )


def a_position(scribe: Scribe, place: Place) -> None:
    for _ in range(scribe.pick(1, 2)):
        scribe.say(
            Position,
            **scribe.of_account(),
            **vars(place),
            position=scribe.pick(Decimal(-200), Decimal(0), Decimal("1.50")),
            cost=scribe.pick(None, Decimal("192.00")),
            realized_pnl=None,
            fees=scribe.pick(None, Decimal("0.54")),
            time=scribe.pick(scribe.later(), EVENING),
        )


# What is the account's own


def a_balance(scribe: Scribe, account: str) -> None:
    time = scribe.later() // SECOND * SECOND
    for _ in range(scribe.pick(1, 2)):
        scribe.say(
            Balance,
            **scribe.of_account(account=account),
            balance=scribe.pick(Decimal("1234.56"), Decimal(1000), Decimal("-0.05")),
            exact=scribe.pick(True, False),
            portfolio_value=scribe.pick(None, Decimal("9.00"), Decimal("10.00")),
            time=time,
        )


def a_transfer(scribe: Scribe, account: str) -> None:
    transfer_id, created = scribe.name("D"), scribe.later()
    kind = scribe.pick("deposit", "withdrawal")
    for status in ("pending", *scribe.pick(["applied"], ["applied", "returned"], ["failed"])):
        scribe.say(
            Transfer,
            **scribe.of_account(account=account),
            kind=kind,
            transfer_id=transfer_id,
            status=status,
            method=scribe.pick(None, "wire"),
            amount=scribe.pick(Decimal("100.00"), Decimal("0.10")),
            fee=scribe.pick(Decimal(0), Decimal("0.50")),
            created=created,
            finalized=None if status == "pending" else scribe.later(),
        )


def a_snapshot(scribe: Scribe, account: str) -> None:
    common = scribe.of_account(account=account, snapshot_id=scribe.name("S"))
    started = scribe.later()
    if not scribe.chance(5):
        scribe.say(SnapshotStarted, **common, time=started)
    if not scribe.chance(5):
        tickers = scribe.pick([], TICKERS[:1], TICKERS[:2])
        scribe.say(SnapshotFinished, **common, time=scribe.later(), tickers=tickers)


#: What happens on a market; the first ones make trades.
STORIES: list[Callable[[Scribe, Place], None]] = [
    *(a_native_trade, a_native_trade, a_native_trade, an_imported_trade, an_imported_trade),
    *(a_hedge, a_ticket_twice, a_resting_limit, a_stranger, a_settlement, a_position),
]
ACCOUNT_STORIES: list[Callable[[Scribe, str], None]] = [a_balance, a_transfer, a_snapshot]

# The same again, a little different

#: What another version of an event may say instead, by the name of the field.
OTHERWISE: dict[str, list[Any]] = {
    "account": ACCOUNTS,
    "ticker": TICKERS,
    "side": ["yes", "no"],
    "yes_price": [Decimal("0.9600"), Decimal("0.07")],
    "count": [Decimal(1), Decimal("20.0")],
    "fee": [None, Decimal("0.01"), Decimal("0.10")],
    "is_taker": [None, True, False],
    "order_id": ["O-0"],
    "client_order_id": [None, "not ours"],
    "post_position": [None, Decimal(-2), Decimal(10)],
    "status": ["resting", "canceled", "executed"],
    "fill_count": [Decimal(0), Decimal(1), Decimal(20)],
    "initial_count": [Decimal(20)],
    "fees": [None, Decimal(0), Decimal("0.33")],
    "created": [EVENING],
    "prob": [None, Decimal(12)],
    "strike": [None, Decimal(-1)],
    "symbol": [None, "ETH"],
    "close_method": ["manual", "auto"],
    "result": ["yes", "no"],
    "value": [None, Decimal("0.75")],
    "revenue": [Decimal(0), Decimal("7.77")],
    "exact": [True, False],
    "portfolio_value": [None, Decimal("9.5")],
    "amount": [Decimal("99.99")],
    "method": [None, "card"],
    "command_id": ["C-0"],
    "ticket_id": ["T-0"],
    "reason": ["another"],
    "tickers": [TICKERS[2:]],
    "cost": [None, Decimal(1)],
    "position": [Decimal(1)],
}
#: Fields of these events that have other values than the same names elsewhere.
NOT_OTHERWISE = {(Transfer, "status"), (Transfer, "fee"), (OrderAccepted, "order_id")}


def version(scribe: Scribe, event: Any) -> Event:
    """The same event with another origin, at a slightly other time, or with another content."""
    what = scribe.pick("origin", "time", "content", "content")
    changes: dict[str, Any] = {}
    if what == "origin":
        changes["origin"] = scribe.pick("legacy", "native")
    if what != "content" and scribe.pick(True, False):
        name = "updated" if isinstance(event, Order) else "time"
        if getattr(event, name, None) is not None:
            step = scribe.pick(1, 300, -1_000, SECOND, -SECOND)
            changes[name] = getattr(event, name) + step
    if what == "content":
        kind = type(event)
        names = [
            name
            for name in kind.model_fields
            if name in OTHERWISE and (kind, name) not in NOT_OTHERWISE
        ]
        name = scribe.pick(*names) if names else "origin"
        changes[name] = scribe.pick(*OTHERWISE.get(name, ["legacy"]))
    event_again: Event = kind_of(event, changes)
    return event_again


def kind_of(event: Event, changes: dict[str, Any]) -> Event:
    """The event with changes, checked by its model once more."""
    return type(event)(**{**dict(event), **changes})


@st.composite
def lives(draw: st.DrawFn, markets: int = 2) -> list[Event]:
    """The events of some markets and accounts, in the order in which they came about."""
    scribe = Scribe(draw)
    places = [
        Place(scribe.pick(*ACCOUNTS), scribe.pick(*TICKERS))
        for _ in range(draw(st.integers(1, markets)))
    ]
    for _ in range(draw(st.integers(1, 4))):
        story: Callable[[Scribe, Place], None] = scribe.pick(*STORIES)
        scribe.begin()
        story(scribe, scribe.pick(*places))
    if scribe.pick(True, False):
        a_settlement(scribe, places[0])
    for _ in range(scribe.pick(0, 1, 2)):
        scribe.pick(*ACCOUNT_STORIES)(scribe, scribe.pick(*ACCOUNTS))
    events = scribe.events
    versions = draw(st.lists(st.sampled_from(range(len(events))), max_size=4)) if events else []
    more = [version(scribe, events[at]) for at in versions]
    missing = draw(st.sets(st.sampled_from(range(len(events))), max_size=2)) if events else set()
    return [event for at, event in enumerate(events) if at not in missing] + more


def shuffled(draw: Callable[..., Any], events: Sequence[Event]) -> tuple[list[Event], list[int]]:
    """The events in any order, some of them again; and the lengths of the units to cut them into.

    `draw` is that of a composite strategy or of `st.data()`.
    The lengths are as `tests.projections.logs.cut` takes them: what remains is the last unit.
    """
    again = draw(st.lists(st.sampled_from(events), max_size=6)) if events else []
    order = draw(st.permutations([*events, *again]))
    units = draw(st.lists(st.integers(1, max(len(order), 1)), max_size=6))
    return list(order), units

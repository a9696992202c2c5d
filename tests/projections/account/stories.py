"""Stories of orders, trades, markets and accounts: what their operator and their venue say.

Coherent enough that most become trades. Each has a scribe write down its events in the order in
which they came about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from streams.events import (
    Balance,
    CancelTrade,
    CloseFailed,
    CloseTrade,
    MarkError,
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
from tests.projections.account.scribe import (
    ACCOUNTS,
    EVENING,
    OTHER,
    SECOND,
    TICKERS,
    Asked,
    Place,
    Scribe,
    Side,
)

#: The ticket that every automatic close of the old system carried.
AUTO_STOP = "TICKET-${Math.random()}"

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

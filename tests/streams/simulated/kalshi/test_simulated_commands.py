"""What the executor makes of commands, and which commands the simulated trader gives."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count, groupby
from typing import Any

import pytest

from streams.events import (
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
    TradeCommand,
)
from streams.events.trade_commands import client_order_id
from streams.events.types import Side
from streams.live import Live
from streams.simulated.kalshi.executor import Executor
from streams.simulated.kalshi.markets import Market
from streams.simulated.kalshi.orders import Fill as Execution
from streams.simulated.kalshi.orders import Order as OrderState
from streams.simulated.kalshi.venue.facts import Fact
from tests.streams.simulated.kalshi.driving import ACCOUNT, Venue, only, simulated


@dataclass
class Desk:
    """A venue and the executor of its account; tickets are for its first market."""

    venue: Venue = field(default_factory=Venue)
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.executor = Executor(Live(), ACCOUNT, self.venue.exchange)
        self.market: Market = self.venue.open_markets[1]

    def command(self, ticket: str, **fields: Any) -> dict[str, Any]:
        return {
            "command_id": f"c{next(self.numbers)}",
            "ticket_id": ticket,
            "account": ACCOUNT,
            "ticker": self.market.ticker,
            "time": self.venue.now,
            "origin": "native",
            **fields,
        }

    def execute(self, command: TradeCommand) -> list[Fact | Event]:
        return list(self.executor.execute(command, self.venue.now))

    def open(
        self, ticket: str, count: str = "5", price: str | None = "0.99", side: Side = "yes"
    ) -> OpenTrade:
        nothing = dict.fromkeys(
            ("symbol", "market", "strategy", "contract", "strike", "prob", "entry_method")
        )
        limit = None if price is None else Decimal(price)
        fields = {"side": side, "count": Decimal(count), "price": limit, **nothing}
        return OpenTrade(**self.command(ticket, **fields))

    def close(
        self, ticket: str, count: str | None = None, price: str | None = "0.99", side: Side = "no"
    ) -> CloseTrade:
        amounts = {"count": count and Decimal(count), "price": price and Decimal(price)}
        return CloseTrade(**self.command(ticket, side=side, close_method="auto", **amounts))

    def cancel(self, ticket: str) -> CancelTrade:
        return CancelTrade(**self.command(ticket, reason=None))


def test_a_command_is_accepted_with_the_order_that_it_makes() -> None:
    desk = Desk()
    command = desk.open("T")
    accepted, order, *_ = desk.execute(command)
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(order, OrderState)
    assert (accepted.ticket_id, accepted.command_id) == ("T", command.command_id)
    assert (accepted.order_id, accepted.time) == (order.order_id, order.created)
    assert order.client_order_id == client_order_id("T", command.command_id)


def test_a_command_that_comes_again_changes_nothing_and_nothing_is_said() -> None:
    desk = Desk()
    taken, refused = desk.open("T"), desk.open("U", count="100000")
    assert desk.execute(taken)
    assert only(desk.execute(refused), OrderRejected)
    cash = desk.venue.cash
    assert desk.execute(taken) == desk.execute(refused) == []
    assert desk.venue.cash == cash


def test_what_the_venue_refuses_is_rejected_with_its_reason() -> None:
    desk = Desk()
    command = desk.open("T", price="0.505")
    (rejected,) = desk.execute(command)
    assert isinstance(rejected, OrderRejected)
    assert (rejected.command_id, rejected.reason) == (command.command_id, "invalid_price")


def test_a_close_without_a_count_closes_what_its_own_ticket_holds() -> None:
    desk = Desk()
    desk.execute(desk.open("T", "2"))
    desk.execute(desk.open("U", "3"))
    sold = only(desk.execute(desk.close("U")), Execution)
    assert sum(fill.count for fill in sold) == 3
    assert desk.venue.exchange.account.position(desk.market.ticker).net == 2


def test_a_close_leaves_to_the_one_before_it_what_that_one_still_wants_to_sell() -> None:
    desk = Desk()
    desk.execute(desk.open("T", "5"))
    desk.execute(desk.close("T", "2", price="0.01"))
    rest = only(desk.execute(desk.close("T")), Execution)
    assert sum(fill.count for fill in rest) == 3
    (failed,) = desk.execute(desk.close("T"))
    assert isinstance(failed, CloseFailed)


def test_a_close_of_more_than_its_ticket_holds_closes_what_it_holds() -> None:
    desk = Desk()
    desk.execute(desk.open("T", "2"))
    sold = only(desk.execute(desk.close("T", "5")), Execution)
    assert sum(fill.count for fill in sold) == 2
    assert desk.venue.exchange.account.position(desk.market.ticker).net == 0


@pytest.mark.parametrize("ticket", ["T", "never opened"])
def test_a_close_of_nothing_fails(ticket: str) -> None:
    desk = Desk()
    desk.execute(desk.open("T", price="0.01"))
    command = desk.close(ticket)
    (failed,) = desk.execute(command)
    assert isinstance(failed, CloseFailed)
    assert (failed.ticket_id, failed.command_id) == (ticket, command.command_id)


def test_a_cancel_ends_what_rests_of_its_ticket_and_nothing_else() -> None:
    desk = Desk()
    desk.execute(desk.open("T", price="0.01"))
    desk.execute(desk.open("U", price="0.01"))
    canceled = only(desk.execute(desk.cancel("T")), OrderState)
    assert [order.status for order in canceled] == ["canceled"]
    assert len(desk.venue.exchange.account.resting(desk.market.ticker)) == 1
    assert desk.execute(desk.cancel("T")) == desk.execute(desk.cancel("never opened")) == []


def test_to_mark_an_error_is_no_order() -> None:
    desk = Desk()
    assert desk.execute(MarkError(**desk.command("T", reason=None))) == []


def test_one_seed_gives_one_trader() -> None:
    assert list(simulated(3, 20)) == list(simulated(3, 20))
    assert list(simulated(3, 20)) != list(simulated(4, 20))


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Those of five simulated minutes."""
    return list(simulated(1, 300))


def test_every_command_is_answered_once(events: list[Event]) -> None:
    commands = only(events, OpenTrade) + only(events, CloseTrade)
    answers = [
        event.command_id
        for event in events
        if isinstance(event, OrderAccepted | OrderRejected | CloseFailed)
    ]
    assert Counter(answers) == Counter({command.command_id for command in commands})
    repeated = Counter(command.command_id for command in commands)
    assert set(repeated.values()) == {1, 2}


def test_whatever_may_happen_to_a_trade_happens(events: list[Event]) -> None:
    rejected = Counter(event.reason for event in only(events, OrderRejected))
    assert set(rejected) == {"insufficient_balance", "invalid_price", "market_closed"}
    assert only(events, CloseFailed)
    assert only(events, CancelTrade)
    final = {order.order_id: order for order in only(events, Order)}
    ends = Counter((order.status, order.fill_count > 0) for order in final.values())
    assert {("executed", True), ("canceled", True), ("canceled", False)} <= set(ends)
    by_order = groupby(
        sorted(only(events, Fill), key=lambda fill: fill.order_id or ""), lambda f: f.order_id
    )
    prices = {len(fills := list(group)): {f.yes_price for f in fills} for _, group in by_order}
    assert set(prices) >= {1, 2, 3, 4}
    assert all(len(different) > 1 for number, different in prices.items() if number > 2)
    fills = only(events, Fill)
    assert {fill.is_taker for fill in fills} == {True, False}
    assert any(fill.count % 1 for fill in fills)
    assert {fill.side for fill in fills} == {"yes", "no"}


def test_the_trader_enters_now_and_then_and_closes_most_of_it(events: list[Event]) -> None:
    opened = {command.ticket_id for command in only(events, OpenTrade)}
    closed = {command.ticket_id for command in only(events, CloseTrade)}
    assert 200 <= len(opened) <= 500
    assert closed < opened
    assert 0.3 < len(closed) / len(opened) < 0.9

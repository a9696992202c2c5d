"""The simulated account keeps its cash, its holds and its pairs to the cent."""

from dataclasses import replace
from decimal import Decimal

import pytest

from streams.events.types import Side
from streams.simulated.kalshi.account import Account
from streams.simulated.kalshi.orders import ZERO, Fill, Order, OrderError, taker_fee

TICKER = "KXBTCSIM-27JAN15030020-T63999.99"


def order(side: Side, count: str, limit: str, number: int = 1) -> Order:
    return Order(
        order_id=f"order {number}",
        client_order_id=f"client {number}",
        ticker=TICKER,
        side=side,
        kind="limit",
        limit=Decimal(limit),
        initial=Decimal(count),
        created=number * 1000,
        updated=number * 1000,
    )


def amounts(*values: Decimal | int | str) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, values))


def with_cash(dollars: str) -> Account:
    account = Account()
    account.deposit(Decimal(dollars))
    return account


def placed(account: Account, side: Side, count: str, limit: str, number: int = 1) -> Order:
    return account.place(order(side, count, limit, number), ZERO)


def filled(account: Account, one: Order, price: str, count: str, *, maker: bool = False) -> Fill:
    newest = account.orders[one.order_id]
    fill, _, _ = account.fill(
        newest, Decimal(price), Decimal(count), is_taker=not maker, trade_id="t", time=9_000
    )
    return fill


@pytest.mark.parametrize(
    ("price", "count", "fee"),
    [("0.96", "20", "0.06"), ("0.50", "1", "0.02"), ("0.04", "200", "0.54"), ("0.99", "1", "0.01")],
)
def test_the_fee_of_a_fill_is_rounded_up_to_the_cent(price: str, count: str, fee: str) -> None:
    assert taker_fee(Decimal(price), Decimal(count)) == Decimal(fee)


def test_a_fill_costs_its_price_and_its_fee_and_frees_the_rest_of_the_limit() -> None:
    account = with_cash("100")
    bought = placed(account, "yes", "20", "0.98")
    assert account.cash == Decimal("80.40")
    fill = filled(account, bought, "0.96", "20")
    assert fill.fee == Decimal("0.06")
    assert fill.post_position == 20
    assert account.cash == Decimal("80.74")
    assert account.orders[bought.order_id].status == "executed"


def test_an_order_that_rests_holds_its_limit_for_what_remains() -> None:
    account = with_cash("100")
    resting = placed(account, "no", "10", "0.30")
    filled(account, resting, "0.30", "4", maker=True)
    assert account.cash == 100 - Decimal("1.20") - 6 * Decimal("0.30")
    canceled = account.cancel(account.orders[resting.order_id], 10_000, None)
    assert canceled.status == "canceled"
    assert (canceled.remaining, canceled.filled) == amounts(0, 4)
    assert account.cash == Decimal("98.80")


def test_to_buy_the_other_side_closes_pairs_which_return_a_dollar_each() -> None:
    account = with_cash("100")
    filled(account, placed(account, "yes", "10", "0.60", 1), "0.60", "10", maker=True)
    closing = placed(account, "no", "12", "0.30", 2)
    assert closing.covered == 10
    assert account.cash == 94 - 2 * Decimal("0.30")
    filled(account, closing, "0.30", "12", maker=True)
    assert account.cash == 94 + 10 - 12 * Decimal("0.30")
    position = account.position(TICKER)
    assert (position.net, position.cost) == amounts(-2, "0.60")
    assert position.realized_pnl == 10 * (Decimal("0.70") - Decimal("0.60"))


def test_contracts_cover_one_order_at_a_time() -> None:
    account = with_cash("100")
    filled(account, placed(account, "yes", "10", "0.60", 1), "0.60", "10", maker=True)
    assert placed(account, "no", "7", "0.30", 2).covered == 7
    assert placed(account, "no", "7", "0.30", 3).covered == 3
    assert placed(account, "yes", "7", "0.30", 4).covered == 0


def test_an_order_that_the_cash_does_not_suffice_for_is_refused_and_changes_nothing() -> None:
    account = with_cash("10")
    with pytest.raises(OrderError, match="insufficient_balance"):
        account.place(order("yes", "10", "0.99"), Decimal("0.11"))
    assert account.cash == 10
    assert not account.orders
    assert not account.knows("client 1")
    account.place(order("yes", "10", "0.99"), Decimal("0.10"))
    assert account.knows("client 1")


@pytest.mark.parametrize(("result", "revenue"), [("yes", 6), ("no", 0)])
def test_a_settlement_pays_a_dollar_for_each_net_winning_contract(
    result: Side, revenue: int
) -> None:
    account = with_cash("100")
    filled(account, placed(account, "yes", "10", "0.60", 1), "0.60", "10", maker=True)
    filled(account, placed(account, "no", "4", "0.30", 2), "0.30", "4", maker=True)
    before = account.cash
    settlement = account.settle(TICKER, "event", result, 20_000)
    assert settlement is not None
    assert (settlement.revenue, account.cash) == amounts(revenue, before + revenue)
    assert (settlement.before.yes_count, settlement.before.no_count) == amounts(10, 4)
    profit = account.cash - 100
    assert settlement.after == replace(
        settlement.before, net=ZERO, cost=ZERO, realized_pnl=profit, updated=20_000
    )
    assert account.settle(TICKER, "event", result, 21_000) is None

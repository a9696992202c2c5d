"""`tape verify` finds what differs, and names the record behind it."""

from __future__ import annotations

import asyncio

import pytest

from projections.comparison import Difference
from streams.rebuild.verify import verify
from tests.streams.rebuild.stage import Stage


def first(stage: Stage) -> tuple[Difference, str]:
    """The first difference, and the record behind it."""
    found = stage.verify_here()
    assert found.first is not None
    return found.first, str(found.record)


@pytest.mark.parametrize("kind", ["prices", "account"])
def test_nothing_differs_where_nothing_was_touched(
    kind: str, request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue(kind)
    found = stage.verify_here()
    assert found.first is None
    assert sum(table.rows for table in found.tables) > 300
    assert stage.generations() == [(1, True)]


def test_a_wrong_a_missing_and_an_extra_row_are_found_with_their_offsets(prices: Stage) -> None:
    [(partition, offset)] = prices.query(
        'update prices_1.price_history set price = price + 1 where ("partition", "offset") ='
        ' (select "partition", "offset" from price_history order by 2, 1 limit 1)'
        ' returning "partition", "offset"'
    )
    wrong, record = first(prices)
    assert wrong.table == "price_history"
    assert wrong.columns == ["price"]
    assert record == f"price.ticks[{partition}]@{offset}"
    prices.execute(
        "delete from prices_1.price_history"
        f' where "partition" = {partition} and "offset" = {offset}'
    )
    missing, record = first(prices)
    assert missing.live is None
    assert record == f"price.ticks[{partition}]@{offset}"


def test_an_extra_row_is_named_by_what_it_says_of_itself(prices: Stage) -> None:
    [(partition, offset)] = prices.query(
        "insert into prices_1.price_history"
        " select venue, symbol, time, trade_id || 'x', price, size, side, sequence, average,"
        ' received, appended, topic, "partition", "offset" from price_history limit 1'
        ' returning "partition", "offset"'
    )
    extra, record = first(prices)
    assert extra.rebuilt is None
    assert extra.key["trade_id"].endswith("x")
    assert record == f"price.ticks[{partition}]@{offset}"


def test_of_a_sample_only_some_rows_are_compared(prices: Stage) -> None:
    prices.execute("update prices_1.price_history set price = price + 1")

    def differing(groups: list[int]) -> int:
        found = asyncio.run(verify("prices", prices.endpoints, prices.reporter, groups))
        return found.tables[0].differing

    some, others = differing([*range(32)]), differing([*range(32, 64)])
    assert min(some, others) > 0
    assert differing([*range(64)]) == some + others
    assert differing([*range(1024)]) >= some + others


def test_what_comes_in_meanwhile_does_not_differ(prices: Stage) -> None:
    def go_on(phase: str) -> None:
        if phase == "deriving":
            prices.fill(400, seed=9)
            prices.project()

    prices.reporter.hook = go_on
    assert prices.verify_here().first is None


def test_a_closed_month_does_not_differ(prices: Stage) -> None:
    from projections.prices.months import partition_name

    [(month,)] = prices.query("select min(month) from price_months")
    prices.execute(
        f"update prices_1.price_months set closed = true where month = '{month}';"
        f"alter table prices_1.price_history detach partition prices_1.{partition_name(month)}"
    )
    assert prices.verify_here().first is None


def test_of_a_derived_row_the_record_that_made_it_is_named(prices: Stage) -> None:
    [(venue, symbol, trade_id)] = prices.query(
        "update prices_1.latest_price set price = price + 1"
        " where (venue, symbol) = (select venue, symbol from latest_price order by 1, 2 limit 1)"
        " returning venue, symbol, trade_id"
    )
    wrong, record = first(prices)
    assert (wrong.table, wrong.columns) == ("latest_price", ["price"])
    [(partition, offset)] = prices.query(
        'select "partition", "offset" from price_history'
        " where venue = %s and symbol = %s and trade_id = %s",
        venue,
        symbol,
        trade_id,
    )
    assert record == f"{prices.topic}[{partition}]@{offset}"


def test_a_trade_that_is_not_what_its_market_makes_of_it_is_found(account: Stage) -> None:
    account.execute(
        "update account_1.trades set fees = fees + 1 where id = (select min(id) from trades)"
    )
    wrong, record = first(account)
    assert (wrong.table, wrong.columns) == ("trades", ["fees"])
    assert record.partition("[")[0] in account.topics.values()

"""`tape verify` finds what differs, and names the record behind it."""

from __future__ import annotations

import pytest

from projections.comparison import Difference
from streams.rebuild.verify import place_of
from tests.streams.rebuild.stage import Stage


def first(stage: Stage) -> Difference:
    found = stage.verify_here().first
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["prices", "account"])
def test_nothing_differs_where_nothing_was_touched(
    kind: str, request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue(kind)
    found = stage.verify_here()
    assert found.first is None
    assert sum(table.rows for table in found.tables) > 500
    assert stage.generations() == [(1, True)]


def test_a_wrong_a_missing_and_an_extra_row_are_found_with_their_offsets(prices: Stage) -> None:
    [(partition, offset)] = prices.query(
        'update prices_1.price_history set price = price + 1 where ("partition", "offset") ='
        ' (select "partition", "offset" from price_history order by 2, 1 limit 1)'
        ' returning "partition", "offset"'
    )
    wrong = first(prices)
    assert wrong.table == "price_history"
    assert wrong.columns == ["price"]
    assert str(place_of(wrong)) == f"price.ticks[{partition}]@{offset}"
    prices.execute(
        "delete from prices_1.price_history"
        f' where "partition" = {partition} and "offset" = {offset}'
    )
    missing = first(prices)
    assert missing.live is None
    assert str(place_of(missing)) == f"price.ticks[{partition}]@{offset}"


def test_an_extra_row_is_named_by_what_it_says_of_itself(prices: Stage) -> None:
    [(partition, offset)] = prices.query(
        "insert into prices_1.price_history"
        " select venue, symbol, time, trade_id || 'x', price, size, side, sequence, average,"
        ' received, appended, topic, "partition", "offset" from price_history limit 1'
        ' returning "partition", "offset"'
    )
    extra = first(prices)
    assert extra.rebuilt is None
    assert extra.key["trade_id"].endswith("x")
    assert str(place_of(extra)) == f"price.ticks[{partition}]@{offset}"


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

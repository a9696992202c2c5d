"""The latest price and quote of a symbol."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import Event, PriceQuote
from tests.projections.logs import NOON, rows, trade
from tests.projections.prices.projected import reset, run
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")


@few
@given(
    told=st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3)), min_size=1, max_size=12
    ),
    units=st.lists(st.integers(1, 5), max_size=6),
)
def test_the_latest_price_and_quote_never_go_back(
    migrated_dsn: str, told: list[tuple[int, int | None]], units: list[int]
) -> None:
    reset(migrated_dsn)
    base = NOON * 1_000_000
    events: list[Event] = []
    for n, (time, sequence) in enumerate(told):
        events.append(trade(n, time=base + time, sequence=sequence))
        events.append(
            PriceQuote(
                venue="coinbase",
                symbol="BTC-USD",
                bid=Decimal(n + 1),
                bid_size=None,
                ask=Decimal(n + 2),
                ask_size=None,
                time=base + time,
                sequence=sequence,
                received=base,
            )
        )
    run(migrated_dsn, events, units)

    def newest() -> int:
        best = 0
        for n, (time, sequence) in enumerate(told):
            known = told[best][0], -1 if told[best][1] is None else told[best][1]
            if (time, -1 if sequence is None else sequence) >= known:
                best = n
        return best

    (price,) = rows(migrated_dsn, "latest_price")
    (quote,) = rows(migrated_dsn, "latest_quote")
    assert price["trade_id"] == str(newest())
    assert quote["bid"] == str(newest() + 1)
    assert price["sequence"] == quote["sequence"] == told[newest()][1]

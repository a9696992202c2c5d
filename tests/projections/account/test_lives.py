"""Trade lives of all kinds, in any order, repeated and cut: always what the reference says."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.events import Event
from tests.projections.account.examples import ASKED, SECOND, fill, opened, order
from tests.projections.account.lives import lives, shuffled
from tests.projections.account.projected import COMPARED, ordered, reset, run, tables
from tests.projections.account.reference import reference
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")


@settings(few, max_examples=40)
@given(data=st.data())
def test_any_life_comes_to_what_the_reference_says(migrated_dsn: str, data: st.DataObject) -> None:
    events = data.draw(lives())
    arrived, units = shuffled(data.draw, events)
    reset(migrated_dsn)
    run(migrated_dsn, arrived, units)
    compare(migrated_dsn, events)


CONTRADICTED: dict[str, Any] = {"status": "canceled", "fill_count": "4", "remaining_count": "0"}
EARLY: dict[str, Any] = {"status": "resting", "fill_count": "7", "remaining_count": "13"}
#: What lives come to too seldom.
SELDOM = {
    "an order of the other side that filled the trade's own": [
        opened(),
        order(opened(), side="yes", **CONTRADICTED),
        fill(count="4"),
    ],
    "an order of the trade's side that filled the other": [
        opened(),
        order(opened(), **CONTRADICTED),
        fill(count="4", side="yes"),
    ],
    "two fills stamped before their order, whose ids go against their times": [
        order(created=ASKED + SECOND, **EARLY),
        fill(trade_id="f2", count="3", time=ASKED),
        fill(trade_id="f1", count="4", time=ASKED + 1),
    ],
}


@pytest.mark.parametrize("events", SELDOM.values(), ids=SELDOM)
def test_so_does_what_is_seldom(migrated_dsn: str, events: list[Event]) -> None:
    run(migrated_dsn, events)
    compare(migrated_dsn, events)


def compare(dsn: str, events: list[Event]) -> None:
    """Everything that the tables hold with what the reference says."""
    wanted: dict[str, Any] = reference(events)
    found = tables(dsn)
    for name in COMPARED:
        assert found[name] == ordered(wanted[name]), name

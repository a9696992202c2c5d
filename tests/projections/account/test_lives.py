"""Trade lives of all kinds, in any order, repeated and cut: always what the reference says."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    wanted: dict[str, Any] = reference(events)
    found = tables(migrated_dsn)
    for name in COMPARED:
        assert found[name] == ordered(wanted[name]), name

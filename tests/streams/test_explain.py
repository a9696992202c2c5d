"""`tape explain` and `tape at`: which events made a row, and what it was at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from streams.embedded.home import Home
from tests.streams.logged import Logged
from tests.streams.told import SECOND, account, market, prices


@pytest.fixture(scope="module")
def logged(module_home: Home) -> Logged:
    made = Logged(module_home)
    made.send([*prices(), *account(), *market()])
    made.project()
    return made


def explained(logged: Logged, *words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(logged.tape.output("explain", *words, "--json"))
    return found


def what(found: dict[str, Any]) -> Sequence[tuple[str, str, str]]:
    return [(one["topic"], one["id"], one["what"]) for one in found["events"]]


def test_a_second_is_explained_by_the_trades_that_are_in_it(logged: Logged) -> None:
    found = explained(logged, "price_seconds", "coinbase", "BTC-USD", SECOND)
    assert what(found) == [
        ("price.ticks", "coinbase:BTC-USD:1", "made"),
        ("price.ticks", "coinbase:BTC-USD:2", "changed"),
        ("price.ticks", "coinbase:BTC-USD:3", "changed"),
    ]

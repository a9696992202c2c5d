"""A clock that somebody sets."""

from __future__ import annotations

import pytest

from streams.monitor.clock import Clock

NOON = 1_764_504_000_000_000
SECOND = 1_000_000


def looks(offsets: list[float]) -> list[str | None]:
    """What is told at looks five seconds apart, with the wall clock off by these seconds."""
    clock = Clock()
    return [
        clock.jumped(NOON + int((5 * at + offset) * SECOND), 100.0 + 5 * at)
        for at, offset in enumerate(offsets)
    ]


def test_a_clock_that_drifts_is_not_told() -> None:
    assert looks([0.1 * at for at in range(100)]) == [None] * 100


@pytest.mark.parametrize(("by", "told"), [(3600.0, "+3600 s"), (-90.0, "-90 s"), (2.6, "+3 s")])
def test_a_clock_that_jumps_is_told_for_a_minute(by: float, told: str) -> None:
    found = looks([0.0, 0.0] + [by] * 20)
    assert found[:2] == [None, None]
    assert found[2:15] == [f"the clock of this machine jumped by {told}: ages are off by that"] * 13
    assert found[15:] == [None] * 7


def test_a_clock_that_is_set_back_again_jumps_twice() -> None:
    found = looks([0.0, 60.0, 0.0, 0.0])
    assert [one and one.split(" by ")[1].split(" s")[0] for one in found] == [
        None,
        "+60",
        "-60",
        "-60",
    ]

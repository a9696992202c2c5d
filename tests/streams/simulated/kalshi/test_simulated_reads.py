"""When the simulated account counts as read to its end."""

from collections.abc import Sequence

import pytest

from streams.simulated.kalshi.reads import Reads
from streams.simulated.kalshi.venue.query import Reply

BALANCE, SETTLEMENTS, DEPOSITS, FILLS = (
    f"/trade-api/v2/portfolio/{name}" for name in ("balance", "settlements", "deposits", "fills")
)


def after(*paths: str) -> Reads:
    """A line on which these were asked for since `begin`."""
    reads = Reads()
    reads.begin()
    ask(reads, paths)
    return reads


def ask(reads: Reads, paths: Sequence[str]) -> None:
    for path in paths:
        assert reads.reply(path, Reply(200, b"{}")) == (Reply(200, b"{}"), "whole")


@pytest.mark.parametrize(
    "paths",
    [
        (BALANCE, SETTLEMENTS, DEPOSITS),
        (BALANCE, FILLS, DEPOSITS, SETTLEMENTS),
        (SETTLEMENTS, BALANCE, DEPOSITS, BALANCE, SETTLEMENTS),
    ],
)
def test_an_account_is_read_once_what_explains_a_balance_was_asked_for_after_it(
    paths: tuple[str, ...],
) -> None:
    reads = after(*paths)
    assert reads.is_followed
    assert reads.is_whole


@pytest.mark.parametrize(
    "paths",
    [
        (),
        (SETTLEMENTS, DEPOSITS),
        (SETTLEMENTS, DEPOSITS, BALANCE),
        (DEPOSITS, BALANCE, SETTLEMENTS),
    ],
)
def test_an_account_is_not_read_before(paths: tuple[str, ...]) -> None:
    reads = after(*paths)
    assert reads.is_followed == (BALANCE in paths)
    assert not reads.is_whole


def test_what_was_read_before_does_not_count() -> None:
    reads = after(BALANCE, SETTLEMENTS, DEPOSITS)
    reads.begin()
    assert reads.is_followed
    assert not reads.is_whole
    ask(reads, [BALANCE, SETTLEMENTS, DEPOSITS])
    assert reads.is_whole

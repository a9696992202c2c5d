"""Dead letters of a rebuild beside those of the live tables."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from projections.base import Batch, Decoded, Refused
from projections.errors import Refusal
from projections.prices import Prices
from projections.prices.facts import Facts
from tests.streams.rebuild.stage import Stage


class Choosy(Prices):
    """Refuses the first record of every batch."""

    name = "prices"

    def decode(self, batches: Sequence[Batch]) -> Decoded[Facts]:
        rest = [Batch(one.source, one.records[1:]) for one in batches if one.records[0].offset == 0]
        whole = [one for one in batches if one.records[0].offset]
        decoded = super().decode([*(one for one in rest if one.records), *whole])
        first = [
            Refused(one.source, one.records[0], "not to our taste")
            for one in batches
            if one.records[0].offset == 0
        ]
        return Decoded(decoded.facts, [*first, *decoded.refused])


LETTERS = 'select topic, partition, "offset" from dead_letters where done is null order by 1, 2, 3'


def test_more_dead_letters_than_live_are_refused_unless_told(
    prices: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = prices.query(LETTERS)
    prices.use(monkeypatch, Choosy)
    with pytest.raises(Refusal, match=r"4 records could.*@0: not to our taste.*--accept-dead-l"):
        prices.rebuild_here()
    assert prices.generations() == [(1, True)]
    assert prices.query(LETTERS) == before
    assert prices.query("select count(*) from built_dead_letters") == [(0,)]
    prices.rebuild_here(accept_dead_letters=True)
    assert len(prices.query(LETTERS)) == len(before) + 4


def test_what_was_refused_live_and_is_projected_now_is_done(
    prices: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = prices.kind
    prices.use(monkeypatch, Choosy)
    prices.rebuild_here(accept_dead_letters=True, keep_old=True)
    waiting = len(prices.query(LETTERS))
    prices.use(monkeypatch, good)
    prices.rebuild_here()
    assert len(prices.query(LETTERS)) == waiting - 4
    assert prices.verify_here().first is None


def test_after_a_rollback_they_wait_again(prices: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    good = prices.kind
    prices.use(monkeypatch, Choosy)
    prices.rebuild_here(accept_dead_letters=True)
    waiting = prices.query(LETTERS)
    prices.use(monkeypatch, good)
    prices.rebuild_here(keep_old=True)
    assert len(prices.query(LETTERS)) == len(waiting) - 4
    prices.roll_back()
    assert prices.query(LETTERS) == waiting

"""What the ledger admits to a unit of work: what follows the claims, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.base import Batch, Partition
from projections.checkpoint import Checkpoint
from projections.unit import Projector
from streams.ledger import Fetch, GapError, Ledger

ONE, TWO = Partition("topic", 1), Partition("topic", 2)
SEEK = 5


@dataclass(frozen=True)
class Numbered:
    """A record of which only the offset matters."""

    offset: int


@dataclass
class Claims:
    """What a ledger needs of a projector."""

    claims: dict[Partition, Checkpoint]

    def forget(self) -> None:
        self.claims = {}


def ledger_at(**offsets: int) -> Ledger:
    """A ledger that holds partitions at these offsets: `ledger_at(one=3)`."""
    names = {"one": ONE, "two": TWO}
    claims = {names[name]: Checkpoint(offset, 1) for name, offset in offsets.items()}
    ledger = Ledger(cast(Projector, Claims(claims)))
    ledger.accept_after(SEEK)
    return ledger


def fetch(source: Partition, offsets: Sequence[int], seek: int = SEEK) -> Fetch:
    return Fetch(seek, [Batch(source, cast(Any, [Numbered(offset) for offset in offsets]))])


def admitted(batches: Sequence[Batch]) -> dict[Partition, list[int]]:
    offsets: dict[Partition, list[int]] = {}
    for batch in batches:
        offsets.setdefault(batch.source, []).extend(record.offset for record in batch.records)
    return offsets


def test_contiguous_fetches_of_all_partitions_are_admitted() -> None:
    fetches = [fetch(ONE, [3, 4]), fetch(TWO, [0]), fetch(ONE, [5])]
    assert admitted(ledger_at(one=3, two=0).admit(fetches)) == {ONE: [3, 4, 5], TWO: [0]}


@pytest.mark.parametrize("seek", [SEEK - 1, SEEK + 1])
def test_what_was_fetched_before_or_after_another_seek_is_dropped(seek: int) -> None:
    fetches = [fetch(ONE, [3, 4], seek), fetch(ONE, [3])]
    assert admitted(ledger_at(one=3).admit(fetches)) == {ONE: [3]}


def test_a_partition_that_is_not_held_is_dropped() -> None:
    assert admitted(ledger_at(one=3).admit([fetch(TWO, [3]), fetch(ONE, [3])])) == {ONE: [3]}


def test_after_forgetting_nothing_is_admitted_until_the_next_claim() -> None:
    ledger = ledger_at(one=3)
    rebalances = ledger.rebalances
    ledger.forget()
    assert ledger.rebalances == rebalances + 1
    assert not ledger.holds_partitions
    assert ledger.admit([fetch(ONE, [3])]) == []
    cast(Claims, ledger.projector).claims = {ONE: Checkpoint(3, 2)}
    assert ledger.admit([fetch(ONE, [3])]) == [], "claimed, but not sought yet"
    ledger.accept_after(SEEK + 1)
    assert ledger.holds_partitions, "claimed and sought"
    assert ledger.admit([fetch(ONE, [3])]) == []
    assert admitted(ledger.admit([fetch(ONE, [3], SEEK + 1)])) == {ONE: [3]}


def test_what_was_admitted_is_not_admitted_again_whatever_became_of_it() -> None:
    ledger = ledger_at(one=3)
    assert admitted(ledger.admit([fetch(ONE, [3, 4])])) == {ONE: [3, 4]}
    assert admitted(ledger.admit([fetch(ONE, [3, 4, 5])])) == {ONE: [5]}
    with pytest.raises(GapError, match="wanted offset 6, got 7 to 7 in 1 records"):
        ledger.admit([fetch(ONE, [7])])


def test_a_claim_after_forgetting_starts_where_the_checkpoint_is() -> None:
    ledger = ledger_at(one=3)
    ledger.admit([fetch(ONE, [3, 4])])
    ledger.forget()
    cast(Claims, ledger.projector).claims = {ONE: Checkpoint(3, 2)}
    ledger.accept_after(SEEK + 1)
    assert admitted(ledger.admit([fetch(ONE, [3, 4], SEEK + 1)])) == {ONE: [3, 4]}


def test_what_lies_below_the_checkpoint_is_trimmed() -> None:
    fetches = [fetch(ONE, [0, 1]), fetch(ONE, [1, 2, 3, 4]), fetch(ONE, [3, 4, 5])]
    assert admitted(ledger_at(one=3).admit(fetches)) == {ONE: [3, 4, 5]}


@pytest.mark.parametrize(
    "offsets",
    [
        pytest.param([[4, 5]], id="the first records are missing"),
        pytest.param([[3, 5]], id="a record within is missing"),
        pytest.param([[3, 4], [6]], id="a record between two fetches is missing"),
        pytest.param([[1, 2, 4]], id="the record at the checkpoint is missing"),
        pytest.param([[3, 4, 3]], id="a step back"),
    ],
)
def test_a_gap_is_told_with_what_was_wanted(offsets: list[list[int]]) -> None:
    with pytest.raises(GapError, match=r"topic\[1\]: wanted offset \d"):
        ledger_at(one=3).admit([fetch(ONE, part) for part in offsets])


@given(
    checkpoint=st.integers(0, 20),
    parts=st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from([SEEK, SEEK, SEEK - 1])),
        max_size=8,
    ),
    cut=st.integers(0, 8),
)
def test_what_is_admitted_starts_at_the_checkpoint_and_has_no_hole_or_repeat(
    checkpoint: int, parts: list[tuple[int, int, int]], cut: int
) -> None:
    ledger = ledger_at(one=checkpoint)
    fetches = [fetch(ONE, range(start, start + count), seek) for start, count, seek in parts]
    wanted = checkpoint
    gap = False
    for start, count, seek in parts:
        if seek == SEEK and start + count > wanted:
            gap |= start > wanted
            wanted = start + count if start <= wanted else wanted
        if gap:
            break

    def admit_all() -> list[int]:
        units = (fetches[:cut], fetches[cut:])
        return [n for unit in units for n in admitted(ledger.admit(unit)).get(ONE, [])]

    if gap:
        with pytest.raises(GapError):
            admit_all()
    else:
        assert admit_all() == list(range(checkpoint, wanted))

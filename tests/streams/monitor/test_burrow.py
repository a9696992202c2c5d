"""Burrow's rules, each window written out; times in seconds since the first commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.monitor.burrow import (
    INTERVALS,
    Commit,
    Status,
    Window,
    group_status,
    partition_status,
)

_SECOND = 1_000_000
_START = 1_760_000_000 * _SECOND

#: Offset, seconds and lag of each commit.
Table = Sequence[tuple[int, float, int | None]]

#: Moves, and gets ever further behind.
SLOW: Table = [(100, 0, 10), (110, 10, 20), (120, 20, 30), (130, 30, 40)]
#: Commits the same offset again and again.
STALLED: Table = [(100, 0, 10), (100, 10, 20), (100, 20, 30), (100, 30, 40)]


def commits(table: Table) -> list[Commit]:
    return [Commit(at, _START + int(s * _SECOND), lag) for at, s, lag in table]


def status(
    table: Table,
    *,
    now: float = 30,
    lag: int = 40,
    ends: Sequence[int] = (1000,),
    allowed: int = 0,
    complete: float = 0,
    intervals: int = INTERVALS,
) -> Status:
    time = _START + int(now * _SECOND)
    return partition_status(commits(table), ends, time, lag, allowed, complete, intervals)


# Rule 0: without a whole window nothing is said.


def test_no_commits_are_fine() -> None:
    assert status([]) is Status.OK


def test_a_window_is_judged_from_the_wanted_part_on() -> None:
    assert status(STALLED, complete=0.5) is Status.OK
    assert status(STALLED, complete=0.4) is Status.STALL


@pytest.mark.parametrize("count", range(1, INTERVALS + 1))
def test_so_many_tenths_of_a_window_are_so_many_commits(count: int) -> None:
    table = [(100, at * 10, 10) for at in range(count)]
    now = count * 10 - 10
    assert status(table, now=now, complete=count / 10) is Status.STALL
    assert status(table[1:], now=now, complete=count / 10) is Status.OK


def test_the_part_is_that_of_the_windows_own_length() -> None:
    assert status(STALLED, complete=1, intervals=4) is Status.STALL
    assert status(STALLED, complete=1, intervals=5) is Status.OK


def test_one_commit_alone_says_nothing_unless_that_is_wanted() -> None:
    (window, now) = (commits([(100, 0, 10)]), _START + _SECOND)
    assert partition_status(window, [1000], now, 10) is Status.OK
    assert partition_status(window, [1000], now, 10, minimum_complete=0) is Status.STOP


# Rule 1: who has no lag now is never in trouble.


@pytest.mark.parametrize("allowed", [0, 5])
def test_a_lag_of_what_is_allowed_is_fine_and_one_more_is_not(allowed: int) -> None:
    for table in (SLOW, STALLED):
        assert status(table, lag=allowed, allowed=allowed) is Status.OK
        assert status(table, lag=allowed + 1, allowed=allowed) is not Status.OK


def test_a_group_that_has_no_lag_may_be_silent_for_ever() -> None:
    assert status(STALLED, now=1e6, lag=0) is Status.OK


def test_a_group_ahead_of_the_end_is_fine() -> None:
    """As when the end offset was read before the commit."""
    assert status(STALLED, lag=-1) is Status.OK


# Rule 2: silence for longer than the window.


def test_silence_for_as_long_as_the_window_is_no_stop_and_for_longer_is() -> None:
    assert status(SLOW, now=60) is Status.WARN
    assert status(SLOW, now=60.000001) is Status.STOP


def test_the_window_counts_from_its_first_to_its_last_commit() -> None:
    table: Table = [(100, 0, 10), (130, 1, 40)]
    assert status(table, now=2) is Status.WARN
    assert status(table, now=2.5) is Status.STOP


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([131, 140, 170], Status.STOP),
        ([130, 140, 170], Status.WARN),
        ([129, 140, 170], Status.WARN),
        ([170, 140, 130], Status.WARN),
        ([], Status.STOP),
    ],
)
def test_a_silent_group_that_was_at_an_end_lately_has_not_stopped(
    ends: list[int], expected: Status
) -> None:
    """It had nothing to commit: what it has not read came only now."""
    assert status(SLOW, now=1000, ends=ends) is expected


def test_it_is_the_last_commit_that_must_have_been_at_an_end() -> None:
    table: Table = [(150, 0, 10), (130, 10, 30)]
    assert status(table, now=1000, ends=[150]) is Status.STOP


def test_a_stop_goes_before_a_rewind_and_before_a_lag_that_was_nothing() -> None:
    assert status([(200, 0, 0), (100, 10, 100)], now=1000) is Status.STOP


def test_a_silent_group_at_an_end_is_judged_by_the_other_rules() -> None:
    assert status([(200, 0, 9), (100, 10, 100)], now=1000, ends=[100]) is Status.REWIND
    assert status(STALLED, now=1000, ends=[100]) is Status.STALL
    assert status([(100, 0, 0), (100, 10, 9)], now=1000, ends=[100]) is Status.OK


def test_a_clock_behind_that_of_the_commits_is_no_silence() -> None:
    assert status(SLOW, now=-1000) is Status.WARN


# Rule 3: back to where it was before.


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([100, 110, 120, 119], Status.REWIND),
        ([120, 100, 110, 119], Status.REWIND),
        ([120, 100, 110, 120], Status.WARN),
        ([120, 100, 121, 130], Status.WARN),
        ([120, 100, 120, 110], Status.REWIND),  # back to the first, and then below it again
        ([120, 100, 130, 125], Status.REWIND),  # of two rewinds the second stays
        ([130, 120, 110, 120], Status.REWIND),  # of two rewinds the first stays
        ([120, 110, 130, 130], Status.WARN),
        ([100, 100, 110, 110], Status.WARN),
    ],
)
def test_a_rewind_is_one_unless_a_later_commit_gets_back(
    offsets: list[int], expected: Status
) -> None:
    table = [(offset, at * 10, 10 + at) for at, offset in enumerate(offsets)]
    assert status(table) is expected


def test_a_rewind_goes_before_a_lag_that_was_nothing() -> None:
    assert status([(120, 0, 0), (100, 30, 20)]) is Status.REWIND


# Rule 4: it was there once.


def test_a_lag_in_the_window_of_what_is_allowed_is_fine_and_one_more_is_not() -> None:
    for allowed in (0, 5):
        for first in (allowed, allowed + 1):
            table: Table = [(100, 0, first), (100, 10, 20), (100, 20, 30)]
            expected = Status.OK if first == allowed else Status.STALL
            assert status(table, allowed=allowed) is expected


def test_an_unknown_lag_is_none_that_was_nothing() -> None:
    assert status([(100, 0, None), (100, 10, 20), (100, 20, 30)]) is Status.STALL


# Rule 5: it commits and does not move.


def test_commits_of_one_offset_are_a_stall_though_the_lag_falls() -> None:
    """As where records behind it expire."""
    assert status([(100, 0, 30), (100, 10, 20), (100, 20, 10)]) is Status.STALL


def test_a_single_step_is_no_stall() -> None:
    assert status([(100, 0, 30), (100, 10, 30), (101, 20, 30)]) is Status.WARN
    assert status([(99, 0, 30), (100, 10, 30), (100, 20, 30)]) is Status.WARN


# Rule 6: it moves and does not catch up.


@pytest.mark.parametrize(
    ("lags", "expected"),
    [
        ([10, 20, 30, 40], Status.WARN),
        ([10, 10, 10, 10], Status.WARN),
        ([10, 20, 19, 40], Status.OK),
        ([40, 39, 50, 60], Status.OK),
        ([10, 20, 30, 29], Status.OK),
        ([10, None, None, 40], Status.WARN),
        ([40, None, None, 39], Status.OK),
        ([None, 40, 39, None], Status.OK),
        ([None, None, None, 40], Status.WARN),
        ([None, None, None, None], Status.WARN),
    ],
)
def test_a_lag_that_never_fell_is_a_warning(lags: list[int | None], expected: Status) -> None:
    """Between commits whose lag is known; equal is not fallen."""
    table = [(100 + at, at * 10, lag) for at, lag in enumerate(lags)]
    assert status(table) is expected


# Groups.


@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        ([], Status.NOTFOUND),
        ([Status.OK, Status.OK], Status.OK),
        ([Status.OK, Status.WARN], Status.WARN),
        ([Status.STOP, Status.OK], Status.ERR),
        ([Status.WARN, Status.STALL], Status.ERR),
        ([Status.REWIND, Status.OK], Status.ERR),
    ],
)
def test_a_group_is_as_its_worst_partition(partitions: list[Status], expected: Status) -> None:
    assert group_status(partitions) is expected


def test_the_numbers_are_burrows() -> None:
    assert {one.name: one.value for one in Status} == {
        "NOTFOUND": 0,
        "OK": 1,
        "WARN": 2,
        "ERR": 3,
        "STOP": 4,
        "STALL": 5,
        "REWIND": 6,
    }


# Windows.


def test_a_window_keeps_the_last_commits_and_ends() -> None:
    window = Window(intervals=3)
    for commit in commits(SLOW):
        window.add(commit)
    for end in (110, 130, 150, 170):
        window.add_end(end)
    assert window.commits == tuple(commits(SLOW)[1:])
    assert window.ends == (130, 150, 170)


def test_a_window_has_ten_intervals_by_default() -> None:
    window = Window()
    for at in range(20):
        window.add(Commit(at, at, None))
        window.add_end(at)
    assert len(window.commits) == len(window.ends) == 10


def test_the_same_end_offset_again_is_another_look() -> None:
    window = Window(intervals=3)
    for _ in range(3):
        window.add_end(100)
    assert window.ends == (100, 100, 100)


def test_the_same_offset_again_at_another_time_is_another_commit() -> None:
    window = Window()
    for commit in commits(STALLED):
        window.add(commit)
    assert window.commits == tuple(commits(STALLED))


def test_a_commit_that_is_read_again_keeps_the_lag_of_its_time() -> None:
    window = Window()
    window.add(Commit(100, _START, 10))
    window.add(Commit(100, _START, 500))
    assert window.commits == (Commit(100, _START, 10),)


def test_a_commit_older_than_a_whole_window_is_none_of_its_own() -> None:
    window = Window(intervals=3)
    for commit in commits(SLOW):
        window.add(commit)
    window.add(commits(SLOW)[0])
    assert window.commits == tuple(commits(SLOW)[1:])


times = st.integers(0, 15)
lags = st.none() | st.integers(-2, 8)
some_commits = st.lists(st.builds(Commit, st.integers(0, 8), times, lags), max_size=12)


@given(some_commits, st.randoms(use_true_random=False))
def test_a_window_is_the_same_whatever_the_order_and_the_repetitions(
    given_commits: list[Commit], random: object
) -> None:
    distinct = {(one.time, one.offset): one for one in given_commits}
    in_order = [distinct[key] for key in sorted(distinct)]
    again = [*distinct.values(), *distinct.values()]
    getattr(random, "shuffle")(again)  # noqa: B009
    window = Window(intervals=5)
    for commit in again:
        window.add(commit)
    assert window.commits == tuple(in_order[-5:])


# All of it, against the rules read word by word.


def by_the_words(
    table: list[Commit], ends: list[int], now: int, lag: int, allowed: int, complete: float
) -> str:
    rules: list[tuple[str, Callable[[], bool]]] = [
        ("OK", lambda: table == []),
        ("OK", lambda: len(table) / 10 < complete),
        ("OK", lambda: lag <= allowed),
        ("STOP", lambda: stopped(table, ends, now)),
        ("REWIND", lambda: rewound([one.offset for one in table])),
        ("OK", lambda: bool({one.lag for one in table} & {None, *range(-9, allowed + 1)} - {None})),
        ("STALL", lambda: len({one.offset for one in table}) == 1),
        ("WARN", lambda: not fallen([one.lag for one in table if one.lag is not None])),
        ("OK", lambda: True),
    ]
    return next(name for name, holds in rules if holds())


def stopped(table: list[Commit], ends: list[int], now: int) -> bool:
    caught_up = [end for end in ends if not end > table[-1].offset]
    return not caught_up and now > 2 * table[-1].time - table[0].time


def rewound(offsets: list[int]) -> bool:
    for at in range(1, len(offsets)):
        back = [later for later in offsets[at + 1 :] if later >= offsets[at - 1]]
        if offsets[at] < offsets[at - 1] and not back:
            return True
    return False


def fallen(known: list[int]) -> bool:
    return known != sorted(known)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Commit], list[int], int, int, int, float]:
    """Mostly such that the first rules say nothing, and near to where each begins to hold."""
    moves = draw(st.sampled_from([(0,), (0, 1, 2), (-2, -1, 0, 1, 2)]))
    steps = st.tuples(st.integers(0, 3), st.sampled_from(moves))
    offset, time, allowed = 50, 0, draw(st.integers(0, 2))
    known = draw(st.sampled_from([(3, 4, 5), (1, 2, 3, 4)]))
    lags = st.sampled_from([None, *known])
    rising = draw(st.booleans())
    table: list[Commit] = []
    for elapsed, move in draw(st.lists(steps, max_size=INTERVALS)):
        time, offset = time + elapsed, offset + move
        table.append(Commit(offset, time, draw(lags)))
    if rising:
        ordered = sorted(one.lag for one in table if one.lag is not None)
        table = [one._replace(lag=None if one.lag is None else ordered.pop(0)) for one in table]
    ends = [offset + beyond for beyond in draw(st.lists(st.sampled_from([-1, 0, 1, 2, 3])))]
    if draw(st.booleans()):
        ends = [end for end in ends if end > offset]
    now = 2 * time - (table[0].time if table else 0) + draw(st.integers(-2, 2))
    lag = allowed + draw(st.sampled_from([-1, 0, 1, 1, 1, 2]))
    complete = draw(st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.3, 0.7, 1.0]))
    return table, ends, now, lag, allowed, complete


@settings(max_examples=300, deadline=None)
@given(cases())
def test_the_rules_agree_with_a_word_by_word_reading(
    case: tuple[list[Commit], list[int], int, int, int, float],
) -> None:
    assert partition_status(*case).name == by_the_words(*case)

"""Our own states, told from one look: each branch, and each boundary."""

from dataclasses import replace

import pytest

from streams.monitor.model import State
from streams.monitor.states import STUCK_AFTER_S, Facts, hours_left, state_of
from tests.streams.monitor.pictures import NOW, SECOND

_STUCK_AFTER = int(STUCK_AFTER_S * SECOND)
_HOUR_MS = 3_600_000

#: Ten records wait, the first of them for a second; the checkpoint moved a second ago.
WELL = Facts(
    current=90,
    start=0,
    end=100,
    is_same_topic=True,
    owner="faust@host",
    group_state="stable",
    oldest=NOW - SECOND,
    moved=NOW - SECOND,
    rewound_from=None,
    is_ours=True,
)
OLD = NOW - 60 * SECOND
CAUGHT_UP = replace(WELL, current=100, oldest=None, moved=OLD)


def test_what_moves_is_well_and_so_is_what_has_nothing_to_read() -> None:
    assert state_of(WELL, NOW) == State.OK
    assert state_of(CAUGHT_UP, NOW) == State.OK


def test_records_that_wait_before_a_checkpoint_that_stands_are_stuck() -> None:
    for oldest, moved in ((OLD, NOW - _STUCK_AFTER), (NOW - _STUCK_AFTER, OLD)):
        facts = replace(WELL, oldest=oldest, moved=moved)
        assert state_of(facts, NOW) == State.STUCK
        assert state_of(facts, NOW - 1) == State.OK


def test_a_record_whose_age_is_not_known_says_nothing() -> None:
    assert state_of(replace(WELL, oldest=None, moved=OLD), NOW) == State.OK


def test_a_projection_that_nobody_owns_is_dead_whether_or_not_records_wait() -> None:
    assert state_of(replace(WELL, owner=None), NOW) == State.DEAD
    assert state_of(replace(CAUGHT_UP, owner=None), NOW) == State.DEAD


@pytest.mark.parametrize(
    "doing", ["preparing_rebalance", "completing_rebalance", "assigning", "reconciling"]
)
def test_while_partitions_are_given_out_nobody_needs_to_own_them(doing: str) -> None:
    assert state_of(replace(WELL, owner=None, group_state=doing), NOW) == State.OK


def test_others_may_read_without_being_members_as_long_as_they_move() -> None:
    others = replace(WELL, owner=None, is_ours=False, group_state="empty")
    assert state_of(others, NOW) == State.OK
    assert state_of(replace(others, current=100, oldest=None, moved=OLD), NOW) == State.OK
    assert state_of(replace(others, oldest=OLD, moved=OLD), NOW) == State.DEAD


def test_a_checkpoint_below_the_start_of_the_log_has_lost_records() -> None:
    assert state_of(replace(WELL, start=90), NOW) == State.OK
    assert state_of(replace(WELL, start=91), NOW) == State.LOST
    assert state_of(replace(WELL, start=91, owner=None, oldest=OLD, moved=OLD), NOW) == State.LOST


def test_a_checkpoint_behind_the_end_of_the_log_is_of_another_log() -> None:
    assert state_of(replace(WELL, current=101), NOW) == State.BEYOND
    assert state_of(replace(WELL, current=100, oldest=None), NOW) == State.OK


def test_a_topic_that_was_made_anew_goes_before_all_else() -> None:
    assert state_of(replace(WELL, is_same_topic=False, current=500, owner=None), NOW) == State.ANEW


def test_a_checkpoint_that_went_back_says_so_until_it_is_where_it_was() -> None:
    assert state_of(replace(WELL, rewound_from=95), NOW) == State.REWOUND
    stands = replace(WELL, rewound_from=95, oldest=OLD, moved=OLD)
    assert state_of(stands, NOW) == State.STUCK


def test_hours_until_loss_are_what_retention_leaves_of_the_first_record_that_waits() -> None:
    appended = NOW - 3600 * SECOND
    assert hours_left(appended, 3 * _HOUR_MS, NOW) == 2.0
    assert hours_left(appended, _HOUR_MS, NOW) == 0.0
    assert hours_left(appended, _HOUR_MS // 2, NOW) == 0.0


def test_what_is_kept_for_ever_and_what_does_not_wait_is_not_lost() -> None:
    assert hours_left(OLD, -1, NOW) is None
    assert hours_left(None, _HOUR_MS, NOW) is None

"""How long a holder trusts itself, against when a broker would take its lease away."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.fence import MARGIN, REBALANCE, SESSION, Fence

#: Seconds: a pause before a heartbeat is sent, its way to the broker, the way of the answer.
#: Mostly such that the session goes on, so that there is a long way to judge.
duration = st.one_of(st.floats(0, SESSION / 3), st.floats(0, SESSION / 3), st.floats(0, SESSION))
beats = st.lists(st.tuples(duration, duration, duration), min_size=1, max_size=20)


class Broker:
    """Handles heartbeats as they come, and knows when it takes the member out of the group."""

    def __init__(self) -> None:
        self.now = 0.0
        self.expires = SESSION

    def handles(self, fence: Fence, beat: tuple[float, float, float], *, stable: bool) -> bool:
        """One heartbeat from its sending to its answer; False once the member is unknown."""
        pause, there, back = beat
        sent = self.now + pause
        handled = sent + there
        if handled >= self.expires:
            return False
        self.expires = handled + SESSION
        self.now = handled + back
        fence.heartbeat(sent, self.now, stable=stable)
        return True


def assigned() -> Fence:
    fence = Fence()
    fence.assign(0.0, assigned=True)
    return fence


def test_nothing_is_held_before_the_first_answered_heartbeat() -> None:
    assert not assigned().holds(0.0)


@given(beats)
def test_trust_ends_a_margin_before_the_session_does(way: list[tuple[float, float, float]]) -> None:
    fence, broker = assigned(), Broker()
    for beat in way:
        if not broker.handles(fence, beat, stable=True):
            break
        assert fence.until <= broker.expires - MARGIN


@given(beats, beats)
def test_trust_ends_before_a_rebalance_goes_on_without_the_member(
    before: list[tuple[float, float, float]], during: list[tuple[float, float, float]]
) -> None:
    """The rebalance begins right after the last heartbeat that was answered as in a stable group.

    The member is heard all the time, but its request to join never comes.
    """
    fence, broker = assigned(), Broker()
    for beat in before:
        if not broker.handles(fence, beat, stable=True):
            return
    begun = broker.expires - SESSION
    for beat in during:
        if not broker.handles(fence, beat, stable=False):
            break
        assert fence.until <= min(broker.expires, begun + REBALANCE) - MARGIN


@given(beats, beats, beats)
def test_a_joined_rebalance_gives_time_for_the_next_from_its_end_on(
    before: list[tuple[float, float, float]],
    during: list[tuple[float, float, float]],
    after: list[tuple[float, float, float]],
) -> None:
    """The rebalance ends right after a heartbeat; the next begins, or the sync is missed, then."""
    fence, broker = assigned(), Broker()
    for phase, stable in ((before, True), (during, False)):
        for beat in phase:
            if not broker.handles(fence, beat, stable=stable):
                return
    ended = broker.expires - SESSION
    fence.joined(broker.now)
    for beat in after:
        assert fence.until <= min(broker.expires, ended + REBALANCE) - MARGIN
        if not broker.handles(fence, beat, stable=False):
            break


@given(beats)
def test_trust_that_ended_counts_as_a_lapse_though_nobody_looked(
    way: list[tuple[float, float, float]],
) -> None:
    fence, broker = assigned(), Broker()
    seen: list[tuple[float, float, int]] = []
    for beat in way:
        if not broker.handles(fence, beat, stable=True):
            break
        seen.append((broker.now, fence.until, fence.lapses))
    for (_, until, lapses), (answered, _, lapses_then) in pairwise(seen):
        assert (lapses_then > lapses) == (answered >= until)


def test_a_lease_that_goes_to_another_or_is_dropped_lapses() -> None:
    fence = assigned()
    fence.heartbeat(1.0, 1.0, stable=True)
    assert fence.holds(1.0)
    fence.assign(1.5, assigned=False)
    assert (fence.holds(1.5), fence.lapses) == (False, 2)
    fence.assign(2.0, assigned=True)
    assert fence.holds(2.0)
    fence.drop()
    assert (fence.holds(2.0), fence.lapses) == (False, 3)


def test_an_assignment_that_is_confirmed_by_a_rebalance_is_no_lapse() -> None:
    fence = assigned()
    fence.heartbeat(1.0, 1.0, stable=True)
    lapses = fence.lapses
    fence.heartbeat(1.5, 1.5, stable=False)
    fence.joined(1.6)
    fence.assign(1.7, assigned=True)
    fence.heartbeat(1.8, 1.8, stable=True)
    assert fence.lapses == lapses
    assert fence.holds(1.9)

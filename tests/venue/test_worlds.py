"""The world is the same for the same seed, and the venue knows it as it happened."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.simulated.kalshi.orders import ZERO, other
from streams.simulated.kalshi.venue.messages import Message
from tests.venue.truth import BookState
from tests.venue.world import World

SEEDS = st.integers(0, 10_000)


def said(seed: int, steps: int) -> list[Message]:
    world = World(seed)
    messages: list[Message] = []
    world.venue.listen(messages.append)
    world.step(steps)
    return messages


def test_the_same_seed_says_the_same_and_another_seed_does_not() -> None:
    assert said(3, 40) == said(3, 40)
    assert said(3, 40) != said(4, 40)


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_the_changes_of_a_book_add_up_to_its_states_and_to_the_venues_own(seed: int) -> None:
    world = World(seed)
    world.step(40)
    for ticker, changes in world.truth.changes.items():
        sizes: dict[str, dict[Decimal, Decimal]] = {"yes": {}, "no": {}}
        states: dict[int, BookState] = {}
        for change in changes:
            level = sizes[change.side]
            level[change.price] = level.get(change.price, ZERO) + change.delta
            assert level[change.price] >= 0
            states[change.clock] = BookState.of(sizes)
        assert states == world.truth.books[ticker]
        depth = world.venue.markets[ticker].depth
        assert BookState(tuple(depth.bids("yes")), tuple(depth.bids("no"))) == world.truth.book(
            ticker
        )


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_a_book_is_never_crossed_and_its_clock_never_falls(seed: int) -> None:
    world = World(seed)
    world.step(40)
    for states in world.truth.books.values():
        assert list(states) == sorted(states)
        for state in states.values():
            if state.yes and state.no:
                assert state.yes[-1][0] + state.no[-1][0] < 1


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_the_account_adds_up(seed: int) -> None:
    world = World(seed)
    world.step(20)
    world.until_close()
    world.step(20)
    truth = world.truth
    net: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for (subaccount, _), fill in truth.fills.items():
        net[subaccount, fill.ticker] += fill.count if fill.side == "yes" else -fill.count
    for key, positions in truth.positions.items():
        expected = ZERO if key in truth.settlements else net[key]
        assert positions[-1].net == expected
    made = {(one.ticker, one.yes_price, one.count, one.taker) for one in truth.trades.values()}
    for fill in truth.fills.values():
        taker = fill.side if fill.is_taker else other(fill.side)
        assert (fill.ticker, fill.yes_price, fill.count, taker) in made
    for states in truth.orders.values():
        assert states[-1].filled == sum(
            (fill.count for fill in truth.fills.values() if fill.order_id == states[-1].order_id),
            ZERO,
        )


def test_markets_are_listed_opened_determined_and_settled_and_new_ones_follow() -> None:
    world = World(1)
    world.step()
    closing = set(world.markets)
    assert len(closing) == 3
    assert all("." in ticker for ticker in closing)
    assert set(world.truth.listed) - closing, "those of the next hour are listed already"
    world.until_close()
    assert closing <= set(world.truth.resolved) & set(world.truth.settled)
    assert world.markets
    assert not closing & set(world.markets)
    assert len(world.truth.struck) == 2, "the strike of one market an event comes later"
    assert all(world.truth.listed[ticker].floor_strike is None for ticker in world.truth.struck)

"""From looks to lags: ours by checkpoints, others by commits, each exact."""

from collections.abc import Mapping

from projections.base import Partition as Place
from streams.groups import lease_group
from streams.monitor.burrow import Status
from streams.monitor.lag import LagTracker, Look
from streams.monitor.model import Group, Partition, State
from streams.monitor.reading.broker import BrokerReading
from streams.monitor.reading.commits import Committed
from streams.monitor.reading.groups import GroupDescription
from streams.monitor.reading.tables import Checkpoint, Standing
from tests.streams.monitor.pictures import NOW, SECOND

TICKS = Place("price.ticks", 0)
OTHER = Place("orders", 0)
STABLE = GroupDescription("stable", 1, {TICKS: "faust@host", OTHER: "app@host"}, node=1)
WEEK_MS = 7 * 86_400_000


def look(
    second: float = 0.0,
    *,
    bounds: Mapping[Place, tuple[int, int]] | None = None,
    standings: Mapping[str, Standing] | None = None,
    committed: Mapping[str, Mapping[Place, int]] | None = None,
    groups: Mapping[str, GroupDescription] | None = None,
) -> Look:
    found = bounds if bounds is not None else {TICKS: (0, 100), OTHER: (0, 50)}
    broker = BrokerReading(
        ids={"price.ticks": "id-1", "orders": "id-2"},
        leaders=dict.fromkeys(found, 1),
        retention_ms={"price.ticks": WEEK_MS, "orders": -1},
        groups=groups if groups is not None else {"tickertape-prices": STABLE, "app": STABLE},
        committed=committed or {},
    )
    return Look(NOW + int(second * SECOND), second, broker, found, standings)


def at(offset: int, *, generation: int = 1, topic_id: str = "id-1") -> dict[str, Standing]:
    checkpoint = Checkpoint(topic_id, offset, NOW - SECOND)
    return {"prices": Standing(generation, {TICKS: checkpoint})}


def group(groups: list[Group], name: str = "tickertape-prices") -> Group:
    return next(one for one in groups if one.name == name)


def partition(groups: list[Group], name: str = "tickertape-prices") -> Partition:
    [found] = group(groups, name).partitions
    return found


def test_ours_are_measured_by_their_checkpoints_whatever_they_copied_to_kafka() -> None:
    seen = look(standings=at(90), committed={"tickertape-prices": {TICKS: 20}})
    assert look(standings=at(90)).wanted() == {(TICKS, 90)}
    found = partition(LagTracker().groups(seen, {(TICKS, 90): NOW // 1000 - 2500}))
    assert (found.current, found.lag, found.lag_s) == (90, 10, 2.5)
    assert (found.owner, found.moved) == ("faust@host", NOW - SECOND)
    assert found.hours_left is not None
    assert round(found.hours_left, 3) == round(7 * 24 - 2.5 / 3600, 3)


def test_what_has_caught_up_is_zero_seconds_behind() -> None:
    found = partition(LagTracker().groups(look(standings=at(100)), {}))
    assert (found.lag, found.lag_s, found.hours_left) == (0, 0.0, None)


def test_an_age_that_could_not_be_read_is_not_known() -> None:
    found = LagTracker().groups(look(standings=at(90)), {})
    assert (partition(found).lag_s, group(found).lag_s) == (None, None)


def test_a_partition_that_was_never_claimed_is_read_from_the_start_of_its_log() -> None:
    seen = look(bounds={TICKS: (40, 100)}, standings={"prices": Standing(1, {})})
    assert seen.wanted() == {(TICKS, 40)}
    found = partition(LagTracker().groups(seen, {}))
    assert (found.current, found.lag, found.state) == (40, 60, State.OK)


def test_offsets_are_asked_only_of_groups_that_may_commit_any() -> None:
    names = ["tickertape-prices", lease_group("monitor"), "app", "tickertape-of-somebody"]
    groups = dict.fromkeys(names, STABLE)
    assert look(groups=groups).broker.others == ["app", "tickertape-of-somebody"]


def test_records_that_were_deleted_do_not_count_as_lag() -> None:
    seen = look(bounds={TICKS: (95, 100)}, standings=at(90))
    found = partition(LagTracker().groups(seen, {}))
    assert (found.lag, found.state) == (5, State.LOST)


def test_without_the_database_nothing_is_said_of_ours() -> None:
    assert LagTracker().groups(look(), {}) == []


def test_a_checkpoint_of_another_topic_of_that_name_is_told() -> None:
    found = partition(LagTracker().groups(look(standings=at(90, topic_id="id-0")), {}))
    assert found.state == State.ANEW


def test_a_checkpoint_that_goes_back_is_told_until_it_is_where_it_was() -> None:
    tracker = LagTracker()
    states = [
        partition(tracker.groups(look(second, standings=at(offset)), {})).state
        for second, offset in enumerate((90, 50, 60, 89, 90))
    ]
    rewound = State.REWOUND
    assert states == [State.OK, rewound, rewound, rewound, State.OK]


def test_another_generation_may_begin_anywhere() -> None:
    tracker = LagTracker()
    tracker.groups(look(0, standings=at(90)), {})
    found = partition(tracker.groups(look(1, standings=at(50, generation=2)), {}))
    assert found.state == State.OK


def test_others_are_measured_by_what_they_committed() -> None:
    found = LagTracker().groups(look(committed={"app": {OTHER: 30}}), {(OTHER, 30): NOW // 1000})
    one = partition(found, "app")
    assert (one.current, one.lag, one.lag_s, one.owner) == (30, 20, 0.0, "app@host")
    assert (one.hours_left, group(found, "app").projection) == (None, None)


def commit(second: float, offset: int | None) -> Committed:
    return Committed("app", "orders", 0, offset, NOW + int(second * SECOND))


def test_the_times_of_others_commits_say_how_long_they_stand() -> None:
    tracker = LagTracker()
    committed = {"app": {OTHER: 30}}
    tracker.commits([commit(0, 30), commit(3, 30), commit(6, 30)], look().bounds)
    ages = {(OTHER, 30): NOW // 1000 - 60_000}
    found = partition(tracker.groups(look(6.5, committed=committed), ages), "app")
    assert (found.moved, found.state) == (NOW, State.STUCK)


def test_burrows_status_is_told_of_the_commits_as_soon_as_there_are_two() -> None:
    tracker = LagTracker()
    committed = {"app": {OTHER: 30}}
    tracker.commits([commit(0, 40)], look().bounds)
    assert partition(tracker.groups(look(0.5, committed=committed), {}), "app").burrow == Status.OK
    tracker.commits([commit(1, 30)], look().bounds)
    found = tracker.groups(look(1.5, committed=committed), {})
    assert (partition(found, "app").burrow, group(found, "app").burrow) == (
        Status.REWIND,
        Status.ERR,
    )


def test_a_group_that_is_deleted_is_forgotten() -> None:
    tracker = LagTracker()
    committed = {"app": {OTHER: 30}}
    tracker.commits([commit(0, 40), commit(1, 30)], look().bounds)
    tracker.groups(look(1, committed=committed), {})
    assert tracker.groups(look(2), {}) == []
    found = partition(tracker.groups(look(3, committed=committed), {}), "app")
    assert (found.burrow, found.moved) == (Status.OK, None)


def test_a_topic_that_is_gone_is_no_part_of_the_lag() -> None:
    committed = {"app": {OTHER: 30, Place("gone", 0): 5}}
    assert group(LagTracker().groups(look(committed=committed), {}), "app").lag == 20


def test_the_pace_of_a_group_is_that_of_its_checkpoints() -> None:
    tracker = LagTracker()
    tracker.groups(look(0, standings=at(0), bounds={TICKS: (0, 1000)}), {})
    found = group(tracker.groups(look(2, standings=at(600), bounds={TICKS: (0, 1200)}), {}))
    assert (found.consumed, found.arriving, found.catch_up_s) == (300.0, 100.0, 3.0)

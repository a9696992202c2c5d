"""A lease on the real broker: candidates in processes of their own, killed, frozen, restarted.

Every process tells by one clock, that of the machine, from when to when it was active.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import NoError, RebalanceInProgressError, for_code
from aiokafka.protocol.group import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from confluent_kafka.admin import AdminClient
from hypothesis import given
from hypothesis import strategies as st

from streams.embedded import kafka
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.errors import UserError
from streams.events import system_health
from streams.fence import REBALANCE, SESSION, clock
from streams.groups import lease_group
from streams.lease import Lease
from streams.membership import NO_CLAIM, PROTOCOL, award, claim_of, metadata
from streams.settings import Endpoints
from tests.streams.candidates import PATIENCE, Candidates, until

pytestmark = pytest.mark.long


@pytest.fixture
def candidates(brokers: str) -> Iterator[Candidates]:
    made = Candidates(brokers)
    yield made
    made.end()


def test_a_standby_takes_over_from_a_killed_holder(candidates: Candidates) -> None:
    holder, standby = candidates.start_active(), candidates.start()
    until(lambda: candidates.members() == 2)
    killed = holder.kill()
    taken = standby.wait_until_active()
    print(f"kill -9 to takeover: {taken - killed:.2f} s")
    candidates.check()
    assert holder.intervals()[0].trusted < taken, "the holder stops before the broker gives away"


def test_a_standby_takes_over_from_a_holder_that_stops(candidates: Candidates) -> None:
    holder, standby = candidates.start_active(), candidates.start()
    until(lambda: candidates.members() == 2)
    stopped = holder.terminate()
    taken = standby.wait_until_active()
    print(f"clean stop to takeover: {taken - stopped:.2f} s")
    candidates.check()
    assert taken < holder.intervals()[0].trusted, "nobody waited for the session to end"


def test_a_frozen_holder_sees_at_its_first_check_that_it_lost_the_lease(
    candidates: Candidates,
) -> None:
    holder, standby = candidates.start_active(), candidates.start()
    until(lambda: candidates.members() == 2)
    holder.freeze()
    taken = standby.wait_until_active()
    thawed = holder.thaw()
    until(lambda: holder.times("lost"))
    assert holder.times("lost")[0] < thawed
    interval = holder.intervals()[0]
    assert interval.trusted < taken, "it stopped trusting itself before the broker gave it away"
    until(lambda: candidates.members() == 2)
    assert standby.is_active, "who comes back gets nothing back"
    assert not holder.is_active
    candidates.check()


def test_a_holder_frozen_while_nobody_waits_loses_the_lease_all_the_same(
    candidates: Candidates,
) -> None:
    """It gets it back at once, but must not go on as if nothing had happened."""
    holder = candidates.start_active()
    holder.freeze()
    time.sleep(SESSION + 1)
    thawed = holder.thaw()
    until(lambda: len(holder.times("acquired")) == 2)
    assert holder.times("lost")[0] < thawed < holder.times("acquired")[1]
    candidates.check()


def test_the_holder_keeps_the_lease_while_standbys_come_and_go(candidates: Candidates) -> None:
    """The worst for it: one joins while the broker still waits for one that is dead."""
    holder = candidates.start_active()
    first, second = candidates.start(), candidates.start()
    until(lambda: candidates.members() == 3)
    first.terminate()
    until(lambda: candidates.members() == 2)
    second.kill()
    third = candidates.start()
    until(lambda: candidates.members() == 2)
    third.terminate()
    until(lambda: candidates.members() == 1)
    assert holder.is_active
    assert [len(one.intervals()) for one in candidates.all] == [1, 0, 0, 0]
    candidates.check()


def test_in_a_rolling_restart_of_three_exactly_one_is_active(candidates: Candidates) -> None:
    fleet = [candidates.start_active(), candidates.start(), candidates.start()]
    until(lambda: candidates.members() == 3)
    for number in range(3):
        fleet[number].terminate()
        fleet[number] = candidates.start()
        until(lambda: candidates.members() == 3)
        until(lambda: len(candidates.active()) == 1)
    candidates.check()
    for before, after in pairwise(candidates.intervals()):
        print(f"without a holder: {after.begin - before.end:.2f} s")


@pytest.mark.chaos
def test_kills_freezes_and_stops_at_random_never_make_two_active(candidates: Candidates) -> None:
    """Five candidates, at least one of which goes on, through forty faults."""
    import random

    chance = random.Random(5)
    fleet = [candidates.start() for _ in range(5)]
    for _ in range(40):
        victim = chance.choice(fleet)
        match chance.choice(["kill", "terminate", "freeze", "blink"]):
            case "kill":
                victim.kill()
            case "terminate":
                victim.terminate()
            case how:
                victim.freeze()
                time.sleep(chance.uniform(4, 9) if how == "freeze" else chance.uniform(0, 2))
                victim.thaw()
        if victim.process.poll() is not None:
            fleet.remove(victim)
            fleet.append(candidates.start())
        time.sleep(chance.uniform(0, 3))
    until(lambda: len(candidates.active()) == 1)
    candidates.check()


def restart_broker(home: Home, away: float) -> Candidates:
    """Two candidates before, during and after the time without a broker."""
    brokers = embedded.start(home.path, with_postgres=False).brokers
    candidates = Candidates(brokers)
    try:
        holder = candidates.start_active()
        candidates.start()
        until(lambda: candidates.members() == 2)
        kafka.stop(home)
        down = clock()
        if away > SESSION:
            until(lambda: holder.times("lost"))
            print(f"broker away: the holder stopped after {holder.times('lost')[0] - down:.2f} s")
        time.sleep(max(0.0, away - (clock() - down)))
        assert len(candidates.active()) == (0 if away > SESSION else 1)
        embedded.start(home.path, with_postgres=False)
        up = clock()
        until(lambda: len(candidates.active()) == 1)
        until(lambda: candidates.members() == 2)
        print(f"broker back to a holder: {candidates.intervals()[-1].begin - up:.2f} s")
        candidates.check()
    finally:
        candidates.end()
    return candidates


def test_without_a_broker_nobody_is_active_and_one_is_when_it_is_back(own_home: Home) -> None:
    candidates = restart_broker(own_home, away=SESSION + 3)
    assert len(candidates.intervals()) >= 2


@pytest.mark.chaos
def test_a_broker_away_for_less_than_a_session_makes_no_two_active(own_home: Home) -> None:
    restart_broker(own_home, away=0.0)


# In this process


@pytest.fixture
def endpoints(brokers: str) -> Endpoints:
    return Endpoints(brokers, {}, "", True, True)


@pytest.fixture
def name() -> str:
    return f"own {secrets.token_hex(4)}"


async def test_a_lease_is_held_from_its_acquisition_to_its_end(
    endpoints: Endpoints, name: str
) -> None:
    async with asyncio.timeout(PATIENCE):
        async with Lease(endpoints, name) as lease:
            assert not lease.held
            await lease.acquired()
            assert lease.held
            await lease.acquired()  # returns at once
            waiting = asyncio.create_task(lease.lost())
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert not lease.held
        await waiting


def block_the_loop() -> None:
    time.sleep(SESSION)


async def test_the_loss_is_told_to_who_waits_for_it_while_the_holder_works(
    endpoints: Endpoints, name: str
) -> None:
    async with asyncio.timeout(PATIENCE), Lease(endpoints, name) as lease:
        await lease.acquired()
        waiting = asyncio.create_task(lease.lost())
        await asyncio.sleep(0.1)
        block_the_loop()
        assert not lease.held
        await waiting
        assert not lease.held, "though the broker gives it back at once"
        await lease.acquired()
        assert lease.held


async def test_a_loss_that_nobody_saw_is_seen_at_the_next_check(
    endpoints: Endpoints, name: str
) -> None:
    """The broker took the lease away and gave it back while the holder was busy."""
    async with asyncio.timeout(PATIENCE), Lease(endpoints, name) as lease:
        await lease.acquired()
        lease._fence.drop()
        lease._fence.assign(clock(), assigned=True)
        assert lease._fence.holds(clock())
        assert not lease.held
        await lease.acquired()
        assert lease.held


async def test_leases_of_other_names_do_not_touch_one_another(
    endpoints: Endpoints, name: str
) -> None:
    one, other = Lease(endpoints, name), Lease(endpoints, f"{name}/other")
    async with asyncio.timeout(PATIENCE), one, other:
        await asyncio.gather(one.acquired(), other.acquired())
        assert one.held
        assert other.held


async def test_a_broker_out_of_reach_is_waited_for_and_the_end_is_prompt(name: str) -> None:
    nowhere = Endpoints("127.0.0.1:1", {}, "", False, False)
    async with asyncio.timeout(PATIENCE), Lease(nowhere, name) as lease:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await lease.acquired()
        assert not lease.held


async def test_other_tools_see_who_has_the_lease(endpoints: Endpoints, name: str) -> None:
    async with asyncio.timeout(PATIENCE), Lease(endpoints, name) as lease:
        await lease.acquired()
        group = lease_group(name)
        client = AdminClient({"bootstrap.servers": endpoints.brokers})
        described = await asyncio.to_thread(client.describe_consumer_groups([group])[group].result)
        (member,) = described.members
        (partition,) = member.assignment.topic_partitions
        assert (partition.topic, partition.partition) == ("system.health", 0)


# Names and claims


@given(st.text())
def test_a_groups_name_has_safe_characters_only(name: str) -> None:
    with contextlib.suppress(UnicodeEncodeError):
        group = lease_group(name)
        assert set(group) <= set("0123456789._-%") | {
            chr(n) for n in [*range(65, 91), *range(97, 123)]
        }


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_two_names_are_two_groups(one: str, other: str) -> None:
    assert (lease_group(one) == lease_group(other)) == (one == other)


def test_a_plain_name_stays_as_it_is() -> None:
    assert lease_group("kalshi-books_1.x") == "tickertape-lease-kalshi-books_1.x"
    assert lease_group("a/b~") == "tickertape-lease-a%2Fb%7E"


@given(st.integers(-1, 2**31 - 1))
def test_a_claim_is_read_as_it_was_written(claim: int) -> None:
    assert claim_of(metadata("system.health", claim)) == claim


@given(st.dictionaries(st.text(min_size=1), st.integers(-1, 9), min_size=1))
def test_the_partition_goes_to_the_newest_claim_and_always_to_somebody(
    claims: dict[str, int],
) -> None:
    assert claims[award(claims)] == max(claims.values())
    assert award(claims) == award(dict(reversed(claims.items())))


# What streams/membership.py relies on, of aiokafka 0.14.0 and of the broker


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (AIOKafkaClient.send, ["self", "node_id", "request", "group"]),
        (AIOKafkaClient.bootstrap, ["self"]),
        (AIOKafkaClient.close, ["self"]),
        (
            AIOKafkaClient.coordinator_lookup,
            ["self", "coordinator_type", "coordinator_key"],
        ),
        (
            JoinGroupRequest.__init__,
            [
                "self",
                "group",
                "session_timeout",
                "rebalance_timeout",
                "member_id",
                "group_instance_id",
                "protocol_type",
                "group_protocols",
            ],
        ),
        (
            SyncGroupRequest.__init__,
            [
                "self",
                "group",
                "generation_id",
                "member_id",
                "group_instance_id",
                "group_assignment",
            ],
        ),
        (HeartbeatRequest.__init__, ["self", "group", "generation_id", "member_id"]),
        (LeaveGroupRequest.__init__, ["self", "group", "member_id"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_what_is_called_of_aiokafka_has_the_signature_it_had(
    function: Callable[..., Any], wanted: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == wanted


@pytest.fixture
async def client(endpoints: Endpoints, name: str) -> AsyncIterator[AIOKafkaClient]:
    """Connected to a broker that coordinates the group already: a fresh one has to begin to."""
    async with asyncio.timeout(PATIENCE), Lease(endpoints, name) as lease:
        await lease.acquired()
    client = AIOKafkaClient(bootstrap_servers=endpoints.brokers)
    await client.bootstrap()
    yield client
    await client.close()


def join(
    group: str, member: str, *, protocol: str = PROTOCOL, session: float = SESSION
) -> JoinGroupRequest:
    said = [(protocol, metadata(system_health.TOPIC, NO_CLAIM))]
    times = (int(session * 1000), int(REBALANCE * 1000))
    return JoinGroupRequest(group, *times, member, None, "consumer", said)


async def test_a_group_that_another_program_uses_is_refused_with_a_sentence(
    client: AIOKafkaClient, endpoints: Endpoints, name: str
) -> None:
    group = lease_group(name)
    async with asyncio.timeout(PATIENCE):
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        stranger = (await client.send(node, join(group, "", protocol="range"))).member_id
        await client.send(node, join(group, stranger, protocol="range"))
        async with Lease(endpoints, name) as lease:
            with pytest.raises(UserError, match=r"INCONSISTENT_GROUP_PROTOCOL.*no other program"):
                await lease.acquired()
        await client.send(node, LeaveGroupRequest(group, stranger))


async def test_a_rebalance_that_waits_for_a_dead_standby_costs_the_holder_nothing(
    client: AIOKafkaClient, endpoints: Endpoints, name: str
) -> None:
    """It lasts longer than the holder would trust itself without heartbeats."""
    group = lease_group(name)
    async with asyncio.timeout(PATIENCE), AsyncExitStack() as stack:
        holder = await stack.enter_async_context(Lease(endpoints, name))
        await holder.acquired()
        lost = asyncio.create_task(holder.lost())
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        dead = (await client.send(node, join(group, "", session=7.5))).member_id
        joined = await client.send(node, join(group, dead, session=7.5))
        await client.send(node, SyncGroupRequest(group, joined.generation_id, dead, None, []))
        standbys = [await stack.enter_async_context(Lease(endpoints, name)) for _ in range(5)]
        admin = AdminClient({"bootstrap.servers": endpoints.brokers, "log_level": 0})

        def ready() -> bool:
            described = admin.describe_consumer_groups([group])[group].result()
            names = {member.member_id for member in described.members}
            return dead not in names and len(names) == 6 and described.state.name == "STABLE"

        while not await asyncio.to_thread(ready):
            await asyncio.sleep(0.2)
        assert holder.held
        assert not lost.done()
        assert not any(standby.held for standby in standbys)


async def test_the_broker_answers_a_heartbeat_while_a_join_waits_on_another_connection(
    client: AIOKafkaClient, name: str
) -> None:
    """And a heartbeat then prolongs the session: the member lives longer than one."""
    group = lease_group(name)
    node = await client.coordinator_lookup(CoordinationType.GROUP, group)

    async def named() -> str:
        member: str = (await client.send(node, join(group, ""))).member_id
        return member

    async with asyncio.timeout(PATIENCE):
        holder = await named()
        joined = await client.send(node, join(group, holder))
        await client.send(
            node, SyncGroupRequest(group, joined.generation_id, holder, None, [(holder, b"")])
        )
        other = await named()
        waits = asyncio.create_task(
            client.send(node, join(group, other), group=ConnectionGroup.COORDINATION)
        )
        begun = time.monotonic()
        answers = []
        while time.monotonic() - begun < SESSION + 2:
            await asyncio.sleep(0.5)
            beat = HeartbeatRequest(group, joined.generation_id, holder)
            answers.append(for_code((await client.send(node, beat)).error_code))
        assert not waits.done(), "the rebalance waits for the member that is heard"
        assert set(answers) - {NoError} == {RebalanceInProgressError}
        assert answers[-1] is RebalanceInProgressError
        for member in (holder, other):
            await client.send(node, LeaveGroupRequest(group, member))
        with contextlib.suppress(Exception):
            await waits

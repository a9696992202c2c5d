"""Each fault is what its name says, happens where the script has it, and is written down."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from streams.simulated.kalshi.venue import messages
from streams.simulated.kalshi.venue.limits import Limits
from tests.venue.fake import FakeKalshi
from tests.venue.faults import Faults, Inflicted
from tests.venue.keys import api_key
from tests.venue.schemas import SPECIFICATION, Violation
from tests.venue.talking import PATIENCE, Json, Talk, get, read, talk
from tests.venue.world import World

#: Longer than anything takes that comes at all; for what must not come.
MEANWHILE = 0.3


def fake(faults: Faults, seed: int = 1) -> FakeKalshi:
    world = World(seed, limits=Limits(rate=10**6, capacity=10**6))
    world.step(2)
    return FakeKalshi(world, keys=[api_key()], faults=faults)


async def subscribed(client: Talk, venue: FakeKalshi) -> list[str]:
    """Subscribe to the books of all markets, and read the snapshots."""
    tickers = list(venue.world.markets)
    await client.ask("subscribe", 4, channels=["orderbook_delta"], market_tickers=tickers)
    return tickers


async def deltas(faults: Faults, steps: int = 3) -> list[Json]:
    """The deltas that a client gets; the snapshots have the numbers 1 to 3."""
    async with fake(faults) as venue, talk(venue) as client:
        await subscribed(client, venue)
        await venue.step(steps)
        return await client.until_said()


async def until_closed(client: Talk) -> list[Json]:
    """The frames that come before the connection ends."""
    frames: list[Json] = []
    with suppress(ConnectionClosed):
        while True:
            frames.append(await client.frame())
    return frames


def numbers(frames: list[Json]) -> list[int]:
    return [frame["seq"] for frame in frames]


async def test_a_skipped_frame_leaves_a_gap_in_the_numbers() -> None:
    faults = Faults()
    faults.at_frame(2, "orderbook_delta", "skip", times=2)
    found = numbers(await deltas(faults))
    assert found == [4, *range(7, 5 + len(found) + 1)]
    assert faults.inflicted == [
        Inflicted("frame orderbook_delta", number, "skip") for number in (2, 3)
    ]


async def test_a_repeated_frame_comes_twice() -> None:
    faults = Faults()
    faults.at_frame(2, "orderbook_delta", "repeat")
    frames = await deltas(faults)
    assert numbers(frames)[:4] == [4, 5, 5, 6]
    assert frames[1] == frames[2]


async def test_a_reordered_frame_comes_after_the_next_of_its_type() -> None:
    faults = Faults()
    faults.at_frame(2, "orderbook_delta", "reorder")
    found = numbers(await deltas(faults))
    assert found[:4] == [4, 6, 5, 7]
    assert sorted(found) == list(range(4, 4 + len(found)))


async def test_a_delayed_frame_comes_all_the_same() -> None:
    faults = Faults()
    faults.at_frame(2, "orderbook_delta", "delay")
    found = numbers(await deltas(faults))
    assert found == list(range(4, 4 + len(found)))


@pytest.mark.parametrize("seed", range(5))
async def test_garbage_cannot_be_read(seed: int) -> None:
    faults = Faults(seed=seed)
    faults.at_frame(1, "orderbook_delta", "garbage")
    async with fake(faults) as venue, talk(venue) as client:
        await subscribed(client, venue)
        await venue.step()
        with pytest.raises(orjson.JSONDecodeError):
            await client.frame()
        assert (await client.frame())["seq"] == 5


async def test_a_huge_frame_has_five_megabytes() -> None:
    faults = Faults()
    faults.at_frame(1, "orderbook_delta", "huge")
    frames = await deltas(faults)
    assert len(orjson.dumps(frames[0])) > 5_000_000
    assert frames[0]["seq"] == 4
    assert max(len(orjson.dumps(frame)) for frame in frames[1:]) < 1_000


async def test_a_dripped_frame_comes_whole() -> None:
    faults = Faults()
    faults.at_frame(1, "orderbook_delta", "drip")
    found = numbers(await deltas(faults, steps=1))
    assert found == list(range(4, 4 + len(found)))


@pytest.mark.parametrize("fault", ["disconnect", "half"])
async def test_a_connection_ends_at_a_frame_or_in_the_middle_of_it(fault: Any) -> None:
    faults = Faults()
    faults.at_frame(3, "orderbook_delta", fault)
    async with fake(faults) as venue:
        async with talk(venue) as client:
            await subscribed(client, venue)
            await venue.step(3)
            # A cut connection may lose what was sent before as well.
            assert numbers(await until_closed(client)) in ([], [4], [4, 5])
            assert client.socket.close_code == 1006
        async with talk(venue) as client:
            await subscribed(client, venue)


async def is_silent(client: Talk) -> bool:
    """Whether not even a command is answered."""
    await client.send("list_subscriptions")
    try:
        async with asyncio.timeout(MEANWHILE):
            await client.socket.recv()
    except TimeoutError:
        return True
    return False


async def test_a_stalled_connection_stays_and_is_deaf() -> None:
    faults = Faults()
    faults.at_frame(3, "orderbook_delta", "stall")
    async with fake(faults) as venue, talk(venue) as client:
        await subscribed(client, venue)
        await venue.step(3)
        assert numbers(await client.frames(2)) == [4, 5]
        pong = await client.socket.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pong, MEANWHILE)
        assert await is_silent(client)


async def test_a_connection_may_be_silent_and_answer_pings() -> None:
    faults = Faults()
    faults.at_frame(3, "orderbook_delta", "stall_answering")
    async with fake(faults) as venue, talk(venue) as client:
        await subscribed(client, venue)
        await venue.step(3)
        assert numbers(await client.frames(2)) == [4, 5]
        await asyncio.wait_for(await client.socket.ping(), PATIENCE)
        assert await is_silent(client)


@pytest.mark.parametrize(("fault", "code"), [("overflow", 25), ("channel_error", 10)])
async def test_a_terminal_error_ends_the_subscription_alone(fault: Any, code: int) -> None:
    faults = Faults()
    faults.at_frame(2, "orderbook_delta", fault)
    async with fake(faults) as venue, talk(venue) as client:
        tickers = await subscribed(client, venue)
        await venue.step(2)
        frames = await client.until_said()
        (ended,) = [frame for frame in frames if frame["type"] == "error"]
        assert (ended["sid"], ended["msg"]["code"]) == (1, code)
        await venue.step(2)
        assert await client.until_said() == []
        again, *snapshots = await client.ask(
            "subscribe", 4, channels=["orderbook_delta"], market_tickers=tickers
        )
        assert again["msg"]["sid"] == 2
        assert numbers(snapshots) == [1, 2, 3]


async def test_any_frame_can_be_faulty_also_the_answer_to_a_command() -> None:
    faults = Faults()
    faults.at_frame(1, "subscribed", "skip")
    faults.at_frame(2, "orderbook_snapshot", "repeat")
    async with fake(faults) as venue, talk(venue) as client:
        tickers = list(venue.world.markets)
        await client.send("subscribe", channels=["orderbook_delta"], market_tickers=tickers)
        assert numbers(await client.frames(4)) == [1, 2, 2, 3]


async def test_chances_are_seeded_and_bring_every_fault() -> None:
    async def inflicted(seed: int) -> list[Inflicted]:
        faults = Faults(seed=seed, chances={"skip": 0.2, "repeat": 0.2, "reorder": 0.2}, calm=True)
        faults.chances["garbage"] = 0.1
        async with fake(faults) as venue, talk(venue) as client:
            await client.ask("subscribe", channels=["ticker"])
            faults.calm = False
            await venue.step(20)
        return faults.inflicted

    first = await inflicted(1)
    assert first == await inflicted(1)
    assert first != await inflicted(2)
    assert set(Counter(one.fault for one in first)) == {"skip", "repeat", "reorder", "garbage"}


async def test_nothing_goes_wrong_while_it_is_calm() -> None:
    faults = Faults(chances={"skip": 1.0}, reply_chances={"500": 1.0}, calm=True)
    found = numbers(await deltas(faults))
    assert found == list(range(4, 4 + len(found)))
    assert faults.inflicted == []


@pytest.mark.parametrize("status", ["429", "500", "502", "503", "504"])
async def test_a_storm_of_errors_passes(status: Any) -> None:
    faults = Faults()
    faults.at_reply(2, "/markets", status, times=3)
    async with fake(faults) as venue:
        found = [(await get(venue, "/markets")).status_code for _ in range(6)]
        assert found == [200, *[int(status)] * 3, 200, 200]
        assert (await get(venue, "/exchange/status")).status_code == 200


async def test_a_storm_may_hit_every_path() -> None:
    faults = Faults()
    faults.at_reply(1, "*", "503", times=2)
    async with fake(faults) as venue:
        paths = ["/markets", "/exchange/status", "/markets"]
        assert [(await get(venue, path)).status_code for path in paths] == [503, 503, 200]


async def test_a_proxys_page_is_no_reply_of_the_venue() -> None:
    faults = Faults()
    faults.at_reply(1, "/markets", "html")
    async with fake(faults) as venue:
        reply = await get(venue, "/markets")
        assert reply.status_code == 200
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(reply.content)


@pytest.mark.parametrize("fault", ["half", "disconnect"])
async def test_half_a_reply_or_none_breaks_the_request(fault: Any) -> None:
    faults = Faults()
    faults.at_reply(1, "/markets", fault)
    async with fake(faults) as venue:
        with pytest.raises(httpx.TransportError):
            await get(venue, "/markets")
        assert (await read(venue, "/markets"))["markets"]


async def test_a_reply_may_drip_byte_by_byte() -> None:
    faults = Faults()
    faults.at_reply(1, "/exchange/status", "drip")
    async with fake(faults) as venue:
        assert (await read(venue, "/exchange/status"))["trading_active"] is True


async def test_a_reply_that_never_comes_leaves_the_client_waiting() -> None:
    faults = Faults()
    faults.at_reply(1, "/markets", "never")
    async with fake(faults) as venue:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(MEANWHILE):
                await get(venue, "/markets")
        assert (await get(venue, "/markets")).status_code == 200


async def test_an_upgrade_is_refused_by_status_or_by_silence() -> None:
    faults = Faults()
    faults.at_upgrade(1, "503")
    faults.at_upgrade(2, "429")
    faults.at_upgrade(3, "disconnect")
    faults.at_upgrade(4, "never")
    async with fake(faults) as venue:
        headers = api_key().headers("/trade-api/ws/v2")
        for status in (503, 429):
            with pytest.raises(InvalidStatus) as raised:
                await connect(venue.websocket_url, additional_headers=headers)
            assert raised.value.response.status_code == status
        with pytest.raises((InvalidMessage, ConnectionError)):
            await connect(venue.websocket_url, additional_headers=headers)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(MEANWHILE):
                await connect(venue.websocket_url, additional_headers=headers)
        async with talk(venue) as client:
            await client.ask("list_subscriptions")


async def test_all_connections_can_be_cut_at_once() -> None:
    async with fake(Faults()) as venue, talk(venue) as one, talk(venue) as two:
        for client in (one, two):
            await client.ask("subscribe", channels=["ticker"])
        venue.hang_up()
        for client in (one, two):
            await client.gone()


async def converse() -> None:
    """Subscribe to books, and hear of changes."""
    async with fake(Faults()) as venue, talk(venue) as client:
        await subscribed(client, venue)
        await venue.step()


async def test_a_violation_of_the_schemas_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    if not SPECIFICATION.is_dir():
        pytest.skip("no specification: ../shared/samples is absent")
    await converse()
    monkeypatch.setattr(messages, "price", lambda dollars: f"{dollars:.2f}")
    with pytest.raises(Violation, match="level_dollars"):
        await converse()

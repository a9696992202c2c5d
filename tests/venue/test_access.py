"""Who may ask, and how often: signatures, environments, clocks and tokens."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streams.simulated.kalshi.venue.auth import refusal
from streams.simulated.kalshi.venue.limits import Bucket, Limits
from tests.venue.fake import HOUR, FakeKalshi
from tests.venue.keys import ApiKey, api_key
from tests.venue.talking import get, read, talk
from tests.venue.world import World

SOCKET = "/trade-api/ws/v2"
NOW = 1_800_000_000_000_000
PATHS = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1).map("/{}".format)


def details(reply: httpx.Response) -> str:
    error = reply.json()["error"]
    assert error["code"] == "authentication_error"
    text = error["details"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_a_good_signature_of_either_kind_opens_socket_and_portfolio(kind: Any) -> None:
    key = api_key(7, kind)
    async with FakeKalshi(World(1), keys=[key]) as venue:
        assert (await get(venue, "/portfolio/balance", key)).status_code == 200
        async with talk(venue, key) as client:
            (reply,) = await client.ask("subscribe", channels=["trade"])
            assert reply["type"] == "subscribed"


@settings(deadline=None)
@given(PATHS, st.integers(-5_000, 5_000), st.sampled_from(["rsa", "ed25519"]))
def test_a_signature_is_good_for_its_path_and_within_five_seconds(
    path: str, skew: int, kind: Any
) -> None:
    key = api_key(7, kind)
    keys = {key.id: key.public}
    headers = key.headers(path, NOW + skew * 1000)
    assert refusal(keys, headers, path, NOW) is None
    assert refusal(keys, headers, path + "x", NOW) is not None
    for late in (5_001 + skew, -5_001 + skew):
        assert refusal(keys, headers, path, NOW + late * 1000) is not None
    altered = str(int(headers["KALSHI-ACCESS-TIMESTAMP"]) + 1)
    forged = {**headers, "KALSHI-ACCESS-TIMESTAMP": altered}
    assert refusal(keys, forged, path, NOW) is not None


@pytest.mark.parametrize("missing", ["KEY", "TIMESTAMP", "SIGNATURE"])
async def test_each_header_is_needed(missing: str) -> None:
    async with FakeKalshi(World(1), keys=[api_key()]) as venue:
        url = f"{venue.rest_url}/portfolio/balance"
        headers = api_key().headers(urlsplit(url).path)
        del headers[f"KALSHI-ACCESS-{missing}"]
        async with httpx.AsyncClient(timeout=60.0, trust_env=False) as client:
            reply = await client.get(url, headers=headers)
        assert reply.status_code == 401
        assert "missing" in details(reply)


async def refused_upgrade(venue: FakeKalshi, headers: dict[str, str]) -> httpx.Response:
    """The reply to an upgrade that is refused."""
    with pytest.raises(InvalidStatus) as raised:
        await connect(venue.websocket_url, additional_headers=headers)
    response = raised.value.response
    return httpx.Response(response.status_code, content=bytes(response.body))


async def test_the_upgrade_needs_a_signature_also_for_public_channels() -> None:
    async with FakeKalshi(World(1), keys=[api_key()]) as venue:
        reply = await refused_upgrade(venue, {})
        assert reply.status_code == 401
        assert "missing" in details(reply)
        wrong = await refused_upgrade(venue, api_key().headers("/trade-api/v2/markets"))
        assert details(wrong) == "INCORRECT_API_KEY_SIGNATURE"


async def test_a_key_of_demo_is_unknown_to_prod() -> None:
    demo_key, prod_key = api_key(1), api_key(2)
    async with (
        FakeKalshi(World(1), keys=[demo_key]) as demo,
        FakeKalshi(World(1), keys=[prod_key]) as prod,
    ):
        assert (await get(demo, "/portfolio/balance", demo_key)).status_code == 200
        reply = await get(prod, "/portfolio/balance", demo_key)
        assert (reply.status_code, details(reply)) == (401, "NOT_FOUND")
        assert details(await refused_upgrade(prod, demo_key.headers(SOCKET))) == "NOT_FOUND"


async def test_a_signature_by_another_key_is_refused() -> None:
    key = api_key(1)
    thief = ApiKey(key.id, api_key(2).private)
    async with FakeKalshi(World(1), keys=[key]) as venue:
        reply = await get(venue, "/portfolio/balance", thief)
        assert details(reply) == "INCORRECT_API_KEY_SIGNATURE"


async def test_a_clock_off_by_an_hour_is_refused_and_the_date_header_tells() -> None:
    key = api_key()
    async with FakeKalshi(World(1), keys=[key]) as venue:
        right = await get(venue, "/portfolio/balance", key)
        venue.clock_offset = HOUR
        reply = await get(venue, "/portfolio/balance", key)
        assert (reply.status_code, details(reply)) == (401, "header_timestamp_expired")
        assert right.headers["Date"] != reply.headers["Date"]
        hours = [int(one.headers["Date"][17:19]) for one in (right, reply)]
        assert (hours[1] - hours[0]) % 24 in (1, 2)


async def test_an_expired_key_is_refused_and_its_connections_go_on() -> None:
    key = api_key()
    async with FakeKalshi(World(1), keys=[key]) as venue, talk(venue) as client:
        await client.ask("subscribe", channels=["ticker"])
        venue.expire_keys()
        assert (await get(venue, "/portfolio/balance", key)).status_code == 401
        assert (await refused_upgrade(venue, key.headers(SOCKET))).status_code == 401
        await venue.step(2)
        assert await client.until_said()


async def test_market_data_is_for_everyone_and_the_account_is_not() -> None:
    async with FakeKalshi(World(1), keys=[api_key()]) as venue:
        for path in ("/markets", "/exchange/status", "/historical/cutoff", "/markets/trades"):
            assert (await get(venue, path)).status_code == 200
        for path in ("/portfolio/fills", "/account/limits", "/historical/orders"):
            assert (await get(venue, path)).status_code == 401


async def test_more_requests_than_tokens_are_refused_without_a_hint() -> None:
    key = api_key()
    world = World(1, limits=Limits(rate=0, capacity=35))
    async with FakeKalshi(world, keys=[key]) as venue:
        limits = await read(venue, "/account/limits")
        assert limits["read"] == {"refill_rate": 0, "bucket_capacity": 35}
        costs = await read(venue, "/account/endpoint_costs")
        assert costs["default_cost"] == 10
        # 20 tokens are gone; one order costs 2.
        assert (await get(venue, "/portfolio/orders/none", key)).status_code == 404
        assert (await get(venue, "/portfolio/balance", key)).status_code == 200
        reply = await get(venue, "/portfolio/balance", key)
        assert (reply.status_code, reply.json()) == (429, {"error": "too many requests"})
        assert not {"retry-after", "x-ratelimit-remaining"} & set(reply.headers)
        assert (await get(venue, "/portfolio/orders/none", key)).status_code == 404
        assert (await get(venue, "/markets")).status_code == 200, "another client's tokens"


@settings(deadline=None)
@given(
    st.integers(1, 1_000),
    st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(1, 20)), max_size=50),
)
def test_no_more_tokens_are_spent_than_there_were(rate: int, asked: list[tuple[int, int]]) -> None:
    bucket = Bucket(Limits(rate=rate, capacity=100))
    now = spent = 0
    for pause, tokens in asked:
        now += pause
        if bucket.take(tokens, now):
            spent += tokens
        assert spent * 1_000_000 <= 100 * 1_000_000 + now * rate


def test_tokens_come_back_with_time_up_to_the_capacity() -> None:
    bucket = Bucket(Limits(rate=10, capacity=20))
    assert bucket.take(20, 0)
    assert not bucket.take(1, 0)
    assert not bucket.take(10, 999_999)
    assert bucket.take(10, 1_000_000)
    assert bucket.take(20, 60_000_000)
    assert not bucket.take(1, 60_000_000)


async def test_a_refused_port_is_refused_and_opens_again() -> None:
    async with FakeKalshi(World(1), keys=[api_key()]) as venue, talk(venue) as client:
        venue.close_port()
        with pytest.raises(httpx.ConnectError):
            await get(venue, "/markets")
        with pytest.raises(OSError, match="refused|failed"):
            await connect(venue.websocket_url)
        await client.ask("list_subscriptions")
        await venue.open_port()
        assert (await get(venue, "/markets")).status_code == 200


async def test_many_connections_at_once_hear_the_same() -> None:
    async with FakeKalshi(World(1), keys=[api_key()]) as venue:
        async with talk(venue) as one, talk(venue) as two:
            for client in (one, two):
                await client.ask("subscribe", channels=["trade"])
            await venue.step(5)
            heard = await asyncio.gather(one.until_said(), two.until_said())
        assert heard[0] == heard[1] != []

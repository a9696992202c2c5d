"""The simulated venue answers a client as Coinbase does."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streams.simulated import SimulatedVenue, server

SUBSCRIBE = json.dumps(
    {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches", "heartbeat"]}
)


def test_a_client_that_subscribes_to_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SUBSCRIBE_WITHIN", 0.05)

    async def check() -> None:
        async with SimulatedVenue() as venue, connect(venue.url) as socket:
            with pytest.raises(ConnectionClosed, match="no subscription"):
                await socket.recv()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ("?", "Malformed JSON"),
        ("[]", "Type has to be"),
        ('{"type":"subscribe"}', "channels"),
        ('{"type":"subscribe","channels":["matches"]}', "product_ids"),
        ('{"type":"subscribe","channels":["full"],"product_ids":["BTC-USD"]}', "full is not"),
        ('{"type":"subscribe","channels":["matches"],"product_ids":["X"]}', "X is not"),
        ('{"type":"subscribe","channels":["matches"],"product_ids":[[]]}', "is not a valid"),
        ('{"type":"subscribe","channels":[{"name":[]}],"product_ids":["BTC-USD"]}', "is not a"),
    ],
)
def test_a_bad_request_is_answered_with_an_error(request_: str, reason: str) -> None:
    async def check() -> None:
        async with SimulatedVenue() as venue, connect(venue.url) as socket:
            await socket.send(request_)
            answer = json.loads(await socket.recv())
            assert answer["type"] == "error"
            assert reason in answer["reason"]

    asyncio.run(check())


def test_a_subscription_is_confirmed_greeted_and_can_be_ended() -> None:
    async def check() -> None:
        async with SimulatedVenue(trades_per_second=500) as venue, connect(venue.url) as socket:
            await asyncio.sleep(0.1)
            await socket.send(SUBSCRIBE)
            confirmed, greeting = [json.loads(await socket.recv()) for _ in range(2)]
            assert confirmed["channels"] == [
                {"name": "matches", "product_ids": ["BTC-USD"]},
                {"name": "heartbeat", "product_ids": ["BTC-USD"]},
            ]
            assert (greeting["type"], greeting["product_id"]) == ("last_match", "BTC-USD")
            await socket.send(SUBSCRIBE.replace("subscribe", "unsubscribe"))
            while (frame := json.loads(await socket.recv()))["type"] != "subscriptions":
                assert frame["product_id"] == "BTC-USD"
            assert frame["channels"] == []
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.2):
                    await socket.recv()

    asyncio.run(check())


def test_heartbeats_come_each_second() -> None:
    async def check() -> None:
        async with SimulatedVenue() as venue, connect(venue.url) as socket:
            await socket.send(SUBSCRIBE.replace('"matches", ', ""))
            kinds = [json.loads(await socket.recv())["type"] for _ in range(2)]
            assert kinds == ["subscriptions", "heartbeat"]

    asyncio.run(check())

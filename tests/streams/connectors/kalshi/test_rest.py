"""Kalshi's REST API over a real connection: signed, within the limits, its refusals explained."""

import asyncio
import logging
import time
import traceback
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate

import orjson
import pytest
from structlog.testing import capture_logs

from streams.connectors.base import ConnectorError, Request
from streams.connectors.http_replies import Rejected
from streams.connectors.kalshi.environment import Environment
from streams.connectors.kalshi.keys import Key
from streams.connectors.kalshi.limits import BASIC, Bucket
from streams.connectors.kalshi.refusals import KeyRefused
from streams.connectors.kalshi.rest import KalshiRest
from streams.connectors.rest import Patience

from ..http_server import SILENCE, Answer, Asked, HttpServer, reply
from .pems import KEY_ID, ed25519_key, secrets_of
from .test_limits import COSTS, LIMITS

FILLS = Request("/portfolio/fills", (("limit", "1000"), ("cursor", "a+b/c=")))
KEY = Key(KEY_ID, ed25519_key())
BRISK = Patience(first=0.001, cap=0.002)
LEARNING = ("/trade-api/v2/account/limits", "/trade-api/v2/account/endpoint_costs")
TOLD = (reply(orjson.dumps(LIMITS)), reply(orjson.dumps(COSTS)))
UNAUTHORIZED = {"error": {"code": "authentication_error", "message": "authentication_error"}}


def telling(
    answer: Callable[[Asked], Answer],
    limits: Answer = TOLD[0],
    costs: Answer = TOLD[1],
) -> HttpServer:
    """A server which tells limits and costs so, and answers to the rest by the function."""
    told = dict(zip(LEARNING, (limits, costs), strict=True))
    return HttpServer(lambda asked: told.get(asked.target) or answer(asked))


@asynccontextmanager
async def asking(server: HttpServer, key: Key | None = KEY) -> AsyncIterator[KalshiRest]:
    async with server:
        environment = Environment("prod", f"{server.url}/trade-api/v2", "ws://127.0.0.1:1")
        async with KalshiRest(environment, key, BRISK) as rest:
            yield rest


def verify(asked: Asked) -> None:
    """As the venue does. Raises InvalidSignature."""
    assert asked.headers["kalshi-access-key"] == KEY_ID
    now_ms = asked.headers["kalshi-access-timestamp"]
    assert abs(int(now_ms) - time.time_ns() // 1_000_000) < 60_000
    path = asked.target.partition("?")[0]
    signature = b64decode(asked.headers["kalshi-access-signature"], validate=True)
    ed25519_key().public_key().verify(signature, f"{now_ms}GET{path}".encode())


async def test_each_attempt_is_signed_anew_without_its_query() -> None:
    answers = [reply(b"{}", 500), reply(b"{}", 429), reply(b'{"fills":[],"cursor":""}')]
    server = telling(lambda _: answers.pop(0))
    async with asking(server) as rest:
        assert await rest.get(FILLS) == b'{"fills":[],"cursor":""}'
    assert server.targets == [
        *LEARNING,
        *["/trade-api/v2/portfolio/fills?limit=1000&cursor=a%2Bb%2Fc%3D"] * 3,
    ]
    for asked in server.asked:
        verify(asked)
    times = [int(asked.headers["kalshi-access-timestamp"]) for asked in server.asked]
    assert times == sorted(times)


async def test_what_is_signed_is_the_path_as_it_is_sent() -> None:
    server = telling(lambda _: reply())
    async with asking(server) as rest:
        await rest.get(Request("/markets/KX BTC-T114999.99/orderbook"))
    assert server.targets[-1] == "/trade-api/v2/markets/KX%20BTC-T114999.99/orderbook"
    verify(server.asked[-1])


async def test_without_a_key_nothing_is_signed_and_no_limits_are_asked_for() -> None:
    server = telling(lambda _: reply(b'{"markets":[]}'))
    async with asking(server, key=None) as rest:
        assert await rest.get(Request("/markets")) == b'{"markets":[]}'
    [asked] = server.asked
    assert not any(name.startswith("kalshi") for name in asked.headers)


async def test_the_account_s_own_limits_and_costs_hold() -> None:
    prime = {**LIMITS, "read": {"refill_rate": 4800, "bucket_capacity": 9600}}
    server = telling(lambda _: reply(), limits=reply(orjson.dumps(prime)))
    async with asking(server) as rest:
        assert rest.bucket == Bucket(4800, 9600)
        assert rest.cost(Request("/portfolio/orders/1")) == 2
        assert rest.cost(FILLS) == 10


@pytest.mark.parametrize(
    "absent",
    [reply(b"404 page not found", 404), reply(b"{}"), reply(b"{}", 500), reply(b"", 403)],
    ids=["404", "empty", "500", "403"],
)
async def test_without_told_limits_those_of_the_lowest_tier_hold(absent: Answer) -> None:
    server = telling(lambda _: reply(b"[1]"), limits=absent, costs=absent)
    async with asking(server) as rest:
        assert rest.bucket == BASIC
        assert rest.cost(Request("/portfolio/orders/1")) == 10
        assert await rest.get(FILLS) == b"[1]"


async def test_a_venue_that_is_silent_about_limits_does_not_hold_up_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.connectors.kalshi.rest._LEARN_WITHIN", 0.2)
    async with asking(telling(lambda _: reply(b"[1]"), limits=SILENCE)) as rest:
        assert rest.bucket == BASIC
        assert await rest.get(FILLS) == b"[1]"


async def test_limits_are_asked_for_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.connectors.kalshi.rest._LEARN_EVERY", 0.0)
    told = [reply(orjson.dumps(LIMITS))]
    told.append(reply(orjson.dumps({**LIMITS, "read": {"refill_rate": 9, "bucket_capacity": 90}})))

    def answer(asked: Asked) -> Answer:
        if asked.target == LEARNING[0]:
            return told.pop(0)
        return reply(orjson.dumps(COSTS))

    async with asking(HttpServer(answer)) as rest:
        assert rest.bucket == BASIC
        await rest.get(FILLS)
        assert rest.bucket == Bucket(9, 90)


@pytest.mark.parametrize(
    ("first", "times"),
    [(reply(b"", 404), 1), (reply(b"{}"), 1), (reply(b"", 503), 2), (reply(b"", 401), 2)],
    ids=["404", "empty", "503", "401"],
)
async def test_limits_that_may_be_had_later_are_asked_for_again_soon(
    first: Answer, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.connectors.kalshi.rest._LEARN_AGAIN", 0.0)
    limits = [first, TOLD[0]]
    server = HttpServer(lambda asked: limits.pop(0) if asked.target == LEARNING[0] else TOLD[1])
    async with asking(server) as rest:
        await rest.get(FILLS)
        await rest.get(FILLS)
    assert server.targets.count(LEARNING[0]) == times


async def test_they_are_not_asked_for_with_each_request() -> None:
    server = telling(lambda _: reply())
    async with asking(server) as rest:
        for _ in range(3):
            await rest.get(FILLS)
    assert len(server.targets) == len(LEARNING) + 3


async def test_requests_wait_for_their_tokens() -> None:
    slow = {**LIMITS, "read": {"refill_rate": 100, "bucket_capacity": 100}}
    server = telling(lambda _: reply(), limits=reply(orjson.dumps(slow)))
    async with asking(server) as rest:
        begun = time.monotonic()
        # The price list took 10 of 100; 100 more at 10 a request come in a second.
        await asyncio.gather(*(rest.get(FILLS) for _ in range(19)))
        assert time.monotonic() - begun >= 0.9


async def test_all_that_ask_with_one_key_share_the_account_s_bucket() -> None:
    """Of 35 tokens each of two clients takes 10 to learn the costs, and 10 for what it asks."""
    small = {**LIMITS, "read": {"refill_rate": 1, "bucket_capacity": 35}}
    server = telling(lambda _: reply(), limits=reply(orjson.dumps(small)))
    async with asking(server) as first:
        environment = Environment("prod", f"{server.url}/trade-api/v2", "ws://127.0.0.1:1")
        async with KalshiRest(environment, KEY, BRISK) as second:
            await first.get(FILLS)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(second.get(FILLS), 0.5)
        async with KalshiRest(environment, None, BRISK) as public:
            await public.get(FILLS)


async def test_a_request_that_costs_more_than_the_bucket_holds_is_asked_all_the_same() -> None:
    small = {**LIMITS, "read": {"refill_rate": 1000, "bucket_capacity": 5}}
    server = telling(lambda _: reply(b"[1]"), limits=reply(orjson.dumps(small)))
    async with asking(server) as rest:
        assert await rest.get(FILLS) == b"[1]"


async def test_a_refused_key_is_explained_and_not_tried_again() -> None:
    server = telling(lambda _: reply(orjson.dumps(UNAUTHORIZED), 401))
    async with asking(server) as rest:
        with pytest.raises(KeyRefused, match="probably it is a key of demo"):
            await rest.get(FILLS)
    assert len(server.targets) == len(LEARNING) + 1


@pytest.mark.parametrize(("offset", "way"), [(-3600, "ahead of"), (3600, "behind")])
async def test_a_clock_an_hour_off_is_told_where_the_key_is_refused(offset: int, way: str) -> None:
    def answer(_: Asked) -> Answer:
        date = formatdate(time.time() + offset, usegmt=True)
        return reply(orjson.dumps(UNAUTHORIZED), 401, Date=date)

    async with asking(telling(answer)) as rest:
        with pytest.raises(KeyRefused, match=rf"clock is 3\d{{3}} s {way} Kalshi's"):
            await rest.get(FILLS)
        assert rest.skew is not None


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "bad_request", "message": "bad request", "details": "invalid filter"}},
        {"code": "bad_request", "message": "bad request", "details": "invalid filter"},
        {"error": "bad_request: bad request: invalid filter"},
    ],
    ids=["nested", "flat", "text"],
)
async def test_a_rejection_tells_the_venue_s_reason_in_each_of_its_forms(
    body: dict[str, object],
) -> None:
    async with asking(telling(lambda _: reply(orjson.dumps(body), 400))) as rest:
        with pytest.raises(Rejected) as rejected:
            await rest.get(FILLS)
    assert str(rejected.value) == (
        f"kalshi rejected GET {FILLS} with status 400: bad_request: bad request: invalid filter"
    )


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_no_secret_is_told_even_where_the_venue_sends_them_back(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Asked] = []

    def answer(asked: Asked) -> Answer:
        seen.append(asked)
        told = "; ".join(f"{name}={value}" for name, value in asked.headers.items())
        return reply(orjson.dumps({"error": {"code": told, "message": told}}), status)

    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        async with asking(telling(answer)) as rest:
            task = asyncio.create_task(rest.get(FILLS))
            while len(seen) < 2 and not task.done():
                await asyncio.sleep(0.005)
            task.cancel()
            try:
                await task
            except (ConnectorError, asyncio.CancelledError) as fault:
                shown = "".join(traceback.format_exception(fault))
            shown += f"{fault_text(task)} {logs} {caplog.text} {rest!r} {vars(rest)}"
    assert "kalshi-access-signature=" in shown
    signatures = [asked.headers["kalshi-access-signature"] for asked in seen]
    secrets = [KEY_ID, *signatures, *secrets_of(ed25519_key())]
    assert [secret for secret in secrets if secret in shown] == []


def fault_text(task: asyncio.Task[bytes]) -> str:
    return "" if task.cancelled() else repr(task.exception())

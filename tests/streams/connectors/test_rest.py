"""A venue's REST API is asked until it answers, over a real connection."""

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from streams.connectors.base import ConnectorError, Request
from streams.connectors.http_replies import Rejected
from streams.connectors.rest import LARGEST_REPLY, Patience, PublicRest, full_jitter

from .http_server import HANG_UP, SILENCE, Answer, HttpServer, reply

TRADES = Request("/products/BTC-USD/trades", (("limit", "1000"), ("after", "7")))
#: Pauses that no test waits for; the time-outs are those of production.
BRISK = Patience(first=0.001, cap=0.002)


@asynccontextmanager
async def asking(
    *answers: Answer, patience: Patience = BRISK, per_second: float = 1000.0
) -> AsyncIterator[tuple[HttpServer, PublicRest]]:
    async with (
        HttpServer.saying(*answers) as server,
        PublicRest(server.url, per_second, patience) as rest,
    ):
        yield server, rest


async def test_the_reply_comes_as_the_venue_sent_it() -> None:
    body = b'[ {"trade_id": 7,\n "price": "1.10"} ]\n'
    async with asking(reply(body)) as (server, rest):
        assert await rest.get(TRADES) == body
        [asked] = server.asked
    assert (asked.method, asked.target) == ("GET", "/products/BTC-USD/trades?limit=1000&after=7")
    assert asked.headers["accept"] == "application/json"
    assert (rest.counts.attempts, rest.counts.limited, rest.counts.failures) == (1, 0, 0)


async def test_the_path_goes_below_that_of_the_base_address() -> None:
    async with (
        HttpServer.saying(reply()) as server,
        PublicRest(f"{server.url}/api/v3/", 1000.0) as rest,
    ):
        await rest.get(Request("/time"))
    assert server.targets == ["/api/v3/time"]


async def test_one_connection_serves_many_requests() -> None:
    async with asking(reply()) as (server, rest):
        for _ in range(5):
            await rest.get(TRADES)
        assert server.connections == 1


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
async def test_faults_of_the_server_are_tried_again(status: int) -> None:
    async with asking(reply(b"oops", status), reply(b"oops", status), reply(b"[1]")) as (_, rest):
        assert await rest.get(TRADES) == b"[1]"
    assert (rest.counts.attempts, rest.counts.limited, rest.counts.failures) == (3, 0, 2)


async def test_too_many_requests_are_counted_apart_and_tried_again() -> None:
    refused = reply(b'{"error":"too many requests"}', 429)
    async with asking(refused, refused, refused, reply(b"[1]")) as (_, rest):
        assert await rest.get(TRADES) == b"[1]"
    assert (rest.counts.attempts, rest.counts.limited, rest.counts.failures) == (4, 3, 0)


async def test_a_venue_that_says_how_long_to_wait_is_obeyed() -> None:
    async with asking(reply(b"{}", 429, Retry_After="1"), reply(b"[1]")) as (_, rest):
        begun = time.monotonic()
        await rest.get(TRADES)
        assert time.monotonic() - begun >= 1.0


HALF = Answer(reply(b"[" + b"1," * 500 + b"1]").data[:-100], "close")
FAULTS = {
    "nothing": HANG_UP,
    "half of a reply": HALF,
    "half of a chunked reply": Answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1,2,\r\n", "close"
    ),
    "half of a head": Answer(b"HTTP/1.1 200 OK\r\nContent-Le", "close"),
    "no HTTP": Answer(b"SSH-2.0-OpenSSH_9.6\r\n", "close"),
    "JSON cut off": reply(b'{"trades": [{"trade_id"'),
    "a page": reply(b"<html><body>Just a moment</body></html>"),
    "an empty body": reply(b""),
    "a broken compression": reply(b"no gzip", Content_Encoding="gzip"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_what_is_cut_off_or_garbled_is_asked_for_again(name: str) -> None:
    async with asking(FAULTS[name], reply(b"[1]")) as (_, rest):
        assert await rest.get(TRADES) == b"[1]"
    assert (rest.counts.attempts, rest.counts.failures) == (2, 1)


async def test_a_venue_that_falls_silent_is_asked_again() -> None:
    impatient = replace(BRISK, read=0.2, whole=3600.0)
    async with asking(SILENCE, reply(b"[1]"), patience=impatient) as (_, rest):
        assert await rest.get(TRADES) == b"[1]"
    assert rest.counts.failures >= 1


async def test_a_reply_that_drips_is_given_up_though_bytes_keep_coming() -> None:
    dripping = replace(reply(b"1" * 2000), drip=0.05)
    async with asking(dripping, reply(b"[1]"), patience=replace(BRISK, whole=0.5)) as (_, rest):
        assert await rest.get(TRADES) == b"[1]"
    assert rest.counts.failures >= 1


async def test_a_venue_that_is_down_is_asked_until_it_is_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    async with PublicRest(f"http://127.0.0.1:{port}", 1000.0, BRISK) as rest:
        task = asyncio.create_task(rest.get(TRADES))
        while rest.counts.failures < 3:
            await asyncio.sleep(0.005)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_request_that_waits_for_its_next_attempt_can_be_cancelled() -> None:
    async with asking(reply(b"{}", 500, Retry_After="300")) as (_, rest):
        task = asyncio.create_task(rest.get(TRADES))
        while not rest.counts.failures:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert rest.counts.attempts == 1


async def test_a_long_storm_is_told_of_once_a_minute() -> None:
    storm = [reply(b'{"message":"down"}', 503)] * 30
    with capture_logs() as logs:
        async with asking(*storm, reply(b"[1]")) as (_, rest):
            await rest.get(TRADES)
    [told] = logs
    assert told["log_level"] == "warning"
    assert told["reason"] == "status 503: down"
    assert told["request"] == str(TRADES)
    assert told["venue"] == "127.0.0.1"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 451])
async def test_what_the_venue_rejects_is_not_asked_again(status: int) -> None:
    async with asking(reply(b'{"code":-1121,"msg":"Invalid symbol."}', status)) as (_, rest):
        with pytest.raises(Rejected, match="Invalid symbol") as rejected:
            await rest.get(TRADES)
    assert (rejected.value.status, rejected.value.code) == (status, "-1121")
    assert rest.counts.attempts == 1


async def test_a_redirect_is_not_followed() -> None:
    async with HttpServer.saying(reply(b"[1]")) as elsewhere:
        moved = reply(b"", 302, Location=f"{elsewhere.url}/")
        async with asking(moved) as (_, rest):
            with pytest.raises(Rejected, match="it redirects, which is not followed"):
                await rest.get(TRADES)
        assert elsewhere.asked == []


async def test_a_reply_that_grows_out_of_bounds_is_refused() -> None:
    small = gzip.compress(b" " * (LARGEST_REPLY + 1))
    async with asking(reply(small, Content_Encoding="gzip"), reply(b"[1]")) as (_, rest):
        with pytest.raises(ConnectorError, match="more than 67108864 bytes"):
            await rest.get(TRADES)
        assert await rest.get(TRADES) == b"[1]"


async def test_requests_keep_to_the_rate() -> None:
    async with asking(reply(), per_second=20.0) as (_, rest):
        begun = time.monotonic()
        await asyncio.gather(*(rest.get(TRADES) for _ in range(40)))
        # Twenty at once, and twenty more at the rate.
        assert time.monotonic() - begun >= 0.9


async def test_the_venue_s_clock_is_known_from_its_replies() -> None:
    def at(offset: int) -> Answer:
        return reply(Date=formatdate(time.time() + offset, usegmt=True))

    async with asking(at(-3600), reply()) as (_, rest):
        assert rest.skew is None
        await rest.get(TRADES)
        assert rest.skew is not None
        assert abs(rest.skew - 3_600_000_000) < 60_000_000
        await rest.get(TRADES)
        assert rest.skew is None


@given(st.integers(0, 10**6))
def test_pauses_are_jittered_in_full_and_capped(failures: int) -> None:
    bound = min(30.0, 0.5 * 2.0 ** min(failures, 10))
    pauses = [full_jitter(Patience(), failures) for _ in range(50)]
    assert all(0.0 <= pause <= bound for pause in pauses)
    assert max(pauses) - min(pauses) > bound / 10

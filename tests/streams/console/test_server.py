"""The console's server: who gets an answer, and what browsers are told."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from streams.console.access import Access
from streams.console.assets import load_assets
from streams.console.run import Plan, listen, serve
from streams.errors import UserError
from streams.settings import Endpoints, Settings, load_settings
from tests.streams.console.pictures import Scripted, picture
from tests.streams.console.serving import AWAY, HOST, client, free_port, served

TOKEN = "a token of twenty-four"
RETRY = "/api/dead-letters/price.ticks/0/1/retry"
WHY = {"why": "mended"}
#: How a browser marks what a page of the console itself asks for.
OURS = {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize("path", ["/", "/api/history", "/nothing", "/static/x/app.js"])
async def test_every_answer_forbids_what_browsers_need_not_do(path: str) -> None:
    async with client() as console:
        headers = (await console.get(path)).headers
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'self'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert not any("unsafe" in rule or "http" in rule for rule in policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


async def test_a_page_by_another_name_of_this_machine_gets_nothing() -> None:
    """A name that an attacker makes to mean 127.0.0.1: DNS rebinding."""
    for host in ("evil.example", "evil.example:8321", "127.0.0.1.evil.example", "", "["):
        async with client() as console:
            reply = await console.get("/", headers={"Host": host})
            assert (reply.status_code, "tickertape" in reply.text) == (421, False)
    for host in ("localhost:8321", "127.0.0.1", "[::1]:8321"):
        async with client() as console:
            assert (await console.get("/", headers={"Host": host})).status_code == 200


async def test_a_token_is_asked_for_and_a_cookie_stands_for_it() -> None:
    access = Access(hosts=None, token=TOKEN)
    async with client(access, base="http://trader.example:8321") as console:
        for path in ("/api/history", "/events", "/favicon.ico"):
            assert (await console.get(path)).status_code == 401
        first = await console.get("/")
        assert first.status_code == 401
        assert '<form method="post" action="/login">' in first.text
        for name in re.findall(r'"(/static/[^"]+)"', first.text):
            assert (await console.get(name)).status_code == 200

        reply = await console.get("/", params={"token": TOKEN})
        assert (reply.status_code, reply.headers["location"]) == (303, "/")
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert (await console.get("/")).status_code == 200
        assert (await console.get("/api/history")).status_code == 200


async def test_the_token_may_be_typed_into_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.console.access._WRONG_DELAY", 0.0)
    async with client(Access(hosts=None, token=TOKEN)) as console:
        wrong = await console.post("/login", data={"token": "another"}, headers=OURS)
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)
        long = await console.post("/login", data={"token": "x" * 100_000}, headers=OURS)
        assert long.status_code == 413
        right = await console.post("/login", data={"token": TOKEN}, headers=OURS)
        assert right.status_code == 303
        assert (await console.get("/api/history")).status_code == 200


@pytest.mark.parametrize("cookie", ["x", "x=y; x", '="', "tape_console_00000000=" + "0" * 64])
async def test_a_cookie_that_was_made_up_is_none(cookie: str) -> None:
    async with client(Access(hosts=None, token=TOKEN)) as console:
        assert (await console.get("/api/history", headers={"Cookie": cookie})).status_code == 401


def test_a_token_shows_in_no_text_of_its_holder() -> None:
    assert TOKEN not in repr(Access(token=TOKEN))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": HOST},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
    ],
)
async def test_what_changes_something_must_come_from_a_page_of_the_console(
    headers: dict[str, str],
) -> None:
    async with client() as console:
        reply = await console.post(RETRY, json=WHY, headers=headers)
    assert reply.status_code == 403
    assert reply.json()["detail"] == "only a page of this console may ask for that"


@pytest.mark.parametrize("deed", ["retry", "discard"])
async def test_without_allow_actions_nothing_can_be_changed(deed: str) -> None:
    async with client() as console:
        reply = await console.post(RETRY.replace("retry", deed), json=WHY, headers=OURS)
    assert reply.status_code == 403
    assert "--allow-actions" in reply.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/active-trades",
        "/api/trades",
        "/api/trades/TICKET-1",
        "/api/accounts",
        "/api/positions",
        "/api/fills",
        "/api/cash?account=kalshi/prod/main/0",
        "/api/symbols",
        "/api/prices/coinbase/BTC-USD",
        "/api/books",
        "/api/books/kalshi/KXBTCD",
        "/api/dead-letters",
        "/api/dead-letters/price.ticks/0/1",
    ],
)
async def test_while_the_database_is_away_reads_say_so_in_plain_words(path: str) -> None:
    async with client() as console:
        reply = await console.get(path)
    assert reply.status_code == 503
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["detail"].startswith("the database: ")
    assert "Traceback" not in reply.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/trades?limit=0", 400),
        ("/api/trades?limit=100000", 400),
        ("/api/trades?before=yesterday", 400),
        ("/api/prices/coinbase/BTC-USD?span=1y", 400),
        ("/api/cash", 400),
        ("/api/history?since=x", 400),
        ("/api/nothing", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
        ("/static/x/../../app.py", 404),
    ],
)
async def test_what_cannot_be_answered_is_told_as_a_problem(path: str, status: int) -> None:
    async with client() as console:
        reply = await console.get(path)
    assert reply.status_code == status
    if path.startswith("/api"):
        assert reply.json()["status"] == status


async def test_files_are_kept_by_browsers_for_ever_and_the_first_page_is_asked_for_anew() -> None:
    async with client() as console:
        first = await console.get("/")
        assert first.headers["cache-control"] == "no-cache"
        again = await console.get("/", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        [script] = re.findall(r'src="(/static/[^"]+/app.js)"', first.text)
        reply = await console.get(script)
        assert reply.headers["content-encoding"] == "gzip"
        assert "immutable" in reply.headers["cache-control"]
        plain = await console.get(script, headers={"Accept-Encoding": "identity"})
        assert plain.text == reply.text
        other = script.replace(load_assets().version, "0" * 16)
        assert (await console.get(other)).status_code == 404


def test_the_chart_libraries_were_brought() -> None:
    files = load_assets().files
    assert b"createChart" in files["vendor/lightweight-charts.js"].content
    assert b"uPlot" in files["vendor/uPlot.js"].content


def test_all_that_the_first_page_loads_is_small() -> None:
    files = load_assets().files
    lazy = re.compile(r"vendor/|views/(?!overview)|login|remote|charts")
    first = {name: asset for name, asset in files.items() if not lazy.match(name)}
    assert "app.js" in first
    assert sum(len(asset.zipped) for asset in first.values()) < 60_000
    assert all(gzip.decompress(one.zipped) == one.content for one in first.values())


def test_no_page_makes_markup_of_text() -> None:
    """Dead letters hold anyone's bytes."""
    for name, asset in load_assets().files.items():
        if not name.startswith("vendor/"):
            found = re.findall(
                rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write", asset.content
            )
            assert found == [], name


def test_a_stream_is_served_without_date_or_server_and_stops_with_the_server() -> None:
    with served(picture()) as console, httpx.stream("GET", f"{console.url}events") as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.headers["cache-control"] == "no-store"
        assert not {"server", "date"} & set(reply.headers)
        lines = reply.iter_lines()
        assert next(lines) == "event: about"
        console.stop()
        assert "event: snapshot" in list(lines)


def test_pictures_come_each_second_while_a_page_is_open() -> None:
    with served(picture()) as console:
        with httpx.stream("GET", f"{console.url}events") as reply:
            assert next(reply.iter_lines()) == "event: about"
            assert console.pace == 1.0
        deadline = time.monotonic() + 60
        while console.pace != 5.0:
            assert time.monotonic() < deadline, "nobody told that the last page has left"
            time.sleep(0.02)


@asynccontextmanager
async def scripted(_: Endpoints, __: Settings) -> AsyncIterator[Scripted]:
    yield Scripted(picture())


def serving(plan: Plan, told: Callable[[], None] = lambda: None) -> Coroutine[Any, Any, None]:
    """As `tape console` does it."""
    endpoints = Endpoints("", {}, AWAY, False, False)
    return serve(plan, endpoints, load_settings(console_token=None), scripted, told)


async def test_it_tells_when_it_listens_and_stops_when_it_is_cancelled() -> None:
    plan, listens = Plan("127.0.0.1", free_port(), actions=False), asyncio.Event()
    task = asyncio.create_task(serving(plan, listens.set))
    async with asyncio.timeout(60), httpx.AsyncClient() as asking:
        await listens.wait()
        assert (await asking.get(plan.address)).status_code == 200
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(httpx.ConnectError):
            await asking.get(plan.address)


async def test_a_port_that_is_taken_is_told() -> None:
    port = free_port()
    with listen("127.0.0.1", port), pytest.raises(UserError, match=f"port {port}: .*--port"):
        await serving(Plan("127.0.0.1", port, actions=False))


async def test_where_others_can_reach_it_a_token_is_needed() -> None:
    with pytest.raises(UserError, match="set TAPE_CONSOLE_TOKEN"):
        await serving(Plan("0.0.0.0", free_port(), actions=False))

"""Alerts arrive, once each, in spite of a receiver that fails; a monitor that hangs is silent."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from streams.live import Live
from streams.monitor.incidents import Action, Change
from streams.monitor.model import Incident, Level
from streams.monitor.telling import alerts
from streams.monitor.telling.alerts import DeadMan, Webhook
from tests.streams.monitor.pictures import NOW, SECOND, picture


class Receiver(HTTPServer):
    """Answers with these statuses in turn, then with 200; keeps what was posted."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=secret"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.bodies.append(json.loads(body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver(*statuses: int) -> Iterator[Receiver]:
    server = Receiver(*statuses)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@asynccontextmanager
async def webhook(server: Receiver) -> AsyncIterator[Webhook]:
    async with httpx.AsyncClient() as client:
        hook = Webhook(Live(), server.url, client)
        task = asyncio.create_task(hook.run())
        yield hook
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def change(action: Action, *, level: Level = Level.CRITICAL, is_news: bool = True) -> Change:
    closed = NOW + SECOND if action == Action.CLOSED else None
    incident = Incident("feed/a@1", "feed/a", level, "a: gone", ("a: gone",), NOW, closed)
    return Change(action, incident, is_news)


async def arrived(server: Receiver, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while len(server.bodies) < count:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    return server.bodies


async def test_an_alert_says_what_happened_to_which_incident() -> None:
    with receiver() as server:
        async with webhook(server) as hook:
            hook.take(change(Action.OPENED))
            [body] = await arrived(server, 1)
    assert body == {
        "dedup_key": "feed/a@1",
        "action": "opened",
        "severity": "critical",
        "cause": "feed/a",
        "title": "a: gone",
        "symptoms": ["a: gone"],
        "opened": "2026-11-30T00:53:20+00:00",
        "closed": None,
    }


async def test_a_receiver_that_fails_gets_it_again_and_its_secret_is_in_no_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with receiver(500, 429) as server:
        async with webhook(server) as hook:
            hook.take(change(Action.OPENED))
            bodies = await arrived(server, 1)
    assert len(bodies) == 1
    said = capsys.readouterr()
    assert "alert refused" in said.out + said.err
    assert "secret" not in said.out + said.err


async def test_what_a_receiver_calls_wrong_is_not_sent_for_ever() -> None:
    with receiver(400) as server:
        async with webhook(server) as hook:
            hook.take(change(Action.OPENED))
            await asyncio.sleep(0.3)
            hook.take(change(Action.CLOSED))
            bodies = await arrived(server, 1)
    assert [body["action"] for body in bodies] == ["closed"]


async def test_of_an_incident_that_waits_only_the_newest_state_is_sent() -> None:
    with receiver(503) as server:
        async with webhook(server) as hook:
            hook.take(change(Action.OPENED, level=Level.WARNING))
            await asyncio.sleep(0.2)
            hook.take(change(Action.CHANGED))
            bodies = await arrived(server, 1)
    assert [(body["action"], body["severity"]) for body in bodies] == [("changed", "critical")]


async def test_what_was_over_before_anybody_was_told_is_not_told() -> None:
    with receiver(503) as server:
        async with webhook(server) as hook:
            hook.take(change(Action.OPENED))
            await asyncio.sleep(0.2)
            hook.take(change(Action.CLOSED))
            await asyncio.sleep(1.5)
    assert server.bodies == []


async def test_that_an_incident_goes_on_is_no_alert() -> None:
    with receiver() as server:
        async with webhook(server) as hook:
            hook.take(change(Action.CHANGED, is_news=False))
            await asyncio.sleep(0.2)
    assert server.bodies == []


async def test_a_sign_of_life_comes_while_the_monitor_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alerts, "_DEAD_MAN_EVERY_S", 0.05)
    now = NOW
    with receiver() as server:
        async with httpx.AsyncClient() as client:
            man = DeadMan(Live(), server.url, client, picture, lambda: now)
            task = asyncio.create_task(man.run())
            bodies = await arrived(server, 2)
            assert bodies[0] == {
                "alive": True,
                "level": "ok",
                "incidents": 0,
                "taken": "2026-11-30T00:53:20+00:00",
            }
            now = NOW + 30 * SECOND  # the pictures stand still
            await asyncio.sleep(0.1)
            count = len(server.bodies)
            await asyncio.sleep(0.2)
            assert len(server.bodies) == count
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

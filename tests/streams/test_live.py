"""Replay never causes a side effect: what acts cannot be made where the log is read again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.streams.tape import ROOT

#: Each of these makes something that acts; RIGHT stands for what it demands first.
ACTING = """
Expirer({}"", sink)
Executor({}"simulated/demo/a/0", exchange)
Simulation({}"simulated/demo/a/0", 1, 2)
Webhook({}"http://localhost/", client)
DeadMan({}"http://localhost/", client, lambda: None, lambda: 0)
"""
IMPORTS = """
from httpx import AsyncClient
from streams.expirer import Expirer, Sink
from streams.live import Live
from streams.monitor.telling.alerts import DeadMan, Webhook
from streams.simulated.kalshi.exchange import Exchange
from streams.simulated.kalshi.executor import Executor
from streams.simulated.kalshi.simulation import Simulation
"""
SIGNATURE = "def act(sink: Sink, exchange: Exchange, client: AsyncClient) -> None:"


def lines(right: str) -> list[str]:
    return ACTING.format(*[right] * 5).split("\n")[1:-1]


def test_a_consumer_that_acts_cannot_be_made_without_the_right_to(tmp_path: Path) -> None:
    made = [line for right in ("", "None, ", "object(), ", "Live(), ") for line in lines(right)]
    body = [f"    {line}" for line in made]
    code = [*IMPORTS.split("\n"), SIGNATURE, *body, ""]
    snippet = tmp_path / "snippet.py"
    snippet.write_text("\n".join(code))
    # With the project's own settings, and what it knows of the project from before.
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--no-pretty", str(snippet)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = checked.stdout.splitlines()
    first = code.index(body[0]) + 1
    wrong = {int(line.split(":")[1]) for line in told if ": error:" in line}
    assert wrong == set(range(first, first + 15)), checked.stdout + checked.stderr


def run(*code: str) -> str:
    """What a process of its own ends with: the last line on standard error, or nothing."""
    program = "\n".join(["from streams.live import Live, replaying", *code])
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return ended.stderr.strip().split("\n")[-1]


def test_a_process_that_replays_has_no_right_to_act() -> None:
    refused = "streams.live.PurposeError: this process is replaying, it cannot be live"
    assert refused in run("replaying()", "Live()")
    assert run("replaying()", "replaying()") == ""


def test_a_process_that_replays_can_make_no_producer() -> None:
    make = [
        "from streams.producer import Producer",
        "from streams.settings import Endpoints",
        "Producer(Endpoints('127.0.0.1:1', {}, '', True, True))",
    ]
    assert "PurposeError: this process is replaying" in run("replaying()", *make)
    assert "PurposeError: this process is live" in run(*make, "replaying()")


def test_a_process_that_replays_can_tell_of_no_restarts() -> None:
    make = [
        "from pathlib import Path",
        "from streams.settings import Endpoints",
        "from streams.up.telling import Teller",
        "Teller(Endpoints('127.0.0.1:1', {}, '', True, True), Path('unused.log'))",
    ]
    assert "PurposeError: this process is replaying" in run("replaying()", *make)


def test_a_process_in_which_something_may_act_cannot_replay() -> None:
    refused = "streams.live.PurposeError: this process is live, it cannot be replaying"
    assert refused in run("Live()", "Live()", "replaying()")

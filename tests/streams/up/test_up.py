"""`tape up` as a user runs it, with a stack of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.events import PriceTrade, decode

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]
Trades = set[tuple[str, str, str]]

#: Seconds; generous, because machines that run tests are busy.
DEADLINE = 240.0
SYMBOLS = {"BRTI", "BTC-USD", "ETH-USD"}

_PRICES = "select symbol, count(*) from price_history group by symbol"
_CLOSED = """
select count(*) filter (where close_method = 'expired') > 0,
    count(*) filter (where close_method <> 'expired') > 0
from trades where status = 'closed' and asked_at > %s
"""


def _prices(connection: psycopg.Connection) -> Counter[str]:
    """How many there are, by symbol."""
    return Counter(dict(connection.execute(_PRICES).fetchall()))


class Tape:
    """Starts `tape up` in a home, without the caller's own settings."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self._started = datetime.now(UTC)
        self.output = folder / "output"
        self._folder = folder
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAPE_", "POSTGRES_"))
        } | {"PYTHONPATH": str(ROOT), "TAPE_HOME": str(home.path)}

    def start(self, *words: str, output: Path | None = None) -> subprocess.Popen[bytes]:
        with (output or self.output).open("wb") as stream:
            return subprocess.Popen(
                [sys.executable, "-c", "from streams.cli import main; main()", "up", *words],
                cwd=self._folder,
                env=self._environment,
                stdout=stream,
                stderr=subprocess.PIPE,
            )

    def run(self, *words: str) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        process = self.start(*words)
        return self.end(process)

    def end(self, process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
        _, errors = process.communicate(timeout=DEADLINE)
        return process.returncode, self.output.read_text(), errors.decode()

    def wait_for_rows(self) -> None:
        """Until its plain lines tell that events went all the way."""
        await_(lambda: re.search(r"prices [1-9][0-9,]*/s", self.output.read_text()) is not None)

    def wait_for_tables(self) -> None:
        """Until it made them."""
        with psycopg.connect(self.home.dsn(), autocommit=True) as connection:
            await_(lambda: connection.execute("select to_regclass('trades')").fetchone() != (None,))

    def wait_for_prices(self) -> None:
        """Until there are more of them of each symbol than now."""
        with psycopg.connect(self.home.dsn(), autocommit=True) as connection:
            before = _prices(connection)
            await_(lambda: all(_prices(connection)[symbol] > before[symbol] for symbol in SYMBOLS))

    def wait_for_trades(self) -> None:
        """Until a trade of this run was closed by a command, and another paid by a settlement."""
        with psycopg.connect(self.home.dsn(), autocommit=True) as connection:
            await_(lambda: connection.execute(_CLOSED, [self._started]).fetchone() == (True, True))

    def kill_all_of(self, process: subprocess.Popen[bytes]) -> None:
        """Each process of a `tape up`, and none of the stack's; trades count from now on."""
        for child in psutil.Process(process.pid).children():
            if "streams.up.child" in child.cmdline():
                child.kill()
        self._started = datetime.now(UTC)

    def processes(self) -> list[psutil.Process]:
        """Its own and its children, which inherit the folder; the stack's daemons do not."""
        return [
            process
            for process in psutil.process_iter(["cwd"])
            if process.info["cwd"] == str(self._folder)
        ]

    def nothing_runs(self) -> bool:
        return not self.processes() and not self.stack_runs()

    def stack_runs(self) -> bool:
        return any(one.pid is not None for one in embedded.status(self.home.path))


def await_(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


@pytest.fixture
def tape(module_home: Home, tmp_path: Path) -> Iterator[Tape]:
    tape = Tape(module_home, tmp_path)
    yield tape
    for left in tape.processes():  # of a test that failed
        left.kill()


async def trades_in_topic(brokers: str) -> Trades:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition("price.ticks", number) for number in range(4)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found = set()
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=1000)
                for record in batch.get(partition, []):
                    event = decode(record.value, record.headers)
                    if isinstance(event, PriceTrade):
                        found.add((event.venue, event.symbol, event.trade_id))
        return found
    finally:
        await consumer.stop()


async def assert_no_trade_is_lost_or_doubled(home: Home) -> None:
    """Needs the running stack."""
    with psycopg.connect(home.dsn()) as connection:
        rows = connection.execute(
            "select venue, symbol, trade_id from price_history where size is not null"
        ).fetchall()
    assert len(rows) == len(set(rows))
    assert set(rows) == await trades_in_topic(home.brokers)


@pytest.mark.asyncio
async def test_after_a_kill_nothing_is_orphaned_and_the_next_run_goes_on(tape: Tape) -> None:
    killed = tape.start("--workers", "2")
    tape.wait_for_rows()
    second = tape.start(output=tape.output.with_name("second"))
    _, refusal = second.communicate(timeout=DEADLINE)
    assert second.returncode == 2
    assert f"already (pid {killed.pid})" in refusal.decode()
    children = psutil.Process(killed.pid).children()
    workers = [child for child in children if "streams.up.child" in child.cmdline()]
    # Two workers, the simulated venues, two producers, the expirer, the console and a monitor.
    assert len(workers) == 8
    killed.kill()
    killed.communicate()
    await_(lambda: not tape.processes())
    assert tape.stack_runs()

    process = tape.start("--json")
    tape.wait_for_prices()
    process.send_signal(signal.SIGINT)
    status, output, errors = tape.end(process)
    assert status == 0, errors
    summary = json.loads(output)
    assert summary["events"] > 0
    assert summary["rows"]["price_history"] > 0
    assert "system.health" in summary["lag"].pop("health")
    assert summary["rows"]["health_services"] > 0
    lags = [lag for topics in summary["lag"].values() for lag in topics.values()]
    assert len(lags) == 6
    assert not any(lags)
    assert summary["dead_letters"] == 0
    assert summary["cash"]["unexplained"] == "0"
    assert {one["symbol"] for one in summary["prices"]} == SYMBOLS
    assert tape.nothing_runs()

    embedded.start(tape.home.path)
    await assert_no_trade_is_lost_or_doubled(tape.home)
    embedded.stop(tape.home.path)


@pytest.mark.asyncio
async def test_ctrl_c_stops_cleanly_and_leaves_the_user_s_own_stack(tape: Tape) -> None:
    embedded.start(tape.home.path)
    process = tape.start()
    tape.wait_for_rows()
    tape.wait_for_trades()
    process.send_signal(signal.SIGINT)
    status, output, errors = tape.end(process)
    assert (status, errors) == (0, "")
    assert "0 not yet projected" in output
    assert re.search(r"trades: .*[1-9][0-9]* closed.*; [1-9][0-9]* ended at settlement", output)
    assert "every cent of it is explained" in output
    assert tape.home.password() not in output
    assert not tape.processes()
    await assert_no_trade_is_lost_or_doubled(tape.home)

    # The same stack, its tables now made by a version of the projection that this is not.
    with psycopg.connect(tape.home.dsn()) as connection:
        connection.execute("update generations set version = version + 1")
    try:
        status, _, errors = tape.run()
    finally:
        with psycopg.connect(tape.home.dsn()) as connection:
            connection.execute("update generations set version = version - 1")
    assert status == 75
    assert re.match(r"tape: [a-z]+: the tables are of version", errors)
    assert not tape.processes()

    status, output, errors = tape.run("--for", "1s", "--json")
    assert (status, errors) == (0, "")
    assert 1.0 <= json.loads(output)["seconds"] < 60
    assert tape.stack_runs()
    embedded.stop(tape.home.path)


@pytest.mark.chaos
def test_any_process_may_be_killed_and_every_cent_is_explained(tape: Tape) -> None:
    embedded.start(tape.home.path)
    process = tape.start("--json")
    tape.wait_for_tables()
    tape.wait_for_trades()
    tape.kill_all_of(process)
    tape.wait_for_trades()
    process.send_signal(signal.SIGINT)
    status, output, errors = tape.end(process)
    assert (status, errors) == (0, "")
    summary = json.loads(output)
    assert summary["complaints"] == []
    assert set(summary["restarts"].values()) == {1}
    assert summary["rows"]["health_restarts"] >= len(summary["restarts"])
    assert len(summary["cash"]["balances"]) == 2, (
        "a venue that was killed is another one afterwards"
    )
    assert (summary["cash"]["unexplained"], summary["dead_letters"]) == ("0", 0)
    assert not tape.processes()
    embedded.stop(tape.home.path)
    assert not list((tape.home.path / "simulated").iterdir())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--for", "soon"], "'soon' is no duration"),
        (["--venue", "mtgox"], "unknown venue 'mtgox'; the venues are binance, "),
    ],
)
def test_a_users_mistake_is_told_before_anything_starts(
    tape: Tape, words: list[str], complaint: str
) -> None:
    status, _, errors = tape.run(*words)
    assert status == 2
    assert complaint in errors
    assert "Traceback" not in errors

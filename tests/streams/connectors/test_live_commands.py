"""`tape record`, `tape replay` and `tape produce`, as a user runs them, on the real Kafka."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.connectors.base import Frame
from streams.embedded.stack import StackInfo
from streams.events import Event, PriceTrade, decode
from streams.recording import Recording, RecordingWriter, read
from streams.settings import endpoints, load_settings
from streams.topics import ensure_topics
from tests.processes.forked import Forked

ROOT = Path(__file__).parents[3]
T = 1_700_000_000_000_000


class Tape:
    """Runs `tape` without the caller's own settings."""

    def __init__(self, home: Path) -> None:
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAPE_", "POSTGRES_"))
        } | {"PYTHONPATH": str(ROOT), "TAPE_HOME": str(home)}

    def start(self, *words: object) -> subprocess.Popen[str]:
        return Forked(
            [sys.executable, "-c", "from streams.cli import main; main()", *map(str, words)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: object) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        with self.start(*words) as process:
            output, errors = process.communicate(timeout=60)
            return process.returncode, output, errors


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    """`tape` in a home without a stack."""
    return Tape(tmp_path / "home")


@pytest.fixture
def tape_on_kafka(stack: StackInfo, monkeypatch: pytest.MonkeyPatch) -> Tape:
    """`tape` on the shared stack, with the topics made."""
    monkeypatch.setenv("TAPE_HOME", str(stack.home.path))
    ensure_topics(endpoints(load_settings()))
    return Tape(stack.home.path)


def await_bytes(path: Path) -> None:
    for _ in range(1000):
        if path.exists() and path.stat().st_size:
            return
        time.sleep(0.01)
    raise TimeoutError(path)


async def in_kafka(brokers: str, key: bytes) -> list[Event]:
    """The events of this key that are in price.ticks now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition("price.ticks", number) for number in range(4)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found = []
        for partition in partitions:
            while await consumer.position(partition) < ends[partition]:
                batch = await consumer.getmany(partition, timeout_ms=1000)
                found += [
                    decode(record.value, record.headers)
                    for record in batch.get(partition, [])
                    if record.key == key
                ]
        return found
    finally:
        await consumer.stop()


def match(trade_id: int, product: str) -> Frame:
    data = {
        "type": "match",
        "trade_id": trade_id,
        "side": "sell",
        "size": "1",
        "price": "60000.01",
        "product_id": product,
        "sequence": trade_id,
        "time": "2023-11-14T22:13:20.000001Z",
    }
    return Frame(T + trade_id, "coinbase", "c1", json.dumps(data).encode())


def recorded(path: Path, product: str) -> Path:
    with RecordingWriter(path) as writer:
        for trade_id in (1, 2, 5):
            writer.write(match(trade_id, product))
        writer.write(Frame(T, "coinbase", "c1", b"garbage"))
    return path


def test_a_recording_of_the_simulated_venue_can_be_read(tape: Tape, tmp_path: Path) -> None:
    status, output, errors = tape.run("record", "simulated", "-o", tmp_path / "r", "--for", "500ms")
    assert status == 0, errors
    assert f"written to {tmp_path / 'r'}" in output
    assert {frame.feed for frame in read(tmp_path / "r")} == {"simulated"}
    assert len(list(read(tmp_path / "r"))) > 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_recording_complete(
    tape: Tape, tmp_path: Path, number: signal.Signals
) -> None:
    with tape.start("record", "simulated", "-o", tmp_path / "r") as process:
        assert process.stderr is not None
        assert "connected" in process.stderr.readline()
        await_bytes(tmp_path / "r")
        process.send_signal(number)
        output, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert "written to" in output
    recording = Recording(tmp_path / "r")
    assert len(list(recording)) > 0
    assert not recording.truncated


@pytest.mark.asyncio
async def test_a_replay_lands_in_kafka_and_sums_up(
    tape_on_kafka: Tape, brokers: str, tmp_path: Path
) -> None:
    path = recorded(tmp_path / "r", "REPLAY-ONE")
    status, output, errors = tape_on_kafka.run("replay", path, "--json")
    assert status == 0, errors
    counted = {"frames": 4, "trades": 3, "quotes": 0, "others": 0, "gaps": 1, "unparsed": 1}
    assert json.loads(output) == {**counted, "truncated": []}
    landed = await in_kafka(brokers, b"coinbase:REPLAY-ONE")
    assert [event.name for event in landed] == [*["price.trade"] * 2, "price.gap", "price.trade"]


def test_a_replay_of_a_cut_off_file_says_so(tape_on_kafka: Tape, tmp_path: Path) -> None:
    path = recorded(tmp_path / "r", "REPLAY-TWO")
    path.write_bytes(path.read_bytes()[:-3])
    status, output, errors = tape_on_kafka.run("replay", path)
    assert status == 0, errors
    assert f"{path} ends too early" in output


@pytest.mark.asyncio
async def test_the_simulated_venue_is_produced_into_kafka(
    tape_on_kafka: Tape, brokers: str
) -> None:
    words = ("produce", "simulated", "--symbol", "ETH-USD", "--for", "1s")
    before = await in_kafka(brokers, b"simulated:ETH-USD")
    status, output, errors = tape_on_kafka.run(*words)
    assert status == 0, errors
    events = (await in_kafka(brokers, b"simulated:ETH-USD"))[len(before) :]
    assert f"simulated: {len(events):,} events of" in output
    assert any(isinstance(event, PriceTrade) for event in events)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["record", "mtgox", "-o", "x"], "unknown venue 'mtgox'; the venues are binance, "),
        (["record", "coinbase", "-o", "/none/x"], "cannot write /none/x: No such file"),
        (["record", "coinbase", "-o", "x", "--for", "soon"], "'soon' is no duration"),
        (["record", "coinbase", "-o", "x", "--symbol", "BTC/USD"], "'BTC/USD' is no symbol"),
        (["produce", "mtgox"], "unknown venue 'mtgox'"),
        (["produce", "simulated"], "tape stack start"),
        (["replay", "/none"], "there is no file /none"),
        (["replay", __file__, "--speed", "fast"], "speed 'fast' is neither"),
    ],
)
def test_a_users_mistake_is_told_without_a_traceback(
    tape: Tape, words: list[str], complaint: str
) -> None:
    status, _, errors = tape.run(*words)
    assert status == 2
    assert complaint in errors
    assert "Traceback" not in errors


def test_a_file_that_is_no_recording_is_told(tape_on_kafka: Tape) -> None:
    status, _, errors = tape_on_kafka.run("replay", __file__)
    assert status == 2
    assert f"{__file__} is no recording" in errors

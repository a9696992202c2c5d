"""`tape archive` as a user runs it, and kills it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams import admin
from streams.archive.store import open_store
from streams.archive.verify import Verified, verify
from streams.cli import app
from tests.streams.archive import archive_process
from tests.streams.archive.conftest import Topic, numbered
from tests.streams.tape import ROOT, Tape

pytestmark = pytest.mark.chaos


@pytest.fixture
def tape(topic: Topic) -> Tape:
    return Tape(TAPE_BROKERS=topic.endpoints.brokers, TAPE_ARCHIVE=topic.location)


@pytest.fixture(autouse=True)
def place(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    """For commands that are run in this process."""
    monkeypatch.setenv("TAPE_BROKERS", topic.endpoints.brokers)
    monkeypatch.setenv("TAPE_ARCHIVE", topic.location)


def invoke(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, ["archive", *words])


def test_a_run_tells_what_it_has_done_and_what_it_cannot_do(topic: Topic, tape: Tape) -> None:
    name = topic.name
    assert "10 new" in invoke("list", name).output
    output = tape.output("archive", "run", name)
    assert f"{name}[0]: offsets 0 to 9, 10 records, " in output
    assert output.splitlines()[-1].startswith("10 records archived, in 1 file of ")
    assert "continues" in invoke("list", name).output

    asyncio.run(topic.send(0, *numbered(10, 30)))
    topic.remove_before(0, 15)
    assert "HOLE: begins at 15" in invoke("list", name).output
    status, output, errors = tape.run("archive", "run", name)
    assert (status, output) == (1, "0 records archived, in 0 files of 0.0 kB\n")
    assert "5 records, offsets 10 to 14, were removed" in errors
    told = json.loads(tape.output("archive", "run", name, "--accept-gap", "--json"))
    assert (told["due"], told["records"], told["problems"]) == (15, 15, [])
    assert told["gaps"] == [{"topic": name, "partition": 0, "first": 10, "until": 15}]
    (file,) = told["files"]
    assert (file["topic"], file["first"], file["until"]) == (name, 15, 30)
    assert "continues; 5 missing" in invoke("list", name).output


def test_another_place_can_be_named(topic: Topic, tape: Tape, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    assert "10 records archived" in tape.output("archive", "run", topic.name, "--to", other)
    found = json.loads(invoke("verify", "--in", other, "--json").output)
    assert (found["archive"], found["records"], found["faults"]) == (other, 10, [])
    listed = json.loads(invoke("list", topic.name, "--in", other, "--json").output)
    first, second = listed["partitions"]
    columns = "partition", "first", "until", "files", "log", "log_end", "waiting"
    assert [first[one] for one in columns] == [0, 0, 10, 1, "continues", 10, 0]
    assert [second[one] for one in columns] == [1, None, None, 0, "continues", 0, 0]
    assert not Path(topic.location).exists()


def test_a_damaged_archive_ends_with_status_1(topic: Topic) -> None:
    asyncio.run(topic.run())
    assert invoke("verify").output.startswith("whole: 1 file, 10 records, ")
    (file,) = Path(topic.location).rglob("*.parquet")
    file.write_bytes(b"")
    result = invoke("verify")
    assert result.exit_code == 1
    assert result.stdout.startswith("whole: 0 files")
    assert result.stderr.startswith(f"tape: {file} has 0 bytes instead of ")


def test_an_archive_is_listed_without_its_broker(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(topic.run())
    monkeypatch.setenv("TAPE_BROKERS", "127.0.0.1:1")
    monkeypatch.setattr(admin, "_TIMEOUT_S", 0.5)
    result = invoke("list", topic.name)
    assert result.exit_code == 0
    assert result.stderr.startswith("tape: the logs are not known: ")
    assert "0-9" in result.stdout
    assert "unknown" in result.stdout


def test_with_a_broker_of_one_s_own_the_place_must_be_named(tape: Tape) -> None:
    complaint = tape.complaint("archive", "run", TAPE_ARCHIVE="")
    assert complaint.startswith("tape: TAPE_ARCHIVE is not set: ")


def start(topic: Topic) -> subprocess.Popen[str]:
    own: dict[str, Any] = {"PYTHONPATH": str(ROOT)}  # TAPE_* are set in this process
    return subprocess.Popen(
        [sys.executable, "-m", archive_process.__name__, "archive", "run", topic.name],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.chaos
def test_a_killed_run_is_completed_by_the_next(topic: Topic) -> None:
    """Killed twice, each time once it has written something more."""
    asyncio.run(topic.send(0, *numbered(10, 5_000)))
    asyncio.run(topic.send(1, *numbered(0, 5_000)))
    folder = Path(topic.location)
    for _ in range(2):
        before = set(folder.rglob("*.parquet*"))
        with start(topic) as process:
            deadline = time.monotonic() + 60
            while len(set(folder.rglob("*.parquet*")) - before) < 7:
                assert process.poll() is None, "it was over before it could be killed"
                assert time.monotonic() < deadline, "it writes nothing"
            process.kill()
        found = Verified()
        verify(open_store(topic.location), [topic.name], found)
        assert (found.faults, found.records >= 500) == ([], True)
    with start(topic) as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    for partition in (0, 1):
        assert topic.archived(partition) == asyncio.run(topic.consumed(partition))

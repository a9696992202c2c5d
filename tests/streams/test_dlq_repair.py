"""`tape dlq retry`, `discard` and `show` on refused records, and what is told of the decisions."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from projections.base import Batch
from projections.database import connect
from projections.decisions import Operator, record
from projections.prices import Prices
from streams import admin
from streams.cli import app
from streams.decisions import send_decisions
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events import DeadLettersDiscarded, DeadLettersRedriven, Decision, Event, decode
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.projections.logs import TOPIC_ID, log_of, rows, trade, unreadable
from tests.projections.redriven import older, project
from tests.streams.tape import Tape, records_of

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def brokers_with_topics(stack: StackInfo) -> str:
    """A broker that has every topic of the catalogue."""
    ensure_topics(Endpoints(stack.brokers, {}, stack.dsn, True, True))
    return stack.brokers


@pytest.fixture
def endpoints(brokers_with_topics: str, migrated_dsn: str) -> Endpoints:
    return Endpoints(brokers_with_topics, {}, migrated_dsn, True, True)


@pytest.fixture
def tape(endpoints: Endpoints, tmp_path: Path) -> Tape:
    """`tape` in processes of its own."""
    return Tape(
        TAPE_HOME=str(tmp_path),
        TAPE_BROKERS=endpoints.brokers,
        TAPE_DSN=endpoints.dsn,
        TAPE_OPERATOR="ann",
    )


class Here:
    """`tape dlq` in this process, which is quicker."""

    def run(self, *words: object) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        found = CliRunner().invoke(app, ["dlq", *map(str, words)])
        if isinstance(found.exception, UserError):
            return 2, found.stdout, str(found.exception)
        assert found.exception is None or isinstance(found.exception, SystemExit)
        return found.exit_code, found.stdout, found.stderr

    def output(self, *words: object) -> str:
        """The standard output of what has to succeed, without a word on standard error."""
        status, output, errors = self.run(*words)
        assert (status, errors) == (0, "")
        return output

    def complaint(self, *words: object) -> str:
        """What a user's mistake is answered with."""
        status, output, errors = self.run(*words)
        assert (status, output) == (2, "")
        return errors


@pytest.fixture
def here(endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    settings = {"HOME": str(tmp_path), "BROKERS": endpoints.brokers, "DSN": endpoints.dsn}
    for name, value in {**settings, "OPERATOR": "ann"}.items():
        monkeypatch.setenv(f"TAPE_{name}", value)
    return Here()


def refuse(dsn: str, *offsets: int, count: int = 6) -> None:
    """Project trades by a program that cannot read those at these offsets."""
    asyncio.run(project(dsn, older(Prices, offsets), [log_of(map(trade, range(count)))]))


def held(dsn: str) -> list[int]:
    return sorted(int(row["trade_id"]) for row in rows(dsn, "price_history"))


def outcomes(dsn: str) -> list[str | None]:
    return [row["outcome"] for row in rows(dsn, "dead_letters", '"offset"')]


def sent(endpoints: Endpoints) -> list[Decision]:
    """The decisions of this database that are in the topic, as often as they are there."""
    own = {str(row["id"]) for row in rows(endpoints.dsn, "decisions")}
    reading = records_of(endpoints.brokers, "system.decisions", "prices", partitions=1)
    records = asyncio.run(reading)
    found: list[Event] = [decode(one.value, one.headers) for one in records]
    return [one for one in found if isinstance(one, Decision) and one.decision_id in own]


def test_refused_records_are_projected_and_the_decision_is_told(
    endpoints: Endpoints, here: Here
) -> None:
    refuse(endpoints.dsn, 1, 3)
    output = here.output("retry", "--projection", "prices", "--why", "mended")
    assert output == "2 refused records tried: 2 projected\n"
    assert held(endpoints.dsn) == list(range(6))
    assert outcomes(endpoints.dsn) == ["projected", "projected"]
    told = sent(endpoints)
    assert [type(one) for one in told] == [DeadLettersRedriven] * 2
    assert [(one.operator, one.why) for one in told] == [("ann", "mended")] * 2
    assert [one.offsets for one in told if isinstance(one, DeadLettersRedriven)] == [(1,), (3,)]
    assert here.output("retry") == "no dead letter waits that was chosen\n"
    assert "refused, projected, by prices" in here.output("list", "--all")
    assert sent(endpoints) == told


_WAITING = b"""
select pid from pg_stat_activity
where datname = current_database() and application_name like 'tickertape%'
    and wait_event_type = 'Lock'
"""


def start_waiting(tape: Tape, dsn: str, *words: object) -> subprocess.Popen[str]:
    """A command, once it waits for a lock."""
    process = tape.start(*words)
    deadline = time.monotonic() + 60
    with psycopg.connect(dsn, autocommit=True) as connection:
        while not connection.execute(_WAITING).fetchall():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "it does not come to wait"
            time.sleep(0.05)
    return process


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["retry"], ["projected"] * 2), (["discard", "--yes", "--why", "x"], ["discarded"] * 2)],
)
def test_a_command_killed_before_it_commits_has_done_nothing(
    endpoints: Endpoints, tape: Tape, words: list[str], expected: list[str]
) -> None:
    """All is written but the decision, for which it waits when it is killed."""
    refuse(endpoints.dsn, 1, 3)
    with psycopg.connect(endpoints.dsn) as holder:
        holder.execute("lock table decisions in share mode")
        process = start_waiting(tape, endpoints.dsn, "dlq", *words)
        process.kill()
        process.communicate(timeout=30)
        with psycopg.connect(endpoints.dsn, autocommit=True) as connection:
            connection.execute(b"select pg_terminate_backend(pid) from (" + _WAITING + b") as w")
    assert outcomes(endpoints.dsn) == [None, None]
    assert held(endpoints.dsn) == [0, 2, 4, 5]
    assert rows(endpoints.dsn, "decisions") == []

    tape.output("dlq", *words)
    assert outcomes(endpoints.dsn) == expected
    assert held(endpoints.dsn) == (list(range(6)) if words == ["retry"] else [0, 2, 4, 5])
    assert len({one.decision_id for one in sent(endpoints)}) == len(sent(endpoints))


def test_two_retries_at_once_share_the_work(endpoints: Endpoints, tape: Tape) -> None:
    refuse(endpoints.dsn, *range(40), count=41)
    processes = [tape.start("dlq", "retry", "--json") for _ in range(2)]
    told = [json.loads(process.communicate(timeout=60)[0])["refused"] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(one["projected"] for one in told) == 40
    assert held(endpoints.dsn) == list(range(41))
    assert len(rows(endpoints.dsn, "decisions")) == 40


def test_a_retry_is_bounded_and_the_next_goes_on(endpoints: Endpoints, here: Here) -> None:
    refuse(endpoints.dsn, 0, 1, 2, 4)
    assert here.output("retry", "--since", "2999-01-01").startswith("no dead letter")
    here.output("retry", "price.ticks[0]@4")
    assert outcomes(endpoints.dsn) == [None, None, None, "projected"]
    here.output("retry", "--limit", 2)
    assert outcomes(endpoints.dsn) == ["projected", "projected", None, "projected"]
    here.output("retry", "--limit", 2)
    assert outcomes(endpoints.dsn) == ["projected"] * 4


def test_what_is_refused_again_is_told_with_status_1(endpoints: Endpoints, here: Here) -> None:
    [batch] = [log_of(map(trade, range(3)))]
    records: Sequence[Any] = batch.records
    broken = Batch(batch.source, [records[0], unreadable(records[1]), records[2]])
    asyncio.run(project(endpoints.dsn, Prices(), [broken]))
    status, output, errors = here.run("retry")
    assert (status, errors) == (1, "")
    assert output.startswith("1 refused record tried: 0 projected\n1 refused again:\n  1: ")
    assert held(endpoints.dsn) == [0, 2]
    shown = here.output("show", "price.ticks[0]@1")
    assert "1 redrive so far: " in shown
    assert "now      waits" in shown
    assert sent(endpoints) == []


def test_discarding_keeps_the_bytes_and_is_told(endpoints: Endpoints, here: Here) -> None:
    refuse(endpoints.dsn, 1, 3, 4)
    before = [row["value"] for row in rows(endpoints.dsn, "dead_letters", '"offset"')]
    assert "Missing option '--why'" in here.complaint("discard")
    assert "--why is blank" in here.complaint("discard", "--yes", "--why", " ")
    assert "3 dead letters would be" in here.complaint("discard", "--why", "made by hand")
    one = here.output("discard", "price.ticks[0]@3", "--why", "made by hand")
    assert one == "1 dead letter discarded; nothing is deleted\n"
    assert outcomes(endpoints.dsn) == [None, "discarded", None]
    rest = here.output("discard", "--yes", "--why", "no use", "--json")
    assert json.loads(rest) == {"discarded": 2}
    assert outcomes(endpoints.dsn) == ["discarded"] * 3
    assert [row["value"] for row in rows(endpoints.dsn, "dead_letters", '"offset"')] == before
    assert here.output("discard", "--why", "again") == "none waits\n"
    assert here.output("retry").startswith("no dead letter")
    told = [one for one in sent(endpoints) if isinstance(one, DeadLettersDiscarded)]
    assert [(one.why, one.offsets, one.of_topic_id) for one in told] == [
        ("made by hand", (3,), TOPIC_ID),
        ("no use", (1, 4), TOPIC_ID),
    ]


def test_a_dead_letter_is_shown_whole_without_control_characters(
    endpoints: Endpoints, here: Here
) -> None:
    [batch] = [log_of([trade(0), trade(1), trade(2)])]
    records: Sequence[Any] = batch.records
    odd = replace(records[1], key=b"\x1b[31mred", value=b"\x1b]0;title\x07")
    raw = replace(records[2], value=b"\xff\x00", headers=[("h\x1b", b"\xff"), ("none", None)])
    asyncio.run(project(endpoints.dsn, Prices(), [Batch(batch.source, [records[0], odd, raw])]))
    shown = here.output("show", "price.ticks[0]@1")
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "ce_type: price.trade.v1" in shown
    assert "value: 10 bytes, in base64\n    G10wO3RpdGxlBw==" in shown
    [letter] = json.loads(here.output("show", "price.ticks[0]@1", "--json"))["dead_letters"]
    assert (letter["key"], letter["value"]) == ("\x1b[31mred", "\x1b]0;title\x07")
    shown = here.output("show", "price.ticks[0]@2")
    assert "value: 2 bytes, in base64\n    /wA=" in shown
    assert "/w== (base64)" in shown
    assert "none: null" in shown
    [letter] = json.loads(here.output("show", "price.ticks[0]@2", "--json"))["dead_letters"]
    assert letter["value_base64"] == "/wA="
    assert "is no dead letter" in here.complaint("show", "price.ticks[0]@0")
    assert "is no place" in here.complaint("show", "price.ticks@0")
    assert "'nowhere'" in here.complaint("show", "nowhere[0]@0")


def discarded(offset: int) -> DeadLettersDiscarded:
    return DeadLettersDiscarded(
        **Operator("bob", "no use").decides(),
        projection="prices",
        of_topic="price.ticks",
        of_topic_id=TOPIC_ID,
        partition=0,
        offsets=(offset,),
    )


async def decide(dsn: str, decision: Decision) -> None:
    async with await connect(dsn, "test", {}) as connection, connection.transaction():
        await record(connection, decision)


def test_what_was_decided_and_not_sent_is_sent_by_a_later_command_once(
    endpoints: Endpoints, here: Here
) -> None:
    refuse(endpoints.dsn, 1)
    before = discarded(7)
    asyncio.run(decide(endpoints.dsn, before))  # as by a command that was killed here
    assert sent(endpoints) == []
    here.output("discard", "--why", "no use")
    first, second = sent(endpoints)
    assert first == before
    assert second.operator == "ann"
    assert asyncio.run(send_decisions(endpoints)) == 0
    assert len(sent(endpoints)) == 2


def test_senders_at_once_send_each_decision_once(endpoints: Endpoints) -> None:
    async def three_times() -> list[int]:
        return await asyncio.gather(*(send_decisions(endpoints) for _ in range(3)))

    made = [discarded(offset) for offset in range(20)]
    for decision in made:
        asyncio.run(decide(endpoints.dsn, decision))
    counts = asyncio.run(three_times())
    assert sum(counts) == 20
    assert sent(endpoints) == made


def test_a_deed_that_is_undone_leaves_no_decision(endpoints: Endpoints) -> None:
    async def undo() -> None:
        async with (
            await connect(endpoints.dsn, "test", {}) as connection,
            connection.transaction(force_rollback=True),
        ):
            await record(connection, discarded(1))

    asyncio.run(undo())
    assert asyncio.run(send_decisions(endpoints)) == 0


def test_without_a_broker_the_deed_is_done_and_the_decision_waits(
    endpoints: Endpoints, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(endpoints.dsn, 1)
    monkeypatch.setenv("TAPE_BROKERS", "127.0.0.1:1")
    monkeypatch.setattr(admin, "_TIMEOUT_S", 0.5)
    status, output, errors = here.run("retry")
    assert (status, output) == (0, "1 refused record tried: 1 projected\n")
    assert "what was decided is sent later" in errors
    assert held(endpoints.dsn) == list(range(6))
    assert sent(endpoints) == []
    assert asyncio.run(send_decisions(endpoints)) == 1
    assert len(sent(endpoints)) == 1

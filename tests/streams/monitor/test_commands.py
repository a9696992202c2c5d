"""`tape lag`, `tape health` and `tape monitor` as a user runs them."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.events import decode
from streams.events.system_health import TOPIC, Incident
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.streams.tape import Tape, records_of


@pytest.fixture
def tape(brokers: str, migrated_dsn: str) -> Tape:
    """On tables of the test's own, which no worker projects into."""
    ensure_topics(Endpoints(brokers, {}, migrated_dsn, True, True))
    return Tape(TAPE_BROKERS=brokers, TAPE_DSN=migrated_dsn)


def look(tape: Tape, *words: str) -> tuple[int, dict[str, Any]]:
    status, output, errors = tape.run(*words, "--json")
    assert errors == ""
    return status, json.loads(output)


def test_lag_is_told_of_each_projection_by_its_checkpoints(tape: Tape) -> None:
    status, found = look(tape, "lag", "--group", "prices", "--group", "tickertape-account")
    assert status == 0
    assert [one["projection"] for one in found["groups"]] == ["account", "prices"]
    assert [one["is_up"] for one in found["sources"]] == [True, True]
    [prices] = [one for one in found["groups"] if one["projection"] == "prices"]
    assert {one["topic"] for one in prices["partitions"]} == {"price.ticks"}
    assert prices["lag"] == sum(one["end"] - one["current"] for one in prices["partitions"])


def test_lag_fits_a_terminal_of_80_columns(tape: Tape) -> None:
    status, output, errors = tape.run("lag", "--group", "prices")
    assert (status, errors) == (0, "")
    lines = output.splitlines()
    assert re.match(r"partition +state +current +end +records +behind +owner", lines[0])
    assert len([line for line in lines if line.startswith("price.ticks[")]) == 4
    assert max(map(len, lines)) <= 80


def test_a_group_that_is_not_there_is_a_users_mistake(tape: Tape) -> None:
    assert "there is no group nothing; there are: " in tape.complaint("lag", "--group", "nothing")


def test_watching_needs_a_terminal(tape: Tape) -> None:
    assert "--watch is for a terminal" in tape.complaint("lag", "--watch")


def test_health_says_what_is_wrong_and_its_exit_status_how_bad_it_is(tape: Tape) -> None:
    status, found = look(tape, "health")
    assert found["level"] == {1: "warning", 2: "critical"}[status]
    titles = [one["title"] for one in found["incidents"]]
    assert any(title.startswith("prices: nobody owns price.ticks") for title in titles)
    _, output, _ = tape.run("health")
    assert re.search(r"(WARNING|CRITICAL) since [0-9:]{8}: prices: nobody owns", output)


def test_without_broker_and_database_both_are_told_and_nothing_is_made_up(tape: Tape) -> None:
    away = {"TAPE_BROKERS": "127.0.0.1:1", "TAPE_DSN": "postgresql://u:secret@127.0.0.1:1/d"}
    status, output, errors = tape.run("health", **away)
    assert (status, errors) == (2, "")
    assert re.search(r"CRITICAL since .*: the broker does not answer", output)
    assert re.search(r"CRITICAL since .*: the database does not answer", output)
    assert "secret" not in output
    status, output, errors = tape.run("lag", **away)
    assert (status, errors) == (1, "")
    assert "the broker does not answer" in output


async def test_a_monitor_serves_metrics_and_puts_incidents_into_the_log(
    tape: Tape, brokers: str
) -> None:
    process = tape.start("monitor", "--port", "0", "--every", "500ms")
    assert process.stdout is not None
    address = (await asyncio.to_thread(process.stdout.readline)).split()[-1]
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while (await client.get(address.replace("metrics", "ready"))).status_code != 200:
                await asyncio.sleep(0.2)
            found: list[Incident] = []
            while not found:
                found = await incidents_of(brokers)
            text = (await client.get(address)).text
        names = {family.name for family in text_string_to_metric_families(text)}
        assert {"tape_lag_seconds", "kafka_consumergroup_group_lag", "tape_incident"} <= names
        assert found[0].action == "opened"
        assert found[0].title.startswith("prices: nobody owns price.ticks")
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


async def incidents_of(brokers: str) -> list[Incident]:
    """What monitors told of `prices`, newest last."""
    records = await records_of(brokers, TOPIC, "projection/prices", partitions=1)
    events = [decode(one.value, one.headers) for one in records]
    return [one for one in events if isinstance(one, Incident)]


def test_a_port_that_is_taken_is_a_users_mistake(tape: Tape) -> None:
    with tape.start("monitor", "--port", "0") as first:
        assert first.stdout is not None
        port = first.stdout.readline().split(":")[-1].split("/")[0]
        status, _, errors = tape.run("monitor", "--port", port)
        first.terminate()
    assert status == 2
    assert f"cannot listen on 127.0.0.1:{port}" in errors
    assert "Traceback" not in errors

"""A process answers probes by its progress, and Prometheus with its metrics."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from streams.endpoint import serving
from streams.errors import UserError
from streams.progress import Progress, ProgressCollector, why_not_live, why_not_ready


class Clock:
    """Seconds, as a test sets them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(clock: Clock) -> Progress:
    return Progress("prices", lambda: 4, clock)


@pytest.fixture
def address(progress: Progress) -> Iterator[str]:
    registry = CollectorRegistry()
    registry.register(ProgressCollector([progress]))
    probes = (lambda: why_not_live([progress]), lambda: why_not_ready([progress]))
    with serving(registry, *probes, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_worker_with_nothing_to_do_lives(address: str, clock: Clock) -> None:
    clock.now = 1000.0
    assert httpx.get(f"{address}/live").text == "ok\n"
    assert httpx.get(f"{address}/ready").status_code == 200


def test_a_worker_that_commits_nothing_while_records_wait_does_not_live(
    address: str, progress: Progress, clock: Clock
) -> None:
    progress.waits()
    clock.now = 30.0
    assert httpx.get(f"{address}/live").status_code == 200
    clock.now = 31.0
    reply = httpx.get(f"{address}/live")
    assert (reply.status_code, reply.text) == (503, "prices: nothing committed for 31 s\n")
    assert httpx.get(f"{address}/ready").status_code == 503
    progress.committed(10, 0.02)
    assert httpx.get(f"{address}/live").status_code == 200


def test_a_worker_without_partitions_is_not_ready_but_lives(clock: Clock) -> None:
    without = Progress("prices", lambda: 0, clock)
    assert why_not_ready([without]) == "no partitions of prices"
    assert why_not_live([without]) is None


def test_going_back_to_the_checkpoints_begins_anew(progress: Progress, clock: Clock) -> None:
    progress.waits()
    clock.now = 100.0
    progress.recovers()
    assert (progress.stands_for(), progress.recoveries) == (0.0, 1)


def test_units_are_counted_with_what_they_took(address: str, progress: Progress) -> None:
    for seconds in (0.001, 0.02, 7.0):
        progress.committed(100, seconds)
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(httpx.get(f"{address}/metrics").text)
        for sample in family.samples
    }
    assert samples["tape_worker_records_total", None] == 300
    assert samples["tape_worker_units_total", None] == 3
    assert samples["tape_worker_partitions", None] == 4
    assert samples["tape_worker_unit_seconds_bucket", "0.005"] == 1
    assert samples["tape_worker_unit_seconds_bucket", "0.025"] == 2
    assert samples["tape_worker_unit_seconds_bucket", "+Inf"] == 3
    assert samples["tape_worker_unit_seconds_sum", None] == pytest.approx(7.021)


def test_another_address_is_told_what_there_is(address: str) -> None:
    reply = httpx.get(f"{address}/nothing")
    assert (reply.status_code, reply.text) == (404, "ask for /metrics, /live or /ready\n")


def test_a_port_that_is_taken_is_a_sentence(address: str) -> None:
    port = int(address.rpartition(":")[2])
    again = serving(CollectorRegistry(), lambda: None, lambda: None, "127.0.0.1", port)
    with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}: Address"), again:
        pass

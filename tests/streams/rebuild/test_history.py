"""What the log no longer has: refused, accepted, or taken from the archive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from projections.database import connect
from projections.errors import Refusal
from streams.admin import Broker
from streams.archive.run import Run, run
from streams.archive.store import open_store
from streams.errors import UserError
from streams.events import encode
from streams.events.catalogue import DAY_MS
from tests.projections.logs import trade
from tests.streams.rebuild.stage import Prices, Stage


def forget(stage: Stage, records: int) -> None:
    """Has the broker delete so many records of each partition, as retention does."""
    admin = AdminClient({"bootstrap.servers": stage.home.brokers})
    places = [TopicPartition(*part, min(records, end)) for part, end in stage.ends().items()]
    for future in admin.delete_records(places).values():
        future.result()


def archive(stage: Stage, folder: Path) -> None:
    """Archives the stage's topics, and has what reads the log know of it."""
    store = open_store(str(folder))
    done = Run()
    asyncio.run(run(store, stage.endpoints, list(stage.topics.values()), done))
    stage.archive = str(folder)


def test_a_partial_history_is_refused_and_says_what_would_be_missing(prices: Stage) -> None:
    forget(prices, 100)
    with pytest.raises(Refusal, match=r"400 records are no longer kept.*offsets 0 to 99.*--accept"):
        prices.rebuild_here()
    assert prices.generations() == [(1, True)]
    prices.rebuild_here(accept_gap=True)
    assert prices.generations() == [(2, True)]
    decided = prices.query("select ce_type, count(*) from decisions group by 1 order by 1")
    assert decided == [("decision.gap_accepted.v1", 4), ("decision.projection_rebuilt.v1", 1)]


def test_an_archive_and_a_truncated_log_rebuild_all(prices: Stage, tmp_path: Path) -> None:
    archive(prices, tmp_path / "archive")
    prices.fill(300, seed=2)
    prices.project()
    wanted = prices.contents()
    forget(prices, 100)
    prices.execute("truncate prices_1.price_history")
    prices.rebuild_here()
    assert prices.contents() == wanted
    assert prices.verify_here().first is None


@pytest.mark.parametrize("kind", ["prices", "account"])
def test_an_archive_and_an_empty_log_rebuild_all(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    stage: Stage = request.getfixturevalue(kind)
    archive(stage, tmp_path / "archive")
    wanted = stage.contents()
    forget(stage, 1_000_000)
    stage.rebuild_here()
    assert stage.contents() == wanted


def test_seconds_of_five_years_ago_survive_retention_and_a_rebuild(
    make_stage: Callable[[type[Stage]], Stage], tmp_path: Path
) -> None:
    stage = make_stage(Prices)
    Broker(stage.endpoints).alter(stage.topic, {"message.timestamp.type": "CreateTime"})
    now = time.time_ns() // 1_000_000
    for appended in (now - 5 * 365 * DAY_MS, now):
        asyncio.run(send(stage, appended))
    stage.project()
    assert stage.query("select count(*) from price_history") == [(240,)]
    asyncio.run(close_months(stage))
    assert stage.query("select count(*), sum(trades) from price_seconds") == [(24, 240)]
    assert stage.query("select count(*) from price_history") == [(120,)]
    wanted = stage.contents()
    archive(stage, tmp_path / "archive")
    forget(stage, 1_000_000)
    stage.rebuild_here(history_days=365)
    assert stage.contents() == wanted
    assert stage.verify_here().first is None


async def send(stage: Stage, appended: int) -> None:
    """Sends 120 trades of twelve seconds, as appended at this time (milliseconds)."""
    async with AIOKafkaProducer(bootstrap_servers=stage.home.brokers) as producer:
        for number in range(120):
            moment = appended // 1000 * 1_000_000 + number * 100_000
            event = trade(trade_id=f"{appended}-{number}", time=moment, received=appended * 1000)
            record = encode(event)
            await producer.send(
                stage.topic, record.value, record.key, headers=record.headers, timestamp_ms=appended
            )


async def close_months(stage: Stage) -> None:
    """What a worker does every hour, told to keep a year."""
    async with await connect(stage.dsn, "test", {"search_path": "prices_1"}) as connection:
        await stage.kind().maintain(connection, 365)


def test_a_partial_history_cannot_be_compared(prices: Stage) -> None:
    forget(prices, 100)
    with pytest.raises(Refusal, match="cannot be compared"):
        prices.verify_here()


def test_a_corrupted_archive_is_said_and_nothing_is_left(prices: Stage, tmp_path: Path) -> None:
    archive(prices, tmp_path / "archive")
    forget(prices, 1_000_000)
    file = max((tmp_path / "archive").rglob("*.parquet"))
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(UserError, match=file.name):
        prices.rebuild_here()
    assert prices.generations() == [(1, True)]


def test_a_hole_between_the_archive_and_the_log_is_refused(prices: Stage, tmp_path: Path) -> None:
    archive(prices, tmp_path / "archive")
    prices.fill(2_000, seed=2)
    forget(prices, 10_000)
    with pytest.raises(Refusal, match="cannot be rebuilt in full"):
        prices.rebuild_here()


def test_a_topic_made_anew_before_the_rebuild_is_refused(prices: Stage) -> None:
    admin = AdminClient({"bootstrap.servers": prices.home.brokers})
    for future in admin.delete_topics([prices.topic]).values():
        future.result()
    prices.create_topics()
    with pytest.raises(Refusal, match=r"hold .* records of .* before it was deleted"):
        prices.rebuild_here()
    prices.fill(500, seed=5)
    with pytest.raises(Refusal, match="could not be projected that the live tables have"):
        prices.rebuild_here(accept_gap=True)
    prices.rebuild_here(accept_gap=True, accept_dead_letters=True)
    prices.project()
    assert prices.verify_here().first is None

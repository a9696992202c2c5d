"""What the log no longer has: refused, accepted, or taken from the archive."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from projections.errors import Refusal
from streams.archive.run import Run, run
from streams.archive.store import open_store
from tests.streams.rebuild.stage import Stage


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
    forget(prices, 200)
    prices.execute("truncate prices_1.price_history")
    prices.rebuild_here()
    assert prices.contents() == wanted
    assert prices.verify_here().first is None


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
    prices.rebuild_here(accept_gap=True)
    prices.project()
    assert prices.verify_here().first is None

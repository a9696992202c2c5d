"""What ends a rebuild with a message, and leaves the live tables as they are."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient
from psycopg.conninfo import make_conninfo

from projections.errors import Refusal
from streams.errors import UserError
from streams.rebuild import alone, takeover
from tests.streams.rebuild.stage import Stage


def test_a_second_rebuild_at_once_is_refused(prices: Stage) -> None:
    async def both() -> None:
        async with alone.alone("prices", prices.dsn):
            with pytest.raises(UserError, match="prices is being rebuilt"):
                async with alone.alone("prices", prices.dsn):
                    pass
            async with alone.alone("account", prices.dsn):
                pass

    asyncio.run(both())


def test_what_a_killed_rebuild_left_is_dropped_by_the_next_one(prices: Stage) -> None:
    prices.execute(
        "insert into generations (projection, generation, version) values ('prices', 2, 1);"
        "create schema prices_2; create table prices_2.price_history (x integer)"
    )
    prices.rebuild_here()
    assert prices.generations() == [(2, True)]
    prices.check()


def test_tables_that_someone_stands_on_are_left_and_said(prices: Stage) -> None:
    prices.execute("create view mine as select * from prices_1.latest_price")
    outcome = prices.rebuild_here()
    assert outcome.left is not None
    assert "prices_1 stays, because mine stands on its tables" in outcome.left
    assert prices.generations() == [(1, False), (2, True)]
    prices.execute("drop view mine")
    prices.rebuild_here()
    assert prices.generations() == [(3, True)]


def test_a_topic_made_anew_during_the_rebuild_is_refused(prices: Stage) -> None:
    def make_anew(phase: str) -> None:
        if phase == "swapping":
            return
        if phase == "catching up":
            admin = AdminClient({"bootstrap.servers": prices.home.brokers})
            for future in admin.delete_topics([prices.topic]).values():
                future.result()
            prices.create_topics()

    prices.reporter.hook = make_anew
    with pytest.raises(UserError, match="was deleted and made anew|offsets|missing"):
        prices.rebuild_here()
    assert prices.generations() == [(1, True)]


@pytest.fixture
def small_disk(prices: Stage) -> Iterator[str]:
    """A DSN of the stage's database that makes new tables on a disk of 1 MB."""
    folder = tempfile.mkdtemp(prefix="tickertape-small-")
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode:
        Path(folder).rmdir()
        pytest.skip("a small disk has to be mounted, which this user may not")
    try:
        [(pid,)] = prices.query(
            "select pid from pg_stat_activity where backend_type = 'checkpointer'"
        )
        os.chown(folder, psutil.Process(pid).uids().real, -1)
        name = f"small_{secrets.token_hex(4)}"
        prices.execute(f"create tablespace {name} location '{folder}'")
        yield make_conninfo(prices.dsn, options=f"-c default_tablespace={name}")
        prices.execute(f"drop tablespace {name}")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        Path(folder).rmdir()


def test_a_full_disk_is_said_and_nothing_is_left(prices: Stage, small_disk: str) -> None:
    prices.fill(5_000, seed=2)
    prices.project()
    own, prices.dsn = prices.dsn, small_disk
    with pytest.raises(UserError, match="disk is full.*live tables are as they were"):
        prices.rebuild_here()
    prices.dsn = own
    assert prices.generations() == [(1, True)]
    prices.rebuild_here()
    prices.check()


def test_a_reader_that_holds_the_views_delays_the_swap_only(prices: Stage) -> None:
    import psycopg

    reader = psycopg.connect(prices.dsn)
    reader.execute("select * from latest_price")

    def let_go(phase: str) -> None:
        if len(prices.reporter.waited) >= 2:
            reader.rollback()

    prices.reporter.hook = let_go
    prices.rebuild_here()
    reader.close()
    assert prices.reporter.waited
    prices.check()


def test_a_swap_that_committed_without_a_reply_is_told_as_such(
    prices: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    module: Any = takeover
    original = module.try_swap

    async def lost(*arguments: Any) -> Any:
        await original(*arguments)
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(takeover, "try_swap", lost)
    with pytest.raises(UserError, match="generation 2 is live"):
        prices.rebuild_here()
    assert prices.generations() == [(1, False), (2, True)]
    prices.check()


def test_a_generation_that_is_not_what_it_was_cannot_take_over(prices: Stage) -> None:
    def drop(phase: str) -> None:
        if phase == "catching up":
            prices.execute("delete from generations where projection = 'prices' and generation = 2")

    prices.reporter.hook = drop
    with pytest.raises((Refusal, UserError)):
        prices.rebuild_here()
    assert prices.generations() == [(1, True)]
    prices.check()


def test_a_table_that_is_dropped_by_hand_meanwhile_ends_the_rebuild(prices: Stage) -> None:
    def drop(phase: str) -> None:
        if phase == "deriving":
            prices.execute("drop table prices_2.price_seconds")

    prices.reporter.hook = drop
    with pytest.raises(UserError, match=r'"price_seconds" does not exist.*are as they were'):
        prices.rebuild_here()
    assert prices.generations() == [(1, True)]
    prices.check()

"""A rebuild leaves what the log says, and whoever reads or stands on the tables does not notice."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tests.streams.rebuild.stage import Stage

EMPTIED = {"prices": "price_history", "account": "fills", "tally": "tally"}


@pytest.mark.parametrize("kind", EMPTIED)
def test_rebuilt_tables_are_what_the_log_says(kind: str, request: pytest.FixtureRequest) -> None:
    stage: Stage = request.getfixturevalue(kind)
    stage.check()
    stage.execute(f"truncate {kind}_1.{EMPTIED[kind]}")
    outcome = stage.rebuild_here()
    assert (outcome.replaced, outcome.left) == (1, None)
    assert stage.generations() == [(2, True)]
    stage.check()


def test_live_goes_on_in_the_new_generation(prices: Stage) -> None:
    prices.rebuild_here()
    prices.fill(1_000, seed=2)
    prices.project()
    prices.check()
    assert prices.query("select count(*) from checkpoints where generation = 2")[0][0] > 0


def test_rebuilt_tables_have_the_same_keys_and_indexes(prices: Stage) -> None:
    def indexes(schema: str) -> list[tuple[str, ...]]:
        return prices.query(
            "select tablename, indexname, replace(indexdef, schemaname || '.', '')"
            " from pg_indexes where schemaname = %s order by 1, 2",
            schema,
        )

    before = indexes("prices_1")
    prices.rebuild_here()
    assert indexes("prices_2") == before


def test_readers_never_see_fewer_rows(prices: Stage) -> None:
    done = threading.Event()
    counts: list[int] = []

    def read() -> None:
        with psycopg.connect(prices.dsn, autocommit=True) as connection:
            while not done.is_set():
                row = connection.execute("select count(*) from price_history").fetchone()
                counts.append(row[0] if row else 0)

    reader = threading.Thread(target=read)
    reader.start()
    prices.rebuild_here()
    done.set()
    reader.join()
    assert set(counts) == {counts[0]}


def test_what_stands_on_the_views_and_who_may_read_them_stays(prices: Stage) -> None:
    prices.execute("create view mine as select count(*) as trades from price_history")
    prices.execute("create role reader; grant select on price_history to reader")
    try:
        wanted = prices.query("select trades from mine")
        prices.rebuild_here()
        assert prices.query("select trades from mine") == wanted
        assert prices.query("select has_table_privilege('reader', 'price_history', 'select')")[0][0]
    finally:
        prices.execute("drop owned by reader; drop role reader")

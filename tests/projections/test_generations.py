"""Migrations and generations: what `tape db migrate` makes, and what a worker asks of it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from typer.testing import CliRunner

from projections import PROJECTIONS, generation, migrations, names
from projections.database import connect
from projections.errors import Refusal
from projections.migrations import migrate, status
from projections.unit import Projector
from streams.cli import app
from tests.projections.dummy.tally import Tally
from tests.projections.logs import claim, log_of, rows, trade
from tests.projections.registered import registered

NAMES = [
    *("0001_spine", "0002_reference_venues", "0003_advance_checkpoints"),
    "0004_market_venue",
    "0005_dead_letters_done",
    "0006_decisions",
    "0007_rebuilds",
]
ALL = [f"migration {name}" for name in NAMES]
TABLES = [f"tables of {name}, generation 1" for name in PROJECTIONS]


def relations(dsn: str, kind: str) -> set[str]:
    """The relations of the schema `public`: `v` for views, `r` for tables."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace"
            " and relkind = %s",
            [kind],
        )
        return {name for (name,) in found}


def test_migrating_makes_everything_and_migrating_again_nothing(dsn: str) -> None:
    done = asyncio.run(migrate(dsn, registered()))
    assert done == [*ALL, *TABLES]
    assert asyncio.run(migrate(dsn, registered())) == []
    assert {"checkpoints", "dead_letters", "generations", "reference_venues"} <= relations(dsn, "r")
    tables = [table for projection in PROJECTIONS.values() for table in projection.tables]
    assert {*tables, "price_bars_1m", "reference_price"} <= relations(dsn, "v")


def test_views_stand_on_each_other_whatever_their_files_are_called(
    dsn: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("views")
    monkeypatch.setattr(migrations, "VIEWS", folder)
    (folder / "a.sql").write_text("create or replace view a as select x + 1 as x from b")
    (folder / "b.sql").write_text("create or replace view b as select f() as x")
    (folder / "c.sql").write_text("create or replace function f() returns integer return 1")
    asyncio.run(migrate(dsn, []))
    assert rows(dsn, "a") == [{"x": 2}]
    (folder / "d.sql").write_text("create or replace view d as select * from nowhere")
    with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
        asyncio.run(migrate(dsn, []))


def test_migrations_at_once_do_the_work_once(dsn: str) -> None:
    def run(_: int) -> list[str]:
        return asyncio.run(migrate(dsn, registered(Tally())))

    with ThreadPoolExecutor(4) as pool:
        done = [line for lines in pool.map(run, range(4)) for line in lines]
    assert sorted(done) == sorted([*ALL, *TABLES, "tables of tally, generation 1"])


def test_a_migration_that_was_killed_blocks_nobody(dsn: str) -> None:
    program = (
        "import asyncio, os, signal, sys; from projections import migrations;"
        "migrations.create_first = lambda *_: os.kill(os.getpid(), signal.SIGKILL);"
        "asyncio.run(migrations.migrate(sys.argv[1], [None]))"
    )
    killed = subprocess.run([sys.executable, "-c", program, dsn], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert asyncio.run(migrate(dsn, registered())) == TABLES


def test_migrating_and_reading_the_status_leave_no_connection_open(dsn: str) -> None:
    asyncio.run(migrate(dsn, registered()))
    status(dsn)
    with psycopg.connect(dsn) as connection:
        others = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        assert others.fetchone() == (0,)


def test_a_projection_added_later_gets_its_tables(dsn: str) -> None:
    asyncio.run(migrate(dsn, registered()))
    assert asyncio.run(migrate(dsn, registered(Tally()))) == ["tables of tally, generation 1"]
    assert rows(dsn, "tally_trades") == []


def test_a_projection_whose_sql_fails_leaves_nothing_behind(
    dsn: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path_factory.mktemp("sql") / "tally.sql"
    broken.write_text("create table tally_trades (symbol text); create table oops (")
    with monkeypatch.context() as patch:
        patch.setattr(Tally, "sql_path", staticmethod(lambda: broken))
        with pytest.raises(psycopg.errors.SyntaxError):
            asyncio.run(migrate(dsn, registered(Tally())))
    made = rows(dsn, "generations", "projection")
    assert [row["projection"] for row in made] == sorted(PROJECTIONS)
    assert asyncio.run(migrate(dsn, registered(Tally()))) == ["tables of tally, generation 1"]


@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_registered_projection_has_its_sql_and_stable_names_of_its_own(name: str) -> None:
    projection = PROJECTIONS[name]
    assert projection.name == name
    assert projection.sql_path().is_file()
    others = [table for other in PROJECTIONS.values() for table in other.tables]
    assert sorted(others) == sorted(set(others))


async def test_stable_names_show_the_tables_of_the_current_generation(migrated_dsn: str) -> None:
    projector = Projector(Tally(), migrated_dsn)
    await claim(projector)
    await projector.commit([log_of([trade(1)])])
    await projector.close()
    async with await connect(migrated_dsn, "test", {}) as connection, connection.transaction():
        await generation.create(connection, Tally(), 2)
        await names.point_names_at(connection, Tally(), 2)
    assert rows(migrated_dsn, "tally_trades") == []
    async with await connect(migrated_dsn, "test", {}) as connection:
        await names.point_names_at(connection, Tally(), 1)
    assert len(rows(migrated_dsn, "tally_trades")) == 1


class NextTally(Tally):
    version = 2


async def test_a_projection_of_another_version_is_refused(migrated_dsn: str) -> None:
    said = r"tally: the tables are of version 1, this program is of version 2.*`tape rebuild tally`"
    with pytest.raises(Refusal, match=said):
        await claim(Projector(NextTally(), migrated_dsn))
    assert rows(migrated_dsn, "checkpoints") == []


async def test_a_worker_without_tables_is_told_to_migrate(dsn: str) -> None:
    await migrate(dsn, registered())
    with pytest.raises(Refusal, match=r"tally has no tables yet: run `tape db migrate`"):
        await claim(Projector(Tally(), dsn))


async def test_a_worker_newer_than_the_database_is_told_to_migrate(migrated_dsn: str) -> None:
    async with await connect(migrated_dsn, "test", {}) as connection:
        await connection.execute(
            "delete from _yoyo_migration where migration_id ="
            " (select max(migration_id) from _yoyo_migration)"
        )
    with pytest.raises(Refusal, match=r"lacks migrations of this program: run `tape db migrate`"):
        await claim(Projector(Tally(), migrated_dsn))


async def test_checkpoints_belong_to_a_generation(migrated_dsn: str) -> None:
    projector = Projector(Tally(), migrated_dsn)
    await claim(projector)
    await projector.commit([log_of([trade(1)])])
    async with await connect(migrated_dsn, "test", {}) as connection, connection.transaction():
        await connection.execute(
            "update generations set is_current = false where projection = 'tally'"
        )
        await connection.execute("insert into generations values ('tally', 2, 1, true)")
        await generation.create(connection, Tally(), 2)
    assert await claim(projector) == 0, "the new generation starts at the log's"
    await projector.commit([log_of([trade(7), trade(8)])])
    await projector.close()
    places = rows(migrated_dsn, "checkpoints", "generation")
    assert [(row["generation"], row["next_offset"]) for row in places] == [(1, 1), (2, 2)]
    with psycopg.connect(migrated_dsn) as reader:
        for number, count in ((1, 1), (2, 2)):
            found = reader.execute(f"select count(*) from tally_{number}.tally_trades".encode())
            assert found.fetchone() == (count,)


def test_the_status_tells_what_is_missing(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPE_DSN", dsn)
    monkeypatch.setenv("TAPE_BROKERS", "127.0.0.1:1")
    cli = CliRunner()
    before = cli.invoke(app, ["db", "status"])
    assert before.exit_code == 1
    assert before.output.splitlines() == [f"{name}  MISSING" for name in NAMES]
    made = cli.invoke(app, ["db", "migrate"])
    assert made.exit_code == 0, made.output
    assert made.output.splitlines()[: len(ALL)] == ALL
    assert cli.invoke(app, ["db", "migrate"]).output == "nothing to do\n"
    after = cli.invoke(app, ["db", "status", "--json"])
    assert after.exit_code == 0
    assert all(row["applied"] for row in json.loads(after.output))
    assert [row["name"] for row in json.loads(after.output)] == NAMES


@pytest.mark.parametrize("form", ["url", "words", "quoted"])
def test_any_dsn_that_libpq_takes_will_do(dsn: str, form: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    words = psycopg.conninfo.make_conninfo("", **parts)
    given = {
        "url": dsn,
        "words": words,
        "quoted": psycopg.conninfo.make_conninfo(
            words, options="-c search_path=public", application_name="a b&c=d"
        ),
    }[form]
    assert asyncio.run(migrate(given, registered()))[: len(ALL)] == ALL
    assert all(item.applied for item in status(given))

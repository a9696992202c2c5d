"""A database into a backup, and back; what is refused, and what a stop leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.archive.store import LocalFolder, open_store
from streams.backup import database, programs, run
from streams.backup.database import load_database
from streams.backup.folder import checked_dump, find
from streams.backup.manifest import MANIFEST, Backup
from streams.backup.programs import command_for
from streams.errors import UserError
from streams.topics import topic_ids
from tests.streams.archive.conftest import Topic, numbered, topic
from tests.streams.tape import execute

pytestmark = pytest.mark.chaos

__all__ = ["topic"]

LISTED = """
select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname not like 'pg%' and n.nspname <> 'information_schema' order by 1, 2
"""


@dataclasses.dataclass
class Place:
    """A migrated database, which has read some of an archived topic."""

    topic: Topic
    dsn: str
    folder: Path

    def stand_at(self, offset: int) -> None:
        """Has the projection `tally` come so far in the first partition."""
        (topic_id,) = topic_ids(self.topic.endpoints, [self.topic.name]).values()
        execute(
            self.dsn,
            "insert into checkpoints values ('tally', 1, %s, %s, 0, %s, 1) on conflict"
            " (projection, generation, topic, partition) do update"
            " set next_offset = excluded.next_offset",
            *(self.topic.name, topic_id, offset),
        )

    def back_up(self) -> tuple[Path, Backup]:
        at = dataclasses.replace(self.topic.endpoints, dsn=self.dsn)
        store = open_store(self.topic.location)
        return asyncio.run(run.back_up(at, store, [self.topic.name], self.folder))

    def left(self) -> list[Path]:
        return list(self.folder.iterdir())


@pytest.fixture
def place(topic: Topic, migrated_dsn: str, tmp_path: Path) -> Place:
    made = Place(topic, migrated_dsn, tmp_path / "backups")
    made.stand_at(10)
    return made


def query(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement.encode()).fetchall()


def restore(place: Path, backup: Backup, dsn: str) -> None:
    asyncio.run(load_database(dsn, checked_dump(place, backup)))


def test_a_restored_database_has_all_that_was_dumped(place: Place, fresh_database: str) -> None:
    execute(place.dsn, "create view mine as select * from price_history")
    execute(
        place.dsn,
        "insert into decisions (id, ce_type, ce_source, subject, body, decided)"
        " values (gen_random_uuid(), 'a.v1', 'b', 'c', 'd', now())",
    )
    folder, backup = place.back_up()
    assert find(place.folder) == (folder, backup)
    assert backup.topics[0].ends == {0: 10}
    (checkpoint,) = [one for one in backup.checkpoints if one.topic == place.topic.name]
    assert (checkpoint.projection, checkpoint.next_offset) == ("tally", 10)
    assert folder.stat().st_mode & 0o777 == 0o700
    restore(folder, backup, fresh_database)
    for statement in (LISTED, "table checkpoints", "table generations", "table decisions"):
        assert query(fresh_database, statement) == query(place.dsn, statement)


def test_what_is_projected_while_it_is_taken_is_archived_too(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before the dump a unit commits: an archive made before that would lack it."""
    dump = database.dump_database

    async def late(dsn: str, folder: Path) -> Any:
        await place.topic.send(0, *numbered(10, 15))
        await asyncio.to_thread(place.stand_at, 15)
        return await dump(dsn, folder)

    monkeypatch.setattr(run, "dump_database", late)
    _, backup = place.back_up()
    assert backup.topics[0].ends == {0: 15}


def test_a_database_ahead_of_the_log_gives_no_backup(place: Place) -> None:
    place.stand_at(11)
    with pytest.raises(UserError, match=r"tally stands at offset 11 .* the log ends at 10"):
        place.back_up()
    assert place.left() == []


def test_an_archive_that_cannot_follow_gives_no_backup(place: Place) -> None:
    place.topic.remove_before(0, 5)
    with pytest.raises(UserError, match=r"no backup without its archive: .* 5 records"):
        place.back_up()
    assert place.left() == []


class Stopped(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("cleans_up", [True, False])
def test_a_stop_leaves_nothing_that_looks_whole(
    place: Place, monkeypatch: pytest.MonkeyPatch, cleans_up: bool
) -> None:
    write = LocalFolder.write

    def stop(store: LocalFolder, name: str, data: bytes) -> None:
        if name == MANIFEST:
            raise Stopped
        write(store, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "write", stop)
        if not cleans_up:  # as after SIGKILL
            patch.setattr("shutil.rmtree", lambda *_, **__: None)
        with pytest.raises(Stopped):
            place.back_up()
    assert bool(place.left()) is not cleans_up
    with pytest.raises(UserError, match="there is no backup in"):
        find(place.folder)
    whole = place.back_up()
    assert find(place.folder) == whole


def test_the_newest_whole_backup_is_taken(place: Place) -> None:
    place.back_up()
    newest = place.back_up()
    (place.folder / "20990101T000000.000000Z").mkdir()
    assert find(place.folder) == newest


def test_a_damaged_dump_is_refused(place: Place, fresh_database: str) -> None:
    folder, backup = place.back_up()
    file = folder / backup.database.file
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"is damaged: .* Nothing was restored"):
        restore(folder, backup, fresh_database)
    file.unlink()
    with pytest.raises(UserError, match="cannot be read: No such file"):
        restore(folder, backup, fresh_database)
    assert query(fresh_database, LISTED) == []


def test_a_damaged_manifest_is_told(place: Place) -> None:
    folder, _ = place.back_up()
    (folder / MANIFEST).write_text('{"version": 2}')
    with pytest.raises(UserError, match=r"backup\.json is damaged \(version: "):
        find(folder)


def test_a_database_that_is_not_empty_is_refused(place: Place) -> None:
    folder, backup = place.back_up()
    before = query(place.dsn, LISTED)
    with pytest.raises(UserError, match=r"not empty: it has .* Nothing was changed"):
        restore(folder, backup, place.dsn)
    assert query(place.dsn, LISTED) == before


def test_a_dump_that_cannot_be_loaded_leaves_the_database_empty(
    place: Place, fresh_database: str
) -> None:
    folder, backup = place.back_up()
    file = folder / backup.database.file
    data = file.read_bytes()[:-1_000]
    file.write_bytes(data)
    changed = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    short = backup.model_copy(update={"database": backup.database.model_copy(update=changed)})
    with pytest.raises(UserError, match="pg_restore failed: "):
        restore(folder, short, fresh_database)
    assert query(fresh_database, LISTED) == []


def test_without_postgresql_s_programs_it_says_what_to_install(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(programs, "_installed", lambda _: [tmp_path / "pg_dump"])
    with pytest.raises(UserError, match="there is no pg_dump: install"):
        place.back_up()
    assert place.left() == []


@given(password=st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=5))
def test_a_password_is_in_no_command(password: str) -> None:
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    dsn = f"host=h user=u dbname=d sslmode=require password='{quoted}' sslpassword='{quoted}'"
    command, environment = command_for(Path("pg_dump"), ["--file=f"], dsn)
    shown = "host=h user=u dbname=d sslmode=require"
    assert sorted(command[2].removeprefix("--dbname=").split()) == sorted(shown.split())
    assert command[:2] + command[3:] == ["pg_dump", "--no-password", "--file=f"]
    assert environment == {"PGPASSWORD": password}


_counts = st.integers(0, 2**63 - 1)
_names = st.sampled_from(["price.ticks", "kalshi.account", "trade.events"])
_checkpoints = st.fixed_dictionaries(
    {
        "projection": st.just("prices"),
        "generation": st.integers(1, 5),
        "topic": _names,
        "topic_id": st.sampled_from(["a", "b"]),
        "partition": st.integers(0, 3),
        "next_offset": _counts,
    }
)
_topics = st.builds(
    lambda topic, ends: {"topic": topic, "topic_id": "a", "ends": ends},
    _names,
    st.dictionaries(st.integers(0, 3), _counts),
)


@given(
    topics=st.lists(_topics, unique_by=lambda one: str(one["topic"])),
    checkpoints=st.lists(_checkpoints, max_size=8),
)
def test_a_manifest_is_read_as_it_was_written_and_knows_what_is_ahead(
    topics: list[dict[str, Any]], checkpoints: list[dict[str, Any]]
) -> None:
    dumped = {"file": "f", "bytes": 1, "sha256": "0" * 64, "server": "18.1", "migration": "1"}
    backup = Backup.model_validate(
        {
            "taken": "2026-11-30T10:00:00.000+00:00",
            "tickertape": "0.1.0",
            "archive": "s3://bucket/tape",
            "database": dumped,
            "topics": topics,
            "checkpoints": checkpoints,
        }
    )
    assert Backup.load(backup.dump()) == backup
    archived = {one["topic"]: one["ends"] for one in topics}
    ahead = [
        one
        for one in checkpoints
        if one["topic_id"] == "a"
        and one["topic"] in archived
        and one["next_offset"] > archived[one["topic"]].get(one["partition"], 0)
    ]
    assert [one.model_dump() for one, _ in backup.ahead()] == ahead

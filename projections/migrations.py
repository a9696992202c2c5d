"""Migrations of what is not disposable, by yoyo, under a lock; then the first generations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from yoyo import get_backend, read_migrations
from yoyo.backends import DatabaseBackend

from projections.base import SQL, Connection, Projection
from projections.database import connect
from projections.generation import create, read_all
from projections.names import point_names_at

VIEWS = SQL / "views"

#: The advisory lock of migrations, any number that nobody else uses.
_LOCK = 0x7461_7065
_LOCK_TIMEOUT_MS = "30000"
_EXISTS = "select 1 from public.generations where projection = %s"
_INSERT = """
insert into public.generations (projection, generation, version, is_current, built)
values (%s, 1, %s, true, now())
"""
#: What the server says where a view stands on something that is not there.
_LACKING = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One numbered migration, and whether the database has it."""

    name: str
    applied: bool


async def migrate(dsn: str, projections: Collection[Projection[Any]]) -> list[str]:
    """Bring the database up to date; returns what was done, a line each. Safe to run at once.

    `projections` are all that are registered, at least: the views read the tables of each.
    A view that needs columns of a newer version waits for the rebuild that brings them. Raises
    psycopg.OperationalError when the server cannot be reached, or when another migration outlasts
    the wait for it.
    """
    done = []
    async with await connect(dsn, "migrate", {"lock_timeout": _LOCK_TIMEOUT_MS}) as connection:
        # The session holds it, unlike yoyo's own lock, which a killed process leaves behind.
        await connection.execute("select pg_advisory_lock(%s)", [_LOCK])
        with _backend(dsn) as backend:
            pending = backend.to_apply(_migrations())
            backend.apply_migrations(pending)
        done += [f"migration {migration.id}" for migration in pending]
        created = await create_first(connection, projections)
        done += [f"tables of {name}, generation 1" for name in created]
        lacking = await create_views(connection)
        if lacking:
            outdated = await _outdated(connection, projections)
            if not outdated:
                raise next(iter(lacking.values()))
            rebuild = f"`tape rebuild {' '.join(outdated)}`"
            done += [f"view {name} waits for {rebuild}" for name in lacking]
    return done


async def create_first(connection: Connection, projections: Iterable[Projection[Any]]) -> list[str]:
    """Give each projection that has no tables its first generation; returns their names."""
    created = []
    for projection in projections:
        if await (await connection.execute(_EXISTS, [projection.name])).fetchone():
            continue
        async with connection.transaction():
            await connection.execute(_INSERT, [projection.name, projection.version])
            await create(connection, projection, 1)
            await point_names_at(connection, projection, 1)
        created.append(projection.name)
    return created


async def create_views(connection: Connection) -> dict[str, Exception]:
    """Create or replace every view; one that stands on another waits for it.

    Returns, by their names, those that cannot be made, and what they lack.
    """
    waiting = sorted(VIEWS.glob("*.sql"))
    while waiting:
        lacking: dict[Path, Exception] = {}
        for view in waiting:
            try:
                await connection.execute(view.read_bytes())
            except _LACKING as error:
                lacking[view] = error
        if list(lacking) == waiting:
            return {view.stem: error for view, error in lacking.items()}
        waiting = list(lacking)
    return {}


async def _outdated(connection: Connection, projections: Iterable[Projection[Any]]) -> list[str]:
    """The projections whose live tables are of another version than this program's."""
    versions = {projection.name: projection.version for projection in projections}
    return [
        one.projection
        for one in await read_all(connection)
        if one.is_current and versions.get(one.projection, one.version) != one.version
    ]


def status(dsn: str) -> list[MigrationStatus]:
    """Every migration that this program knows, in order."""
    with _backend(dsn) as backend:
        applied = {migration.id for migration in backend.to_rollback(_migrations())}
    return [MigrationStatus(migration.id, migration.id in applied) for migration in _migrations()]


def _migrations() -> Any:
    return read_migrations(str(SQL / "migrations"))


@contextmanager
def _backend(dsn: str) -> Iterator[DatabaseBackend]:
    """yoyo with a connection, closed at the end; it takes a URL only, so a DSN is made one."""
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    user, password = (
        quote(parts.pop("user", ""), safe=""),
        quote(parts.pop("password", ""), safe=""),
    )
    host, port = parts.pop("host", ""), parts.pop("port", "5432")
    database = quote(parts.pop("dbname", ""), safe="")
    options = "&".join(f"{key}={quote(value)}" for key, value in parts.items())
    url = f"postgresql+psycopg://{user}:{password}@{host}:{port}/{database}"
    backend = get_backend(f"{url}?{options}" if options else url)
    try:
        yield backend
    finally:
        backend.connection.close()

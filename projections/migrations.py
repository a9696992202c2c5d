"""Migrations of what is not disposable, by yoyo, under its lock; then the first generations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict
from yoyo import get_backend, read_migrations
from yoyo.backends import DatabaseBackend

from projections.base import SQL, Projection
from projections.database import connect
from projections.generation import create_first

VIEWS = SQL / "views"


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One numbered migration, and whether the database has it."""

    name: str
    applied: bool


async def migrate(dsn: str, projections: Iterable[Projection[Any]]) -> list[str]:
    """Bring the database up to date; returns what was done, a line each. Safe to run at once.

    Raises psycopg.OperationalError when the server cannot be reached.
    """
    done = []
    backend = _backend(dsn)
    with backend.lock(timeout=30):
        pending = backend.to_apply(_migrations())
        backend.apply_migrations(pending)
        done += [f"migration {migration.id}" for migration in pending]
        async with await connect(dsn, "migrate", {}) as connection:
            created = await create_first(connection, projections)
            done += [f"tables of {name}, generation 1" for name in created]
            for view in sorted(VIEWS.glob("*.sql")):
                await connection.execute(view.read_bytes())
    return done


def status(dsn: str) -> list[MigrationStatus]:
    """Every migration that this program knows, in order."""
    backend = _backend(dsn)
    applied = {migration.id for migration in backend.to_rollback(_migrations())}
    return [MigrationStatus(migration.id, migration.id in applied) for migration in _migrations()]


def _migrations() -> Any:
    return read_migrations(str(SQL / "migrations"))


def _backend(dsn: str) -> DatabaseBackend:
    """yoyo takes a URL only; whatever libpq takes is made one."""
    parts = {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    user, password = (
        quote(parts.pop("user", ""), safe=""),
        quote(parts.pop("password", ""), safe=""),
    )
    host, port = parts.pop("host", ""), parts.pop("port", "5432")
    database = quote(parts.pop("dbname", ""), safe="")
    options = "&".join(f"{key}={quote(value)}" for key, value in parts.items())
    url = f"postgresql+psycopg://{user}:{password}@{host}:{port}/{database}"
    return get_backend(f"{url}?{options}" if options else url)

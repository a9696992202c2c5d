"""The database into a dump, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import errors
from psycopg.rows import class_row

from projections.base import Connection
from projections.database import connect
from streams.backup.folder import sha256_of
from streams.backup.manifest import Checkpoint, Dump
from streams.backup.programs import find_program, run_program
from streams.errors import UserError

__all__ = ["dump_database", "load_database"]

_FILE = "database.dump"
#: The snapshot lasts as long as the dump does.
_PATIENT = {"idle_in_transaction_session_timeout": "0", "transaction_timeout": "0"}
_MIGRATION = "select max(migration_id) from public._yoyo_migration"
_CHECKPOINTS = """
select projection, generation, topic, topic_id::text, partition, next_offset
from public.checkpoints
order by projection, generation, topic, partition
"""
# An extension's are no reason to refuse: a server may make them in every database.
_RELATIONS = """
select c.relname
from pg_class as c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
    and not exists (
        select from pg_depend as d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
    )
order by c.relname
limit 3
"""


async def dump_database(dsn: str, place: Path) -> tuple[Dump, Sequence[Checkpoint]]:
    """Dump all of it, as it is at one moment, into a file in `place`; with its checkpoints.

    Raises UserError: there is no pg_dump, the database is out of reach or has no tables, or
    pg_dump fails.
    """
    program = await asyncio.to_thread(find_program, "pg_dump")
    try:
        async with await connect(dsn, "backup", _PATIENT) as connection:
            return await _dump(connection, program, dsn, place)
    except errors.UndefinedTable:
        raise UserError("the database has no tables yet: run `tape db migrate`") from None
    except psycopg.Error as error:
        raise _fault(error) from None


async def _dump(
    connection: Connection, program: Path, dsn: str, place: Path
) -> tuple[Dump, Sequence[Checkpoint]]:
    file = place / _FILE
    async with connection.transaction():
        await connection.execute("set transaction isolation level repeatable read, read only")
        (snapshot,) = await _row(connection, "select pg_export_snapshot()")
        (migration,) = await _row(connection, _MIGRATION)
        async with connection.cursor(row_factory=class_row(Checkpoint)) as cursor:
            checkpoints = await (await cursor.execute(_CHECKPOINTS)).fetchall()
        arguments = ["--format=custom", f"--snapshot={snapshot}", f"--file={file}"]
        await run_program(program, arguments, dsn)
    (server,) = await _row(connection, "show server_version")
    size, checksum = file.stat().st_size, await asyncio.to_thread(sha256_of, file)
    dumped = Dump(
        file=_FILE, bytes=size, sha256=checksum, server=str(server), migration=str(migration)
    )
    return dumped, checkpoints


async def _row(connection: Connection, statement: str) -> tuple[object, ...]:
    row: tuple[object, ...] | None = await (await connection.execute(statement.encode())).fetchone()
    assert row is not None
    return row


async def load_database(dsn: str, file: Path) -> None:
    """Load a dump into an empty database, all of it or nothing.

    Raises UserError: there is no pg_restore, the database is out of reach or not empty, or
    pg_restore fails.
    """
    program = await asyncio.to_thread(find_program, "pg_restore")
    try:
        async with await connect(dsn, "restore", {}) as connection:
            found = await (await connection.execute(_RELATIONS)).fetchall()
            if found:
                names = ", ".join(name for (name,) in found)
                raise UserError(
                    f"the database is not empty: it has {names} and maybe more. Nothing was "
                    "changed; give an empty one (`createdb`, and TAPE_DSN), or drop and make this "
                    "one"
                )
            arguments = ["--single-transaction", "--exit-on-error", "--no-owner", str(file)]
            await run_program(program, arguments, dsn)
            with suppress(errors.InsufficientPrivilege):
                await connection.execute("analyze")  # a dump holds no statistics
    except psycopg.Error as error:
        raise _fault(error) from None


def _fault(error: psycopg.Error) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"the database: {reason}; `tape doctor` tries the connection")

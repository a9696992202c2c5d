"""`tape db`: the database's migrations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from streams.errors import UserError

app = typer.Typer(help="The database: its migrations and the first tables.", no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Applies what is missing, and makes each projection's first tables. Safe to repeat.

    Example:

        tape db migrate
    """
    from projections import PROJECTIONS
    from projections.migrations import migrate as apply

    with _database_errors():
        done = asyncio.run(apply(_dsn(), [projection() for projection in PROJECTIONS.values()]))
    for line in done or ["nothing to do"]:
        print(line)


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Lists the migrations and whether the database has them; exit status 1 if one is missing.

    Example:

        tape db status --json
    """
    from projections.migrations import status as read

    with _database_errors():
        rows = read(_dsn())
    if as_json:
        print(json.dumps([{"name": row.name, "applied": row.applied} for row in rows]))
    else:
        for row in rows:
            print(f"{row.name}  {'applied' if row.applied else 'MISSING'}")
    raise typer.Exit(0 if all(row.applied for row in rows) else 1)


def _dsn() -> str:
    from streams.settings import endpoints, load_settings

    return endpoints(load_settings(), with_kafka=False).dsn


@contextmanager
def _database_errors() -> Iterator[None]:
    """What the server says becomes a message; its text names the host, never the password."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise UserError(f"the database: {' '.join(str(error).split())}") from None

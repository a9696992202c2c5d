"""`tape db`: the database's migrations."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

app = typer.Typer(help="The database: its migrations and the first tables.", no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Applies what is missing, and makes each projection's first tables. Safe to repeat.

    Example:

        tape db migrate
    """
    from projections import PROJECTIONS
    from projections.migrations import migrate as apply
    from streams.settings import endpoints, load_settings

    dsn = endpoints(load_settings()).dsn
    done = asyncio.run(apply(dsn, [projection() for projection in PROJECTIONS.values()]))
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
    from streams.settings import endpoints, load_settings

    rows = read(endpoints(load_settings()).dsn)
    if as_json:
        print(json.dumps([{"name": row.name, "applied": row.applied} for row in rows]))
    else:
        for row in rows:
            print(f"{row.name}  {'applied' if row.applied else 'MISSING'}")
    raise typer.Exit(0 if all(row.applied for row in rows) else 1)

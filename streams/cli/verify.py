"""`tape verify`: whether the tables are what the log says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.building import Display, all_projections, known_projections
from streams.live import replaying

if TYPE_CHECKING:
    from projections.comparison import Compared, Difference
    from streams.rebuild.verify import Verified
    from streams.tracing import Place

__all__ = ["verify"]


def verify(
    projections: Annotated[
        list[str] | None, typer.Argument(help="Which: account, health, market, prices; else all.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1, max=1024, help="Compare only so many of the 1,024 groups of rows, at random."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Build a projection's tables anew beside the live ones, and compare.

    Both at the same point of the log; workers go on, and nothing live is
    changed. Exit status 1: a row differs; the first one is shown, with the
    record behind it.

    Examples:

        tape verify

        tape verify prices --sample 32 --json
    """
    from streams.reports.text import as_json as to_json

    replaying()
    chosen = known_projections(projections or []) or all_projections()
    groups = None if sample is None else random.sample(range(1024), sample)
    found = [asyncio.run(_verify(name, groups)) for name in chosen]
    if as_json:
        print(to_json([_data(one) for one in found]))
    else:
        for one in found:
            _print(one)
    if any(one.first for one in found):
        raise typer.Exit(1)


async def _verify(name: str, sample: list[int] | None) -> Verified:
    from streams.rebuild.verify import verify as run
    from streams.settings import endpoints, load_settings

    with Display(name) as display:
        return await run(name, endpoints(load_settings()), display, sample)


def _data(found: Verified) -> Mapping[str, Any]:
    return {
        "projection": found.projection,
        "generation": found.generation,
        "positions": {str(source): offset for source, offset in found.positions.items()},
        "seconds": round(found.seconds, 3),
        "tables": [_table(one) for one in found.tables],
        "first": None if found.first is None else _difference(found.first),
        "record": None if found.record is None else str(found.record),
    }


def _table(one: Compared) -> Mapping[str, Any]:
    return {"table": one.table, "rows": one.rows, "differing": one.differing, "all": one.is_all}


def _difference(one: Difference) -> Mapping[str, Any]:
    return {
        "table": one.table,
        "key": one.key,
        "live": one.live,
        "rebuilt": one.rebuilt,
        "columns": one.columns,
    }


def _print(found: Verified) -> None:
    rows = sum(table.rows for table in found.tables)
    print(
        f"{found.projection}: generation {found.generation}, {rows:,} rows in"
        f" {len(found.tables)} tables compared in {found.seconds:.1f} s"
    )
    for table in found.tables:
        if table.differing:
            least = "" if table.is_all else "at least "
            print(f"  {table.table}: {least}{table.differing:,} of {table.rows:,} rows differ")
    if found.first is None:
        print("  all equal")
    else:
        _print_difference(found.first, found.record)


def _print_difference(one: Difference, place: Place | None) -> None:
    key = ", ".join(f"{name} {value}" for name, value in one.key.items())
    print(f"  the first: {one.table}, {key}")
    if one.live is None:
        print("    live lacks it")
    elif one.rebuilt is None:
        print("    only live has it: no record leads to it")
    else:
        for name in one.columns:
            print(f"    {name}: live {one.live[name]}, rebuilt {one.rebuilt[name]}")
    if place is not None:
        whose = "as live says" if one.rebuilt is None else "as rebuilt"
        print(f"    the record behind it: {place} ({whose})")

"""`tape book`: one market's order book."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from streams.reports.book import MarketBook

__all__ = ["book"]

_EVERY = 0.5


def book(
    market: Annotated[str, typer.Argument(metavar="MARKET", help="Its ticker.")],
    venue: Annotated[str, typer.Option(help="kalshi, kalshi_demo, simulated_demo.")] = "kalshi",
    depth: Annotated[int, typer.Option(min=1, help="So many levels of each side.")] = 10,
    watch: Annotated[bool, typer.Option("--watch", help="Live, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show a market's order book, as the tables have it.

    Prices are dollars of YES; an ask is one minus a bid for NO. A book that
    may lack messages says so, since when and why: it is then as it last was.
    JSON has all levels.

    Examples:

        tape book KXBTCD-26NOV1516-T114749.99

        tape book KXBTCD-26NOV1516-T114749.99 --venue kalshi_demo --watch
    """
    from rich.console import Console

    from streams.cli.book_tables import render
    from streams.settings import endpoints, load_settings

    console = Console()
    if watch and (as_json or not console.is_terminal):
        raise UserError("--watch is for a terminal; for programs, run it with --json now and then")
    dsn = endpoints(load_settings(), with_kafka=False).dsn
    if watch:
        _watch(console, dsn, venue, market, depth)
    elif as_json:
        print(_json(_read(dsn, venue, market)))
    else:
        console.print(render(_read(dsn, venue, market), depth))


def _read(dsn: str, venue: str, market: str) -> MarketBook:
    from streams.reports.book import nearest, read_book, venues_of
    from streams.reports.reading import reading

    with reading(dsn) as connection:
        found = read_book(connection, venue, market)
        if found is not None:
            return found
        others, near = venues_of(connection, market), nearest(connection, venue, market)
    if others:
        raise UserError(f"{market} is no market of {venue}; try --venue {' or '.join(others)}")
    hint = f"the nearest are {', '.join(near)}" if near else f"{venue} has none like it"
    raise UserError(f"the tables know no market {market!r} of {venue}; {hint}")


def _json(found: MarketBook) -> str:
    from streams.reports.text import as_json

    return as_json({**asdict(found), "spread": found.spread})


def _watch(console: Console, dsn: str, venue: str, market: str, depth: int) -> None:
    """Until Ctrl-C; while the database is away, the last that was seen, and why."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from streams.cli.book_tables import render

    shown = render(_read(dsn, venue, market), depth)
    with Live(shown, console=console, auto_refresh=False) as live:
        while True:
            live.refresh()
            time.sleep(_EVERY)
            try:
                shown = render(_read(dsn, venue, market), depth)
                live.update(shown)
            except UserError as error:
                live.update(Group(shown, Text(str(error), style="red")))

"""What `tape up` shows while it runs: a live table on a terminal, else a line each second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from streams.up.children import ChildState
from streams.up.readings import LastPrice, Rows
from streams.up.watch import Latest

__all__ = ["Frame", "LiveView", "NoView", "PlainView", "View", "Where", "line", "render"]

_LINE_EVERY = 1.0
#: Lines of the live view, beside the children's, that the symbols cannot have.
_OTHER_LINES = 12
#: A price is shown as old after so many seconds, a lag as large from so many records.
_STALE = 10.0
_LARGE_LAG = 10_000


@dataclass(frozen=True)
class Where:
    """What stays the same: addresses without secrets, and what runs."""

    venue: str
    brokers: str
    database: str
    logs: str


@dataclass(frozen=True)
class Frame:
    """One moment: `limit` is how many seconds it is to run, None for ever."""

    elapsed: float
    limit: float | None
    doing: str
    events: int
    latest: Latest
    children: Sequence[ChildState]


class View(Protocol):
    """Shows frames while inside its context."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def show(self, frame: Frame) -> None:
        """Show this moment, as far as the view has room and time for it."""


class NoView:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, frame: Frame) -> None:
        """Nothing."""


class PlainView(NoView):
    """Prints a line each second, for logs and pipes."""

    def __init__(self) -> None:
        self._next = 0.0

    def show(self, frame: Frame) -> None:
        """Print the frame if the last one is a second old."""
        if frame.elapsed >= self._next:
            self._next = frame.elapsed + _LINE_EVERY
            print(line(frame), flush=True)


class LiveView:
    """Fills the terminal; what was on it comes back afterwards."""

    def __init__(self, console: Console, where: Where) -> None:
        self._console = console
        self._where = where
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, frame: Frame) -> None:
        """Draw the frame in the size that the terminal has now."""
        self._live.update(render(self._where, frame, self._console.size.height), refresh=True)


def line(frame: Frame) -> str:
    """A frame in one line."""
    parts = [f"{frame.elapsed:6.1f} s", frame.doing, f"{frame.events:,} events"]
    latest = frame.latest
    if latest.reading is not None:
        for one in latest.reading.projections:
            speed = latest.speeds.get(one.name, 0.0)
            parts.append(f"{one.name} {speed:,.0f}/s lag {sum(one.lag.values()):,}")
            parts += [f"{rows.table} {_count(rows)}" for rows in one.tables[:1]]
        parts += [f"{last.symbol} {last.price:,f}" for last in latest.reading.prices]
    parts += [f"{one.name} {one.doing}" for one in frame.children if one.pid is None]
    if latest.trouble:
        parts.append(latest.trouble)
    return "  ".join(parts)


def render(where: Where, frame: Frame, height: int) -> RenderableType:
    """A frame for a terminal of `height` lines and at least 80 columns."""
    body = Table.grid(padding=(0, 5, 0, 0))
    room = max(1, height - _OTHER_LINES - len(frame.children))
    body.add_row(_tables(frame.latest), _prices(frame.latest, room))
    parts: list[RenderableType] = [
        _header(where, frame),
        Rule(style="dim"),
        body,
        Rule(style="dim"),
        _children(frame.children),
    ]
    if frame.latest.trouble:
        parts.append(Text(frame.latest.trouble, style="red", overflow="ellipsis", no_wrap=True))
    parts += ["", Text("Ctrl-C stops cleanly, a second one at once", style="dim")]
    return Padding(Group(*parts), (0, 1))


def _header(where: Where, frame: Frame) -> RenderableType:
    limit = "" if frame.limit is None else f" of {frame.limit:,.0f}"
    title = Table.grid(expand=True)
    title.add_column(no_wrap=True)
    title.add_column(justify="right", no_wrap=True)
    title.add_row(
        Text.assemble(("tickertape  ", "bold cyan"), f"{where.venue} → Kafka → PostgreSQL"),
        Text.assemble((frame.doing, "bold"), f"  {frame.elapsed:,.0f}{limit} s"),
    )
    addresses = Table.grid(padding=(0, 2))
    addresses.add_column(style="dim")
    addresses.add_column(overflow="ellipsis", no_wrap=True)
    addresses.add_row("broker", Text(where.brokers))
    addresses.add_row("database", Text(where.database))
    addresses.add_row("logs", Text(where.logs))
    addresses.add_row("produced", Text(f"{frame.events:,} events", style="bold"))
    return Group(title, addresses)


def _tables(latest: Latest) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=16, no_wrap=True)
    table.add_column(min_width=15, justify="right", no_wrap=True)
    if latest.reading is None:
        table.add_row(Text("no reading yet", style="dim"), "")
        return table
    for one in latest.reading.projections:
        speed, lag = latest.speeds.get(one.name, 0.0), sum(one.lag.values())
        table.add_row(
            Text(one.name, style="bold cyan"), Text(f"{speed:,.0f} events/s", style="bold green")
        )
        table.add_row("  lag", Text(f"{lag:,} events", style="" if lag < _LARGE_LAG else "yellow"))
        for rows in one.tables:
            table.add_row(f"  {rows.table}", f"{_count(rows)} rows")
    dead = latest.reading.dead_letters
    table.add_row("dead_letters", Text(f"{_count(dead)} rows", style="red" if dead.count else ""))
    return table


def _prices(latest: Latest, room: int) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(Text("last price", style="bold cyan"), "", Text("age", style="dim"))
    prices = list(latest.reading.prices) if latest.reading is not None else []
    # The freshest have the room, in an order that does not change from frame to frame.
    shown = sorted(prices, key=lambda last: last.age)[:room]
    for last in sorted(shown, key=lambda last: (last.venue, last.symbol)):
        style = "dim" if last.age > _STALE else ""
        name = Text.assemble((last.symbol, "bold"), (f" {last.venue}", "dim"))
        table.add_row(name, Text(f"{last.price:,f}", style=style), Text(_age(last), style=style))
    if len(prices) > len(shown):
        table.add_row(Text(f"and {len(prices) - len(shown)} more", style="dim"), "", "")
    return table


def _children(children: Sequence[ChildState]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    for child in children:
        again = f"restarts {child.restarts}" if child.restarts else ""
        style = "green" if child.pid is not None else "yellow"
        pid = f"pid {child.pid}" if child.pid is not None else ""
        table.add_row(child.name, Text(child.doing, style=style), f"{pid}  {again}".strip())
    return table


def _count(rows: Rows) -> str:
    return f"{rows.count:,}" if rows.exact else f"~{rows.count:,}"


def _age(last: LastPrice) -> str:
    age = max(0.0, last.age)
    if age < 60:
        return f"{age:.1f} s"
    if age < 3600:
        return f"{age / 60:.0f} min"
    return f"{age / 3600:,.0f} h" if age < 172_800 else f"{age / 86_400:,.0f} d"

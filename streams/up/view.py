"""What `tape up` shows while it runs: a live table on a terminal, else a line each second."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live

from streams.up.panels import Frame, Where, render, rows_text

__all__ = ["LiveView", "NoView", "PlainView", "View", "line"]

_LINE_EVERY = 1.0


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
        size = self._console.size
        self._live.update(render(self._where, frame, size.width, size.height), refresh=True)


def line(frame: Frame) -> str:
    """A frame in one line."""
    parts = [f"{frame.elapsed:6.1f} s", frame.doing, f"{frame.events:,} events"]
    latest = frame.latest
    if latest.reading is not None:
        for one in latest.reading.projections:
            speed = latest.speeds.get(one.name, 0.0)
            parts.append(f"{one.name} {speed:,.0f}/s lag {sum(one.lag.values()):,}")
            parts += [f"{rows.table} {rows_text(rows)}" for rows in one.tables[:1]]
        if trades := latest.reading.accounts.trades:
            parts.append(f"trades {sum(trades.values()):,}")
        parts += [f"{last.symbol} {last.price:,f}" for last in latest.reading.prices]
    parts += [f"{one.name} {one.doing}" for one in frame.children if one.pid is None]
    if latest.trouble:
        parts.append(latest.trouble)
    return "  ".join(parts)

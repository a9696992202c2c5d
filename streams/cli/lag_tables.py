"""Lags for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from streams.monitor.model import Group, Partition, Picture, State, Trend
from streams.monitor.sentences import clock, span

__all__ = ["render"]

_ARROWS = {Trend.RISING: "↑", Trend.FALLING: "↓", Trend.STEADY: ""}


def render(picture: Picture, groups: Sequence[Group], *, partitions: bool) -> RenderableType:
    """A line for each group, or for each of their partitions; then what does not answer."""
    table = _of_partitions(groups) if partitions else _of_groups(groups)
    return Lines(table, *_away(picture))


def _of_groups(groups: Sequence[Group]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("group", overflow="fold")
    table.add_column("state")
    for name in ("members", "records", "behind", "in/s", "out/s", "caught up in"):
        table.add_column(name, justify="right")
    for one in groups:
        table.add_row(
            one.projection or one.name,
            _state(one.state, one.burrow.name),
            str(one.members),
            f"{one.lag:,}{_ARROWS[one.trend]}",
            _seconds(one.lag_s),
            _rate(one.arriving),
            _rate(one.consumed),
            _until(one),
        )
    return table


def _until(group: Group) -> str:
    """What waits for less than a second is on its way."""
    if (group.lag_s or 0.0) < 1.0:
        return ""
    return "never" if group.catch_up_s is None else span(group.catch_up_s)


def _of_partitions(groups: Sequence[Group]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("partition", no_wrap=True, overflow="ellipsis")
    table.add_column("state")
    for name in ("current", "end", "records", "behind"):
        table.add_column(name, justify="right")
    table.add_column("owner", no_wrap=True, overflow="ellipsis")
    for group in groups:
        table.add_row(Text(group.projection or group.name, style="bold"))
        for one in group.partitions:
            table.add_row(*_partition(one))
    return table


def _partition(one: Partition) -> tuple[str | Text, ...]:
    return (
        f"{one.topic}[{one.partition}]",
        _state(one.state, one.burrow.name),
        f"{one.current:,}",
        f"{one.end:,}",
        f"{one.lag:,}",
        _seconds(one.lag_s),
        one.owner or "nobody",
    )


def _state(state: State, burrow: str) -> Text:
    """Our own state first: it is told sooner. Burrow's, where only that is bad."""
    if state != State.OK:
        return Text(state.upper(), style="bold red")
    is_well = burrow in ("OK", "NOTFOUND")
    return Text("ok", style="green") if is_well else Text(burrow, style="yellow")


def _seconds(value: float | None) -> str:
    return "?" if value is None else span(value) if value else "0"


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _away(picture: Picture) -> list[Text]:
    return [
        Text(
            f"the {one.name} does not answer: {one.error}; "
            + (f"values of {clock(one.read)} UTC" if one.read else "nothing is known"),
            style="red",
        )
        for one in picture.sources
        if not one.is_up
    ]

"""Traces as tables of 80 columns, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.events.types import moment
from streams.reports.commits import Projected
from streams.reports.trace import Delay, Hop, Trace, delays

__all__ = ["as_json_value", "print_traces"]

_STEPS = {1: "1 µs", 1_000: "1 ms", 1_000_000: "1 s"}


def print_traces(traces: Sequence[Trace]) -> None:
    """One after the other, each with what there is to say of it."""
    console = Console()
    for number, trace in enumerate(traces):
        if number:
            console.print()
        console.print(_head(trace))
        console.print(_hops(trace))
        for line in _said(trace):
            console.print(Text(line))


def _head(trace: Trace) -> Text:
    record = trace.record
    key = "-" if record.key is None else record.key.decode(errors="replace")
    lines = [
        f"{trace.ce_type or 'no ce_type'}  {trace.ce_id or 'no ce_id'}",
        f"{record.place}  key {key}",
        f"trace {trace.traceparent or '-: it came by no frame'}",
    ]
    return Text("\n".join(lines), overflow="fold")


def _hops(trace: Trace) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", footer_style="bold")
    total = trace.total
    table.show_footer = total is not None
    table.add_column("hop", "total", overflow="fold")
    table.add_column("time, UTC", no_wrap=True)
    table.add_column("to the", justify="right", no_wrap=True)
    table.add_column("delay, ms", _delay(total), justify="right", no_wrap=True)
    for hop, delay in delays(trace):
        time = f"{moment(hop.time):%Y-%m-%d %H:%M:%S.%f}"
        table.add_row(hop.name, time, _STEPS[hop.precision], _delay(delay))
    return table


def _delay(delay: Delay | None) -> str:
    """Milliseconds to the microsecond, exact, with the marks that `_said` explains."""
    if delay is None:
        return ""
    sign, micros = "-" if delay.micros < 0 else "", abs(delay.micros)
    mark = "≤" if delay.at_most else "~" if delay.is_below_precision else ""
    return f"{mark}{sign}{micros // 1000:,}.{micros % 1000:03}"


def _said(trace: Trace) -> Iterator[str]:
    yield from trace.remarks
    marked = [delay for _, delay in delays(trace) if delay is not None]
    if any(delay.at_most for delay in marked):
        yield "≤: the commit is known to be no later than this"
    if any(delay.is_below_precision for delay in marked):
        yield "~: less than the last digit of one of its two times"
    if not trace.projected:
        yield "no projection has read this topic yet"
    for one in trace.projected:
        name = f"{one.projection}, generation {one.generation}"
        yield f"{name}: {_became(one)}"
        for remark in one.remarks:
            yield f"{name}: {remark}"


def _became(one: Projected) -> str:
    if one.state == "waiting":
        if one.lag is None:
            return "not yet projected, no worker has taken over its partition"
        return f"not yet projected, {one.lag:,} records to read until it is"
    said = {
        "dead letter": f"a dead letter: {one.error}",
        "no row": "projected, no row of its own",
        "row": f"a row in {' and in '.join(one.tables)}",
    }[one.state]
    if one.commit is None or one.commit.exact:
        return said
    if one.commit.by in one.tables:
        return f"{said}; a later record of its key may have written it again"
    again = "; it was written again later" if one.state == "row" else ""
    return f"{said}{again}; the commit was before or with that of {one.commit.by}"


def as_json_value(trace: Trace) -> dict[str, Any]:
    """For programs: times in ISO 8601, delays and precisions in microseconds."""
    record, total = trace.record, trace.total
    return {
        "topic": record.place.topic,
        "partition": record.place.partition,
        "offset": record.place.offset,
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "ce_type": trace.ce_type,
        "ce_id": trace.ce_id,
        "traceparent": trace.traceparent,
        "hops": [_json_hop(hop, delay) for hop, delay in delays(trace)],
        "total_us": None if total is None else total.micros,
        "projections": [_json_projected(one) for one in trace.projected],
        "remarks": trace.remarks,
    }


def _json_hop(hop: Hop, delay: Delay | None) -> dict[str, Any]:
    return {
        "hop": hop.name,
        "time": moment(hop.time),
        "precision_us": hop.precision,
        "at_latest": hop.at_latest,
        "delay_us": None if delay is None else delay.micros,
    }


def _json_projected(one: Projected) -> dict[str, Any]:
    return {
        "projection": one.projection,
        "generation": one.generation,
        "state": one.state,
        "tables": one.tables,
        "error": one.error,
        "lag": one.lag,
        "committed": None if one.commit is None else one.commit.time,
        "exact": one.commit is not None and one.commit.exact,
        "told_by": None if one.commit is None else one.commit.by,
        "remarks": one.remarks,
    }

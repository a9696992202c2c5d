"""The summary with which `tape up` ends, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from streams.up.children import ChildState, Complaint
from streams.up.readings import Reading

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """A run: `seconds` from the start of the children to the order to stop.

    `events` counts what was appended to the projections' topics meanwhile, by whomever. `reading`
    was taken after the workers' end, with exact counts.
    """

    venue: str
    seconds: float
    events: int
    reading: Reading
    children: Sequence[ChildState]
    complaints: Sequence[Complaint] = ()

    def as_json(self) -> str:
        """One object; prices are decimal strings, times ISO 8601 in UTC."""
        reading = self.reading
        return json.dumps(
            {
                "venue": self.venue,
                "seconds": round(self.seconds, 3),
                "events": self.events,
                "rows": {
                    rows.table: rows.count for one in reading.projections for rows in one.tables
                },
                "dead_letters": reading.dead_letters.count,
                "lag": {one.name: dict(one.lag) for one in reading.projections},
                "prices": [
                    {
                        "venue": last.venue,
                        "symbol": last.symbol,
                        "price": f"{last.price:f}",
                        "time": last.time.isoformat(),
                    }
                    for last in reading.prices
                ],
                "restarts": {child.name: child.restarts for child in self.children},
                "complaints": [str(complaint) for complaint in self.complaints],
            },
            indent=2,
        )

    def as_text(self) -> str:
        """A few lines, the tables aligned."""
        reading = self.reading
        counts = [rows for one in reading.projections for rows in one.tables]
        counts.append(reading.dead_letters)
        width = max(len(rows.table) for rows in counts)
        made = f"{self.seconds:.1f} s of {self.venue}: {self.events:,} events produced"
        lines = [
            f"{made}, {reading.lag:,} not yet projected",
            *(f"  {rows.table:{width}}  {rows.count:>12,} rows" for rows in counts),
        ]
        lines += [
            f"  {last.venue} {last.symbol}: {last.price:,f} at {last.time:%Y-%m-%d %H:%M:%S} UTC"
            for last in reading.prices
        ]
        lines += [
            f"  {child.name} died and was started again {child.restarts} times"
            for child in self.children
            if child.restarts
        ]
        lines += [f"  {complaint}" for complaint in self.complaints]
        return "\n".join(lines)

"""The summary with which `tape up` ends, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streams.reports.text import as_json, dollars
from streams.reports.trades import STATUSES
from streams.up.accounts import AccountsReading
from streams.up.children import ChildState, Complaint
from streams.up.readings import Reading, main_tables

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """A run: `seconds` from the start of the children to the order to stop.

    `events` counts what was appended to the topics of facts meanwhile, by whomever. `reading` was
    taken after the workers' end, of all tables, with exact counts.
    """

    venue: str
    seconds: float
    events: int
    reading: Reading
    children: Sequence[ChildState]
    complaints: Sequence[Complaint] = ()

    def as_json(self) -> str:
        """One object; decimals are strings, times ISO 8601 in UTC.

        `trades` and `cash` are of the simulated accounts of this run, or of all real ones: see
        AccountsReading.
        """
        reading, accounts = self.reading, self.reading.accounts
        return as_json(
            {
                "venue": self.venue,
                "seconds": round(self.seconds, 3),
                "events": self.events,
                "rows": {
                    rows.table: rows.count for one in reading.projections for rows in one.tables
                },
                "dead_letters": reading.dead_letters.count,
                "lag": {one.name: dict(one.lag) for one in reading.projections},
                "trades": {
                    "by_status": {status: accounts.trades.get(status, 0) for status in STATUSES},
                    "settled": accounts.settled,
                    "pnl": accounts.pnl,
                    "fees": accounts.fees,
                },
                "cash": {
                    "balances": [cash._asdict() for cash in accounts.cash],
                    "unexplained": accounts.unexplained,
                },
                "prices": [
                    {
                        "venue": last.venue,
                        "symbol": last.symbol,
                        "price": f"{last.price:f}",
                        "time": last.time,
                    }
                    for last in reading.prices
                ],
                "restarts": {child.name: child.restarts for child in self.children},
                "complaints": [str(complaint) for complaint in self.complaints],
            }
        )

    def as_text(self) -> str:
        """A few lines, the tables aligned."""
        reading = self.reading
        counts = [
            rows
            for one in reading.projections
            for rows in one.tables
            if rows.table in main_tables(one.name)
        ]
        counts.append(reading.dead_letters)
        width = max(len(rows.table) for rows in counts)
        made = f"{self.seconds:.1f} s of {self.venue}: {self.events:,} events produced"
        lines = [
            f"{made}, {reading.lag:,} not yet projected",
            *(f"  {rows.table:{width}}  {rows.count:>12,} rows" for rows in counts),
            *(f"  {line}" for line in _told(reading.accounts)),
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


def _told(accounts: AccountsReading) -> Iterator[str]:
    """Lines about trades and cash, where there are any."""
    if accounts.trades:
        counts = ", ".join(
            f"{count:,} {status}" for status in STATUSES if (count := accounts.trades.get(status))
        )
        yield (
            f"trades: {counts}; {accounts.settled:,} ended at settlement; "
            f"pnl {dollars(accounts.pnl)} after {dollars(accounts.fees)} of fees"
        )
    for cash in accounts.cash:
        yield f"cash of {cash.account}: {dollars(cash.balance)}"
    if accounts.unexplained:
        yield f"cash that nothing explains: {dollars(accounts.unexplained)}, see cash_unexplained"
    elif accounts.cash:
        yield "every cent of it is explained by fills, fees, settlements, transfers and holds"

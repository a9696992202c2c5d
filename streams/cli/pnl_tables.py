"""Profit and loss as tables of 80 columns. Figures are folded rather than cut off."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.reports.pnl import Report, Row
from streams.reports.text import dollars, eastern, number

__all__ = ["print_report"]


def print_report(report: Report, by: str) -> None:
    """The lines and, as the last one, the total."""
    Console().print(_trades(report) if by == "trade" else _groups(report, by))


def _table() -> Table:
    return Table(
        box=None, pad_edge=False, show_footer=True, header_style="bold", footer_style="bold"
    )


def _groups(report: Report, by: str) -> Table:
    table = _table()
    table.add_column(by, "total", overflow="fold")
    for name, figure in _figures(report.total).items():
        table.add_column(name, figure, justify="right", overflow="fold")
    for line in report.lines:
        table.add_row(Text(line["group"] or "(none)"), *_figures(line).values())
    return table


def _figures(line: Row) -> dict[str, str]:
    return {
        "trades": f"{line['trades']:,}",
        "W-L": f"{line['wins']:,}-{line['losses']:,}",
        "count": number(line["contracts"]),
        **{name: dollars(line[name]) for name in ("cost", "proceeds", "fees", "pnl")},
    }


def _trades(report: Report) -> Table:
    """Two lines a trade."""
    table = _table()
    total = report.total
    table.add_column("ticket\nticker", f"total of {total['trades']:,}", overflow="fold")
    table.add_column("opened, Eastern\nclosed", overflow="fold")
    table.add_column(
        "side\ncount", f"\n{number(total['contracts'])}", justify="right", overflow="fold"
    )
    for names in (("cost", "proceeds"), ("fees", "pnl")):
        summed = "\n".join(dollars(total[name]) for name in names)
        table.add_column("\n".join(names), summed, justify="right", overflow="fold")
    for line in report.lines:
        table.add_row(
            Text(f"{line['ticket']}\n{line['ticker']}"),
            Text(f"{eastern(line['opened'])}\n{eastern(line['closed'])}"),
            f"{line['side']}\n{number(line['contracts'])}",
            f"{dollars(line['cost'])}\n{dollars(line['proceeds'])}",
            f"{dollars(line['fees'])}\n{dollars(line['pnl'])}",
        )
    return table

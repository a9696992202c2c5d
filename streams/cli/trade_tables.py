"""Trades as tables of 80 columns."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.events.tickers import EASTERN
from streams.reports.text import dollars, eastern, number, plain
from streams.reports.trades import History, Newest, Trade

__all__ = ["print_list", "print_trade"]


def print_list(newest: Newest, account: str, status: str | None) -> None:
    """Two lines a trade; says how many there are more."""
    what = f"{status} trades" if status else "trades"
    if not newest.trades:
        print(f"no {what} of {account}")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("ticket\nticker", overflow="fold")
        table.add_column("status\nasked, Eastern", overflow="fold")
        table.add_column("side\ncount", justify="right", overflow="fold")
        table.add_column("bought at\nsold at", justify="right", overflow="fold")
        table.add_column("fees\npnl", justify="right", overflow="fold")
        for trade in newest.trades:
            table.add_row(*_cells(trade))
        Console().print(table)
    if len(newest.trades) < newest.count:
        print(f"the newest {len(newest.trades):,} of {newest.count:,} {what}; --limit shows more")
    if newest.other_accounts:
        print(f"{account} only; other accounts: {', '.join(newest.other_accounts)}")


def _cells(trade: Trade) -> list[Text]:
    bought, requested = trade["position"], trade["requested"]
    count = number(bought) if bought == requested else f"{number(bought)} of {number(requested)}"
    return [
        Text(f"{trade['ticket_id']}\n{trade['ticker']}"),
        Text(f"{trade['status']}\n{eastern(trade['asked_at'])}"),
        Text(f"{trade['side']}\n{count}"),
        Text(f"{dollars(trade['buy_price'])}\n{dollars(trade['sell_price'])}"),
        Text(f"{dollars(trade['fees'])}\n{dollars(trade['pnl'])}"),
    ]


def print_trade(trade: Trade | None, history: History) -> None:
    """Every column that has a value, then the history; a ticket may have no more than that."""
    console = Console()
    if trade is None:
        print("no open command of this ticket is known; what the log says of it:")
    else:
        columns = Table(box=None, pad_edge=False, show_header=False)
        columns.add_column(style="bold")
        columns.add_column(overflow="fold")
        for name, value in trade.items():
            if value is not None:
                columns.add_row(Text(name), Text(_shown(value)))
        console.print(columns)
    if history:
        console.print()
        console.print(_history(history))


def _history(history: History) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("time", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("detail, and where the log has it", overflow="fold")
    for entry in history:
        place = f"{entry['topic']}[{entry['partition']}] offset {entry['offset']}"
        detail = Text(str(entry["detail"] or ""))
        detail.append(f"\n{place}" if detail else place, style="dim")
        table.add_row(Text(_shown(entry["time"])), Text(str(entry["what"])), detail)
    return table


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value.astimezone(EASTERN):%Y-%m-%d %H:%M:%S %Z}"
    if isinstance(value, Decimal):
        return plain(value)
    return str(value)

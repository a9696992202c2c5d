"""A frame of `tape up` drawn for a terminal: projections, trades, prices, processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from streams.reports.text import dollars, number
from streams.reports.trades import STATUSES
from streams.up.accounts import AccountsReading, Trade
from streams.up.children import ChildState
from streams.up.markets import MarketQuote
from streams.up.readings import LastPrice, ProjectionReading, Rows
from streams.up.watch import Latest

__all__ = ["Frame", "Where", "render", "rows_text"]

#: A price is shown as old after so many seconds, a lag as large from so many records.
_STALE = 10.0
_LARGE_LAG = 10_000
#: Columns that a price or a process takes.
_CELL = 38
#: Lines for header, rules, titles and the last one; the accounts' own.
_FIXED_LINES, _ACCOUNT_LINES = 10, 3
_FEWEST_TRADES, _MOST_TRADES = 2, 12
#: A terminal of so many lines has room for several markets, and for health.
_TALL = 28
_HEALTH = "health"
_COLORS = {
    "pending": "yellow",
    "open": "green",
    "closing": "yellow",
    "expired": "yellow",
    "error": "red",
}


@dataclass(frozen=True)
class Where:
    """What stays the same: addresses without secrets, and what runs."""

    venue: str
    brokers: str
    database: str
    console: str


@dataclass(frozen=True)
class Frame:
    """One moment: `limit` is how many seconds it is to run, None for ever."""

    elapsed: float
    limit: float | None
    doing: str
    events: int
    latest: Latest
    children: Sequence[ChildState]


def render(where: Where, frame: Frame, width: int, height: int) -> RenderableType:
    """A frame for a terminal of this size, at least 80 columns and 24 lines."""
    reading = frame.latest.reading
    cells = max(1, (width - 2) // _CELL)
    children = _children(frame.children, cells)
    spare = height - _FIXED_LINES - sum(part.row_count for part in children)
    parts: list[RenderableType] = [_header(where, frame), Rule(style="dim")]
    if reading is None:
        parts.append(Text("no reading yet", style="dim"))
    else:
        # What processes tell of themselves gives way to what they do.
        projections = [one for one in reading.projections if height >= _TALL or one.name != _HEALTH]
        spare -= len(projections)
        parts.append(_projections(frame.latest, projections))
        if reading.markets:
            shown = reading.markets[: 1 if height < _TALL else None]
            spare -= len(shown)
            parts.append(_markets(shown))
        if reading.accounts.trades or reading.accounts.cash:
            spare -= _ACCOUNT_LINES
            lines = min(_MOST_TRADES, max(_FEWEST_TRADES, spare - 1), len(reading.accounts.newest))
            spare -= lines
            parts += [Rule(style="dim"), _accounts(reading.accounts, lines)]
        parts += [Rule(style="dim"), _prices(reading.prices, cells, max(1, spare))]
    parts += [Rule(style="dim"), *children]
    parts.append(_last_line(frame.latest.trouble))
    return Padding(Group(*parts), (0, 1))


def _last_line(trouble: str | None) -> Text:
    if trouble is None:
        return Text("Ctrl-C stops cleanly, a second one at once", style="dim")
    return Text(trouble, style="red", overflow="ellipsis", no_wrap=True)


def rows_text(rows: Rows) -> str:
    """A count, marked where it is an estimate."""
    return f"{rows.count:,}" if rows.exact else f"~{rows.count:,}"


def _header(where: Where, frame: Frame) -> RenderableType:
    limit = "" if frame.limit is None else f" of {frame.limit:,.0f}"
    title = Table.grid(expand=True)
    title.add_column(no_wrap=True)
    title.add_column(justify="right", no_wrap=True)
    title.add_row(
        Text.assemble(("tickertape  ", "bold cyan"), f"{where.venue} → Kafka → PostgreSQL"),
        Text.assemble((frame.doing, "bold"), f"  {frame.elapsed:,.0f}{limit} s"),
    )
    title.add_row(
        _labelled("broker", where.brokers), Text(f"{frame.events:,} events produced", style="bold")
    )
    title.add_row(_labelled("database", where.database), _flows(frame.latest))
    title.add_row(_labelled("console", where.console), _dead_letters(frame.latest))
    return title


def _flows(latest: Latest) -> Text:
    """What comes in, by family of topics."""
    return Text("  ").join(
        Text.assemble((f"{family} ", "dim"), (f"{speed:,.0f}/s", "green"))
        for family, speed in latest.flows.items()
    )


def _dead_letters(latest: Latest) -> Text:
    if latest.reading is None:
        return Text()
    dead = latest.reading.dead_letters
    return Text(f"{rows_text(dead)} dead letters", style="bold red" if dead.count else "dim")


def _labelled(label: str, text: str) -> Text:
    return Text.assemble((f"{label:10}", "dim"), text, overflow="ellipsis")


def _projections(latest: Latest, shown: Sequence[ProjectionReading]) -> RenderableType:
    """One line each."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, min_width=8)
    table.add_column(justify="right", no_wrap=True, min_width=7)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row(*(Text(title, style="dim") for title in ("", "events/s", "lag", "rows")))
    for one in shown:
        lag = sum(one.lag.values())
        table.add_row(
            Text(one.name, style="bold cyan"),
            Text(f"{latest.speeds.get(one.name, 0.0):,.0f}", style="bold green"),
            Text(f"{lag:,}", style="" if lag < _LARGE_LAG else "yellow"),
            Text("   ").join(
                Text.assemble((f"{rows.table} ", "dim"), rows_text(rows)) for rows in one.tables
            ),
        )
    return table


def _markets(markets: Sequence[MarketQuote]) -> RenderableType:
    """A line each: the market that closes next, what is bid for YES and asked for it."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, min_width=15)
    table.add_column(no_wrap=True, min_width=15)
    table.add_column(no_wrap=True)
    for one in markets:
        left = Text(f"{max(0.0, one.closes_in):,.0f} s left", style="dim")
        table.add_row(
            Text(one.ticker, style="bold"),
            _level("bid", one.bid, one.bid_size, "green"),
            _level("ask", one.ask, one.ask_size, "red"),
            left if one.valid else Text("not valid", style="yellow"),
        )
    return table


def _level(name: str, price: Decimal | None, size: Decimal | None, style: str) -> Text:
    if price is None or size is None:
        return Text(f"no {name}", style="dim")
    return Text.assemble((f"{name} ", "dim"), (dollars(price), style), f" x {number(size)}")


def _accounts(accounts: AccountsReading, lines: int) -> RenderableType:
    """Trades by status, what they gained, whether the cash is explained; the newest trades."""
    head = Table.grid(padding=(0, 2, 0, 0))
    head.add_column(style="bold cyan", min_width=12, no_wrap=True)
    head.add_column(no_wrap=True, overflow="ellipsis")
    head.add_row("trades", _statuses(accounts))
    head.add_row("pnl", _gain(accounts))
    head.add_row("cash", _cash(accounts))
    return Group(head, *([_newest(accounts.newest[:lines])] if lines else []))


def _statuses(accounts: AccountsReading) -> Text:
    return Text("  ").join(
        Text.assemble((f"{count:,} ", "bold"), (status, _COLORS.get(status, "")))
        for status in STATUSES
        if (count := accounts.trades.get(status))
    )


def _gain(accounts: AccountsReading) -> Text:
    fees = f" after {dollars(accounts.fees)} of fees"
    settled = f"; {accounts.settled:,} ended at settlement" if accounts.settled else ""
    return Text.assemble(_signed(accounts.pnl), (fees + settled, "dim"))


def _cash(accounts: AccountsReading) -> Text:
    """The newest balance, whether all is explained, and whose it is."""
    newest = sorted(accounts.cash, key=lambda cash: cash.time, reverse=True)
    more = f" and {len(newest) - 1} more" if len(newest) > 1 else ""
    return Text.assemble(
        *((f"{dollars(cash.balance)}  ", "bold") for cash in newest[:1]),
        _explained(accounts.unexplained),
        *((f"  {cash.account}{more}", "dim") for cash in newest[:1]),
    )


def _explained(unexplained: Decimal | None) -> tuple[str, str]:
    if unexplained is None:
        return "not reckoned in time", "dim"
    if unexplained:
        return f"{dollars(unexplained)} unexplained", "bold red"
    return "every cent explained", "green"


def _newest(trades: Sequence[Trade]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=8)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True, min_width=5)
    table.add_column(no_wrap=True, min_width=9)
    table.add_column(justify="right", no_wrap=True, min_width=8)
    for trade in trades:
        bought = bool(trade.position)
        table.add_row(
            Text(trade.status, style=_COLORS.get(trade.status, "")),
            trade.ticker,
            trade.side,
            Text(number(trade.position if bought else trade.requested), "" if bought else "dim"),
            Text(f"at {dollars(trade.buy_price)}") if bought else Text("asked", style="dim"),
            Text() if trade.pnl is None else _signed(trade.pnl),
        )
    return table


def _signed(amount: Decimal) -> Text:
    """A gain or a loss."""
    style = "green" if amount > 0 else "red" if amount < 0 else ""
    return Text(("+" if amount > 0 else "") + dollars(amount), style=style)


def _prices(prices: Sequence[LastPrice], cells: int, lines: int) -> RenderableType:
    """The freshest have the room, in an order that does not change from frame to frame."""
    room = cells * lines
    shown = sorted(prices, key=lambda last: last.age)[: room if len(prices) <= room else room - 1]
    texts = [_price(last) for last in sorted(shown, key=lambda last: (last.venue, last.symbol))]
    if len(prices) > len(shown):
        texts.append(Text(f"and {len(prices) - len(shown)} more", style="dim"))
    return _grid(texts or [Text("no prices yet", style="dim")], cells)


def _price(last: LastPrice) -> Text:
    style = "dim" if last.age > _STALE else ""
    return Text.assemble(
        (last.symbol, "bold"),
        (f" {last.venue}  ", "dim"),
        (f"{last.price:,f}", style),
        (f"  {_age(last)}", "dim"),
        overflow="ellipsis",
    )


def _children(children: Sequence[ChildState], cells: int) -> list[Table]:
    """Those that run side by side; one that does not has a line of its own."""
    running = [_child(child, f"pid {child.pid}") for child in children if child.pid is not None]
    others = [_child(child, child.doing) for child in children if child.pid is None]
    return [_grid(running, cells), _grid(others, 1)]


def _child(child: ChildState, told: str) -> Text:
    again = f"  restarts {child.restarts}" if child.restarts else ""
    runs = child.pid is not None
    return Text.assemble(
        (child.name, "bold green" if runs else "bold"),
        (f"  {told}{again}", "dim" if runs else "yellow"),
    )


def _grid(cells: Sequence[Text], per_line: int) -> Table:
    """Cells side by side, column under column."""
    table = Table.grid(padding=(0, 3, 0, 0))
    for _ in range(per_line):
        table.add_column(no_wrap=True, overflow="ellipsis")
    for start in range(0, len(cells), per_line):
        table.add_row(*cells[start : start + per_line])
    return table


def _age(last: LastPrice) -> str:
    age = max(0.0, last.age)
    if age < 60:
        return f"{age:.1f} s"
    if age < 3600:
        return f"{age / 60:.0f} min"
    return f"{age / 3600:,.0f} h" if age < 172_800 else f"{age / 86_400:,.0f} d"

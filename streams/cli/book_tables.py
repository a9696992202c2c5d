"""An order book for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams.events.tickers import EASTERN
from streams.reports.book import Level, MarketBook, Row
from streams.reports.text import dollars, eastern, number

__all__ = ["render"]


def render(book: MarketBook, depth: int) -> RenderableType:
    """What the market is, whether its book is valid, the best levels of both sides, the last news.

    Prices are dollars of YES.
    """
    parts: list[RenderableType] = [
        Text.assemble((book.ticker, "bold"), f" of {book.venue}", overflow="fold"),
        *_described(book.market),
        _validity(book),
        Text(),
    ]
    if book.bids or book.asks:
        parts += [_ladder(book, depth), Text()]
    return Group(*parts, _news(book))


def _described(market: Row) -> list[Text]:
    title = ", ".join(text for text in (market["title"], market["subtitle"]) if text)
    facts = [
        "" if market["strike"] is None else f"strike {number(market['strike'])}",
        f"closes {eastern(market['closes'])} Eastern" if market["closes"] else "",
        market["status"] or "",
        f"result {market['result']}" if market["result"] else "",
    ]
    lines = [title, ", ".join(fact for fact in facts if fact)]
    return [Text(line) for line in lines if line]


def _validity(book: MarketBook) -> Text:
    state = book.state
    if state is None:
        return Text("no book: no snapshot of it was projected yet", style="yellow")
    if state["valid"]:
        return Text.assemble(("valid", "bold green"), f", last changed {_ago(book, state)}")
    since = f"{state['invalid_since'].astimezone(EASTERN):%Y-%m-%d %H:%M:%S} Eastern"
    return Text.assemble(
        ("NOT VALID", "bold red"),
        f" since {since}: {state['reason']}; it was last changed {_ago(book, state)}",
    )


def _ladder(book: MarketBook, depth: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("contracts", "bid", "ask", "contracts"):
        table.add_column(name, justify="right", min_width=12, overflow="fold")
    for bid, ask in zip_longest(book.bids[:depth], book.asks[:depth]):
        table.add_row(*_cells(bid)[::-1], *_cells(ask))
    more = (_more(book.bids, depth), _more(book.asks, depth))
    if any(more):
        table.add_row(more[0], "", "", more[1], style="dim")
    return table


def _cells(level: Level | None) -> tuple[str, str]:
    return ("", "") if level is None else (dollars(level.price), number(level.size))


def _more(levels: Sequence[Level], depth: int) -> str:
    count = len(levels) - depth
    return f"{count} more" if count > 0 else ""


def _news(book: MarketBook) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    if book.bids or book.asks:
        bid, ask = (_cells(levels[0] if levels else None) for levels in (book.bids, book.asks))
        table.add_row("best", _sides(bid, ask))
        table.add_row("spread", dollars(book.spread))
    if (trade := book.last_trade) is not None:
        taker = f", {trade['taker_side']} taken" if trade["taker_side"] else ""
        price, count = dollars(trade["yes_price"]), number(trade["count"])
        table.add_row("last trade", f"{count} at {price}{taker}, {_ago(book, trade)}")
    if (quote := book.quote) is not None:
        bid, ask = (_quoted(quote, side) for side in ("yes_bid", "yes_ask"))
        table.add_row("quote", f"{_sides(bid, ask)}, {_ago(book, quote)}")
    return table


def _quoted(quote: Row, side: str) -> tuple[str, str]:
    size = quote[f"{side}_size"]
    return dollars(quote[side]), "" if size is None else number(size)


def _sides(bid: tuple[str, str], ask: tuple[str, str]) -> str:
    """Each a price and a size, which may be empty."""
    shown = [f"{price or '-'}{f' x {size}' if size else ''}" for price, size in (bid, ask)]
    return f"bid {shown[0]}, ask {shown[1]}"


def _ago(book: MarketBook, row: Row) -> str:
    """How long before now the time of this row was: `1.2 s ago`, `3 min ago`."""
    seconds = book.age(row)
    for limit, unit, text in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:,.{1 if unit == 1 else 0}f} {text} ago"
    return f"{seconds / 86_400:,.0f} days ago"

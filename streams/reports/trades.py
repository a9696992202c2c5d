"""Trades as they stand, and what happened to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from streams.reports.reading import Connection

__all__ = ["STATUSES", "History", "Newest", "Trade", "Wanted", "active_trades", "find_trade"]
__all__ += ["fills_of_trade", "newest_trades", "prices_of_trade", "trade_history", "trades_before"]

STATUSES = ("pending", "open", "closing", "closed", "expired", "canceled", "error")

#: The columns of the view `trades`, by name.
Trade = dict[str, Any]
#: The columns of the view `trade_log`, by name.
History = list[dict[str, Any]]

_NEWEST = """
select * from public.trades
where account = %(account)s and (%(status)s::text is null or status = %(status)s)
order by asked_at desc, ticket_id desc
limit %(limit)s
"""
_COUNT = """
select count(*) from public.trades
where account = %(account)s and (%(status)s::text is null or status = %(status)s)
"""
_OTHERS = "select distinct account from public.trades where account <> %s order by account"
_TRADE = "select * from public.trades where ticket_id = %s"
_HISTORY = """
select time, what, detail, topic, partition, "offset" from public.trade_log
where ticket_id = %s
order by time, topic = 'kalshi.account', topic, partition, "offset"
"""
_WANTED = """
select * from public.trades
where (%(account)s::text is null or account = %(account)s)
    and (%(status)s::text is null or status = %(status)s)
    and (%(ticker)s::text is null or strpos(ticker, %(ticker)s) > 0)
    and (%(time)s::timestamptz is null or (asked_at, ticket_id) < (%(time)s, %(ticket)s))
order by asked_at desc, ticket_id desc
limit %(limit)s
"""
_ACTIVE = "select * from public.active_trades order by asked_at desc, ticket_id desc limit %s"
_FILLS = """
select time, role, side, count, price, fee, fee_source, trade_id, part
from public.trade_fills where ticket_id = %s
order by time, trade_id, part
"""
_PRICES = """
select symbol, venue, symbol_open, symbol_close, momentum
from public.trade_prices where ticket_id = %s
"""


@dataclass(frozen=True)
class Wanted:
    """Trades of an account, in a status, with this text in their ticker; None is any."""

    account: str | None = None
    status: str | None = None
    ticker: str | None = None


@dataclass(frozen=True)
class Newest:
    """The last trades of an account, oldest first; `count` is of all that there are.

    `other_accounts` names those that have trades too.
    """

    trades: Sequence[Trade]
    count: int
    other_accounts: Sequence[str]


def newest_trades(connection: Connection, account: str, status: str | None, limit: int) -> Newest:
    """The last `limit` trades of an account, of one status or of any, by the time asked."""
    chosen = {"account": account, "status": status, "limit": limit}
    with connection.cursor(row_factory=dict_row) as cursor:
        trades = cursor.execute(_NEWEST, chosen).fetchall()
    found = connection.execute(_COUNT, chosen).fetchone()
    others = connection.execute(_OTHERS, [account]).fetchall()
    return Newest(trades[::-1], found[0] if found else 0, [name for (name,) in others])


def find_trade(connection: Connection, ticket_id: str) -> Trade | None:
    """The trade that this ticket opened, if the tables know of one."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_TRADE, [ticket_id]).fetchone()


def trade_history(connection: Connection, ticket_id: str) -> History:
    """What the log says of a ticket, oldest first, each with its place in the log.

    At one time: commands, outcomes, what the venue says. What has no time is last.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_HISTORY, [ticket_id]).fetchall()


def trades_before(
    connection: Connection, wanted: Wanted, before: tuple[datetime, str] | None, limit: int
) -> list[Trade]:
    """The next `limit` trades, newest first; `before` is the last one's time asked, and ticket."""
    time, ticket = before or (None, None)
    chosen = {**asdict(wanted), "time": time, "ticket": ticket, "limit": limit}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_WANTED, chosen).fetchall()


def active_trades(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` rows of the view `active_trades`, newest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_ACTIVE, [limit]).fetchall()


def fills_of_trade(connection: Connection, ticket_id: str) -> list[dict[str, Any]]:
    """The parts of fills that belong to this trade, oldest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_FILLS, [ticket_id]).fetchall()


def prices_of_trade(connection: Connection, ticket_id: str) -> dict[str, Any] | None:
    """What the underlying cost, as the view `trade_prices` has it."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_PRICES, [ticket_id]).fetchone()

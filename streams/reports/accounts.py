"""What accounts hold and did: balances, positions, fills, the cash ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from streams.reports.reading import Connection

__all__ = ["Row", "fills_before", "read_accounts", "read_ledger", "read_positions"]

#: The columns of a view, by name.
Row = dict[str, Any]

_ACCOUNTS = """
select a.account, b.balance, b.portfolio_value, b.time
from (
    select account from public.balances union select account from public.positions
    union select account from public.trades
) as a
left join lateral (
    select balance, portfolio_value, time from public.balances as n
    where n.account = a.account order by time desc, received desc limit 1
) as b on true
order by b.time desc nulls last, a.account
"""
# What the venue says otherwise stands beside it.
_POSITIONS = """
select p.account, p.ticker, p.position, p.cost, p.realized_pnl, p.fees_paid, p.volume,
    p.settled_at, p.payout, p.updated_at, d.venues as venue_says
from public.positions as p
left join public.position_differences as d
    on d.account = p.account and d.ticker = p.ticker and d.what = 'position'
where (%(account)s::text is null or p.account = %(account)s)
    and (not %(held)s or p.position <> 0)
order by p.position = 0, p.updated_at desc, p.ticker
limit %(limit)s
"""
_FILLS = """
select account, trade_id, ticker, order_id, side, yes_price,
    case side when 'yes' then yes_price else 1 - yes_price end as price, count, fee, is_taker,
    time, origin
from public.standing_fills
where (%(account)s::text is null or account = %(account)s)
    and (%(time)s::timestamptz is null or (time, trade_id) < (%(time)s, %(trade_id)s))
order by time desc, trade_id desc
limit %(limit)s
"""
_LEDGER = """
select since, observed as time, balance, change, fills, fees, settlements, transfers, holds,
    unexplained
from public.cash_ledger_rows(%(account)s)
order by observed desc
limit %(limit)s
"""


def read_accounts(connection: Connection) -> list[Row]:
    """Every account with its newest balance, in dollars, the newest first; without one the last."""
    return _rows(connection, _ACCOUNTS, {})


def read_positions(
    connection: Connection, account: str | None, limit: int, *, held: bool
) -> list[Row]:
    """Positions, those that hold contracts first; only these with `held`.

    `venue_says` is another number of contracts, None where the venue agrees.
    """
    return _rows(connection, _POSITIONS, {"account": account, "held": held, "limit": limit})


def fills_before(
    connection: Connection, account: str | None, before: tuple[datetime, str] | None, limit: int
) -> list[Row]:
    """The next `limit` fills, newest first, after the one of this time and venue's trade id.

    `price` is of the side acquired, dollars.
    """
    time, trade_id = before or (None, None)
    wanted = {"account": account, "time": time, "trade_id": trade_id, "limit": limit}
    return _rows(connection, _FILLS, wanted)


def read_ledger(connection: Connection, account: str, limit: int) -> list[Row]:
    """The newest `limit` rows of an account's cash ledger, newest first; see docs/trades.md."""
    return _rows(connection, _LEDGER, {"account": account, "limit": limit})


def _rows(connection: Connection, query: str, wanted: dict[str, Any]) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), wanted).fetchall()

"""Trades as they stand, and what happened to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import dict_row

from streams.reports.reading import Connection

__all__ = ["STATUSES", "History", "Newest", "Trade"]
__all__ += ["find_trade", "newest_trades", "trade_history"]

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

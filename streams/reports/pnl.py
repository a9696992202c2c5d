"""Profit and loss of closed trades: in groups, and trade by trade. Every figure is exact.

`cost` is what was paid for the contracts, `proceeds` what they were sold and settled at, both
before fees: pnl = proceeds - cost - fees. Days are calendar days in New York, by the time at which
the trade was closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg.rows import dict_row

from streams.errors import UserError
from streams.reports.reading import Connection

__all__ = ["GROUPINGS", "Report", "Row", "Span", "read_pnl"]

#: Eastern calendar day; the ticker before its first dash; the strategy; the market's ticker; and
#: each trade by itself.
GROUPINGS = ("day", "series", "strategy", "market", "trade")

#: A value for each column. Counts of trades are int, contracts and dollars Decimal.
Row = dict[str, Any]

# `buy_price` is a rounded mean, so the cost comes from the fills, and the proceeds from the pnl,
# which is not reckoned from rounded means (docs/trades.md).
_CHOSEN = """
with closed as (
    select
        t.*, (t.closed_at at time zone 'America/New_York')::date as day,
        bought.cost, t.pnl + t.fees + bought.cost as proceeds
    from public.trades as t
    cross join lateral (
        select coalesce(sum(f.count * f.price), 0) as cost
        from public.trade_fills as f
        where f.ticket_id = t.ticket_id and f.role = 'open'
    ) as bought
    where t.account = %(account)s and t.status = 'closed'
),
chosen as (
    select * from closed
    where day >= coalesce(%(since)s::date, '-infinity')
        and day <= coalesce(%(until)s::date, 'infinity')
)
"""
_SUMS = """
    count(*) as trades,
    count(*) filter (where win_loss = 'W') as wins,
    count(*) filter (where win_loss = 'L') as losses,
    trim_scale(coalesce(sum(position), 0)) as contracts,
    trim_scale(coalesce(sum(cost), 0)) as cost,
    trim_scale(coalesce(sum(proceeds), 0)) as proceeds,
    trim_scale(coalesce(sum(fees), 0)) as fees,
    trim_scale(coalesce(sum(pnl), 0)) as pnl
from chosen
"""
_BY_GROUP = f"""
{_CHOSEN}
select
    case %(by)s
        when 'day' then to_char(day, 'YYYY-MM-DD')
        when 'series' then split_part(ticker, '-', 1)
        when 'strategy' then trade_strategy
        when 'market' then ticker
    end collate "C" as "group",
    {_SUMS}
group by 1
order by 1 nulls last
"""
_TOTAL = f"{_CHOSEN} select {_SUMS}"
_BY_TRADE = f"""
{_CHOSEN}
select
    opened_at as opened, closed_at as closed, ticker, side,
    trim_scale(position) as contracts, trim_scale(cost) as cost,
    trim_scale(proceeds) as proceeds, trim_scale(fees) as fees, trim_scale(pnl) as pnl,
    ticket_id as ticket
from chosen
order by closed_at, ticket_id collate "C"
"""


@dataclass(frozen=True)
class Span:
    """An account's days from `since` to `until`, both included; None is open."""

    account: str
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class Report:
    """Lines of these columns, and the total of all.

    Of groups: group (None without a strategy), trades, wins, losses, contracts, cost, proceeds,
    fees, pnl. Of single trades: opened, closed, ticker, side, contracts, cost, proceeds, fees, pnl,
    ticket. The total: as of a group. A trade that came out even is neither win nor loss.
    """

    columns: Sequence[str]
    lines: Sequence[Row]
    total: Row


def read_pnl(connection: Connection, span: Span, by: str) -> Report:
    """The closed trades of a span, by one of GROUPINGS, in the order of the group or the time.

    Raises UserError for another grouping.
    """
    if by not in GROUPINGS:
        raise UserError(f"{by!r} is no grouping; there are {', '.join(GROUPINGS)}")
    wanted = vars(span) | {"by": by}
    with connection.cursor(row_factory=dict_row) as cursor:
        total = cursor.execute(_TOTAL, wanted).fetchone() or {}
        lines = cursor.execute(_BY_TRADE if by == "trade" else _BY_GROUP, wanted).fetchall()
        columns = [column.name for column in cursor.description or ()]
    return Report(columns, lines, total)

"""Prices of spot symbols: the newest of each, and their history with its momentum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from streams.reports.reading import Connection

__all__ = ["SPANS", "Row", "Span", "price_bars", "read_symbols"]

#: The columns of a query, by name.
Row = dict[str, Any]

_SYMBOLS = """
select p.venue, p.symbol, p.price, p.time, q.bid, q.ask,
    exists (
        select from public.reference_venues as r where r.symbol = p.symbol and r.venue = p.venue
    ) as is_reference
from public.latest_price as p
left join public.latest_quote as q on q.venue = p.venue and q.symbol = p.symbol
order by p.symbol, p.venue
"""
# To reckon momentum costs ten look-ups for each second: so there is one bar for `step` seconds,
# with the momentum of its last one that has trades.
_SECONDS = """
with bars as (
    select
        floor(extract(epoch from second) / %(step)s)::bigint * %(step)s as time,
        (array_agg(open order by second))[1] as open,
        max(high) as high,
        min(low) as low,
        (array_agg(close order by second desc))[1] as close,
        sum(volume) as volume,
        max(second) as newest
    from public.price_seconds
    where venue = %(venue)s and symbol = %(symbol)s and second >= %(since)s
    group by 1
)
select b.time, b.open, b.high, b.low, b.close, b.volume, m.momentum
from bars as b
left join public.price_momentum as m
    on m.venue = %(venue)s and m.symbol = %(symbol)s and m.second = b.newest
order by b.time
limit %(limit)s
"""
_MINUTES = """
select
    floor(extract(epoch from minute) / %(step)s)::bigint * %(step)s as time,
    (array_agg(open order by minute))[1] as open,
    max(high) as high,
    min(low) as low,
    (array_agg(close order by minute desc))[1] as close,
    sum(volume) as volume,
    null::integer as momentum
from public.price_bars_1m
where venue = %(venue)s and symbol = %(symbol)s and minute >= %(since)s
group by 1
order by 1
limit %(limit)s
"""
_NEWEST = """
select max(second) as newest from public.price_seconds where venue = %s and symbol = %s
"""
_MOST_BARS = 5000


@dataclass(frozen=True, slots=True)
class Span:
    """So many seconds, in bars of `step` seconds; of minutes where momentum would cost too much."""

    seconds: int
    step: int

    @property
    def has_momentum(self) -> bool:
        """Whether the bars come from seconds."""
        return self.step < 60


#: By the name that people choose it by.
SPANS: Mapping[str, Span] = {
    "15m": Span(900, 1),
    "1h": Span(3600, 5),
    "6h": Span(21_600, 60),
    "1d": Span(86_400, 60),
    "7d": Span(604_800, 600),
    "30d": Span(2_592_000, 3600),
}


def read_symbols(connection: Connection) -> list[Row]:
    """Every venue and symbol, with its newest price and quote."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SYMBOLS).fetchall()


def price_bars(
    connection: Connection, venue: str, symbol: str, span: Span, since: datetime | None
) -> list[Row]:
    """The bars of the span that ends with the newest price; only those from `since` on, if given.

    `time` is the bar's first second since 1970 UTC; `momentum` is as of `price_momentum`, None
    where there is none.
    """
    begin = since
    if begin is None:
        newest = connection.execute(_NEWEST, [venue, symbol]).fetchone()
        if newest is None or newest[0] is None:
            return []
        begin = datetime.fromtimestamp(newest[0].timestamp() - span.seconds, newest[0].tzinfo)
    query = _SECONDS if span.has_momentum else _MINUTES
    wanted = {"venue": venue, "symbol": symbol, "step": span.step, "since": begin}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), {**wanted, "limit": _MOST_BARS}).fetchall()

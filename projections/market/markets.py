"""What each market is: first as its ticker says, then as the venue says, in offset order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from projections.base import Connection
from streams.events import MarketDescribed, MarketDetermined, MarketSettled
from streams.events.tickers import read_ticker
from streams.events.types import moment, plain

Life = MarketDescribed | MarketDetermined | MarketSettled

_MAKE = """
insert into markets (venue, ticker, series, closes, strike)
select venue, ticker, series, closes, strike
from json_populate_recordset(null::markets, %s::json)
on conflict (venue, ticker) do nothing
"""

# What an event does not say is null, and stays as it was. Old news may come again, by another
# channel: an older description only fills gaps; a status and a result of an older time than what
# is known change nothing; what was settled is no longer just determined.
_TELL = """
update markets as m
set series = described(%(series)s, v.described_at, m.series, m.described_at),
    event_ticker = described(%(event_ticker)s, v.described_at, m.event_ticker, m.described_at),
    title = described(%(title)s, v.described_at, m.title, m.described_at),
    subtitle = described(%(subtitle)s, v.described_at, m.subtitle, m.described_at),
    strike_type = v.strike_type,
    floor_strike = v.floor_strike,
    cap_strike = v.cap_strike,
    strike = coalesce(strike_label(v.strike_type, v.floor_strike, v.cap_strike), m.strike),
    opens = described(%(opens)s, v.described_at, m.opens, m.described_at),
    closes = described(%(closes)s, v.described_at, m.closes, m.described_at),
    described_at = greatest(v.described_at, m.described_at),
    status = case when v.is_new_status then %(status)s else m.status end,
    status_at = case when v.is_new_status then %(status_at)s else m.status_at end,
    result = case when v.is_new_result then %(result)s else m.result end,
    value = case when v.is_new_result then %(value)s else m.value end,
    determined_at = case
        when m.result = %(result)s then least(%(result_at)s, m.determined_at)
        when v.is_new_result then %(result_at)s
        else m.determined_at
    end,
    result_at = greatest(%(result_at)s, m.result_at),
    settled_at = greatest(%(settled_at)s, m.settled_at),
    updated_at = greatest(%(time)s, m.updated_at)
from (
    select
        w.described_at,
        described(%(strike_type)s, w.described_at, k.strike_type, k.described_at) as strike_type,
        described(%(floor_strike)s, w.described_at, k.floor_strike, k.described_at)
            as floor_strike,
        described(%(cap_strike)s, w.described_at, k.cap_strike, k.described_at) as cap_strike,
        %(status_at)s >= coalesce(k.status_at, '-infinity')
            and not (%(status)s = 'determined' and k.settled_at is not null) as is_new_status,
        %(result_at)s >= coalesce(k.result_at, '-infinity') as is_new_result
    from markets as k
    cross join (select %(described_at)s::timestamptz as described_at) as w
    where k.venue = %(venue)s and k.ticker = %(ticker)s
) as v
where m.venue = %(venue)s and m.ticker = %(ticker)s
"""

_DESCRIPTION = (
    *("series", "event_ticker", "title", "subtitle", "strike_type", "floor_strike", "cap_strike"),
    "status",
)
_REST = (
    *("opens", "closes", "described_at", "status_at", "result", "value", "result_at"),
    "settled_at",
)
_NOTHING = dict.fromkeys((*_DESCRIPTION, *_REST))
#: What one YES contract pays, where the result alone says it.
_VALUES = {"yes": 1, "no": 0}


async def make(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Give each (venue, ticker) a row with what the ticker says, where there is none."""
    rows = [_from_ticker(venue, ticker) for venue, ticker in sorted(keys)]
    if rows:
        await connection.execute(_MAKE, [orjson.dumps(rows).decode()])


def _from_ticker(venue: str, ticker: str) -> dict[str, Any]:
    said = read_ticker(ticker)
    strike = None if said.strike is None else plain(said.strike)
    return {
        "venue": venue,
        "ticker": ticker,
        "series": said.series,
        "closes": said.closes,
        "strike": strike,
    }


async def tell(connection: Connection, lives: Sequence[Life]) -> None:
    """Bring the rows up to date with these events, in their order."""
    if lives:
        async with connection.cursor() as cursor:
            await cursor.executemany(_TELL, [_row(event) for event in lives])


def _row(event: Life) -> dict[str, Any]:
    time = moment(event.time)
    row = {**_NOTHING, "venue": event.venue, "ticker": event.ticker, "time": time}
    if isinstance(event, MarketDescribed):
        row |= {name: getattr(event, name) for name in _DESCRIPTION}
        row["opens"] = None if event.opens is None else moment(event.opens)
        row["closes"] = None if event.closes is None else moment(event.closes)
        row["status_at"] = None if event.status is None else time
        row["described_at"] = time
    elif isinstance(event, MarketDetermined):
        value = _VALUES.get(event.result) if event.value is None else event.value
        row |= {"result": event.result, "value": value, "result_at": time}
        row |= {"status": "determined", "status_at": time}
    else:
        row |= {"settled_at": time, "status": "settled", "status_at": time}
    return row

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

# What an event does not say is null, and stays as it was. A status and a result of an older time
# than the one that is known are old news: they may come again, by another channel.
_TELL = """
update markets
set series = coalesce(%(series)s, series),
    event_ticker = coalesce(%(event_ticker)s, event_ticker),
    title = coalesce(%(title)s, title),
    subtitle = coalesce(%(subtitle)s, subtitle),
    strike_type = coalesce(%(strike_type)s, strike_type),
    floor_strike = coalesce(%(floor_strike)s, floor_strike),
    cap_strike = coalesce(%(cap_strike)s, cap_strike),
    strike = coalesce(
        strike_label(
            coalesce(%(strike_type)s, strike_type),
            coalesce(%(floor_strike)s, floor_strike),
            coalesce(%(cap_strike)s, cap_strike)
        ),
        strike
    ),
    opens = coalesce(%(opens)s, opens),
    closes = coalesce(%(closes)s, closes),
    status = case
        when %(status_at)s < status_at then status else coalesce(%(status)s, status)
    end,
    status_at = greatest(%(status_at)s, status_at),
    result = case
        when %(determined_at)s < determined_at then result else coalesce(%(result)s, result)
    end,
    value = case
        when %(determined_at)s < determined_at or %(determined_at)s is null then value
        else %(value)s
    end,
    determined_at = greatest(%(determined_at)s, determined_at),
    settled_at = greatest(%(settled_at)s, settled_at),
    updated_at = greatest(%(time)s, updated_at)
where venue = %(venue)s and ticker = %(ticker)s
"""

_DESCRIPTION = (
    *("series", "event_ticker", "title", "subtitle", "strike_type", "floor_strike", "cap_strike"),
    "status",
)
_REST = ("opens", "closes", "status_at", "result", "value", "determined_at", "settled_at")
_NOTHING = dict.fromkeys((*_DESCRIPTION, *_REST))
#: What one YES contract pays, where the result alone says it.
_VALUES = {"yes": 1, "no": 0}


async def make(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Give each (venue, ticker) a row with what the ticker says, where there is none."""
    rows = [_from_ticker(venue, ticker) for venue, ticker in sorted(keys)]
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
    elif isinstance(event, MarketDetermined):
        value = _VALUES.get(event.result) if event.value is None else event.value
        row |= {"result": event.result, "value": value, "determined_at": time}
        row |= {"status": "determined", "status_at": time}
    else:
        row |= {"settled_at": time, "status": "settled", "status_at": time}
    return row

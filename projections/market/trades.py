"""Public trades: facts by the venue's id, and what contradicts them. Any order gives the same rows.

Contents are compared on market, price, count and time to the second, which is what every channel
and recording gives; what one channel lacks, or gives less finely, is filled from another. Of
differing contents the smaller (second, hash) stands, the others are conflicts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

import orjson
from psycopg import AsyncCursor
from psycopg.rows import dict_row

from projections.base import Connection, Recorded
from streams.events import MarketTrade
from streams.events.types import moment, plain

Row = dict[str, Any]
#: (venue, trade id)
Key = tuple[str, str]
#: What is compared.
Core = tuple[datetime, str, Decimal, Decimal]

_COLUMNS = (
    *("venue", "trade_id", "ticker", "time", "yes_price", "count", "taker_side", "is_block"),
    *("received", "partition", "offset"),
)
_AUDIT = {"partition", "offset"}
_EXACT = Context(prec=60)
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_OF_T = ", ".join(f't."{name}"' for name in _COLUMNS)
_KEYS = "json_to_recordset(%s::json) as k (venue text, trade_id text)"

# Locked, for records of one id may be of different markets, and so of different workers.
_FIND = f"""
select {_OF_T} from {_KEYS} join market_trades as t using (venue, trade_id) for update of t
"""
_INSERT = f"""
insert into market_trades ({_NAMES})
select {_NAMES} from json_populate_recordset(null::market_trades, %s::json)
"""
_UPDATE = f"""
update market_trades as t
set ({_NAMES}) = row({", ".join(f'k."{name}"' for name in _COLUMNS)})
from json_populate_recordset(null::market_trades, %s::json) as k
where t.venue = k.venue and t.trade_id = k.trade_id
"""
_FIND_CONFLICTS = f"""
select {_OF_T} from {_KEYS} join market_trade_conflicts as t using (venue, trade_id)
"""
_FORGET_CONFLICTS = f"""
delete from market_trade_conflicts as t using {_KEYS}
where t.venue = k.venue and t.trade_id = k.trade_id
"""
_ADD_CONFLICTS = f"""
insert into market_trade_conflicts ({_NAMES}, content)
select {_NAMES}, content from json_populate_recordset(null::market_trade_conflicts, %s::json)
"""


@dataclass
class Arrived:
    """Trades on their way into the table, and the question for those that are there."""

    rows: dict[Key, list[Row]]
    held: AsyncCursor[Row]


async def find(
    connection: Connection, recorded: Sequence[tuple[Recorded, MarketTrade]]
) -> Arrived | None:
    """Ask for, and lock, what is held of the ids of these trades."""
    if not recorded:
        return None
    rows: dict[Key, list[Row]] = {}
    for place, trade in recorded:
        rows.setdefault((trade.venue, trade.trade_id), []).append(_row(place, trade))
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_FIND, [_keys(rows)])
    return Arrived(rows, cursor)


async def store(connection: Connection, arrived: Arrived | None) -> None:
    """Settle these trades with those that are there, and write what is new or changed."""
    if arrived is None:
        return
    held = {_key(row): row for row in await arrived.held.fetchall()}
    candidates = {
        key: [held[key], *rows] if key in held else rows for key, rows in arrived.rows.items()
    }
    contested = {
        key: rows for key, rows in candidates.items() if len({core(row) for row in rows}) > 1
    }
    after = {key: settled(rows)[0] for key, rows in candidates.items() if key not in contested}
    if contested:
        after |= await _settle(connection, contested)
    new = [row for key, row in after.items() if key not in held]
    changed = [row for key, row in after.items() if key in held and _differ(row, held[key])]
    if new:
        await connection.execute(_INSERT, [_json(new)])
    if changed:
        await connection.execute(_UPDATE, [_json(changed)])


async def _settle(connection: Connection, contested: Mapping[Key, Sequence[Row]]) -> dict[Key, Row]:
    """Decide ids with several contents anew, with all contents that ever came."""
    keys = _keys(contested)
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_FIND_CONFLICTS, [keys])
    known: dict[Key, list[Row]] = {}
    for row in await cursor.fetchall():
        known.setdefault(_key(row), []).append(row)
    winners, losers = {}, []
    for key, rows in contested.items():
        winners[key], *others = settled([*known.get(key, ()), *rows])
        losers += [{**row, "content": content(core(row))} for row in others]
    await connection.execute(_FORGET_CONFLICTS, [keys])
    await connection.execute(_ADD_CONFLICTS, [_json(losers)])
    return winners


def settled(rows: Sequence[Row]) -> list[Row]:
    """A row for each content of one id, the one that stands first."""
    by_core: dict[Core, Row] = {}
    for row in rows:
        key = core(row)
        by_core[key] = _joined(by_core[key], row) if key in by_core else row
    if len(by_core) > 1:
        return [by_core[key] for key in sorted(by_core, key=lambda key: (key[0], content(key)))]
    return list(by_core.values())


def core(row: Row) -> Core:
    """What is compared of a trade."""
    return row["time"].replace(microsecond=0), row["ticker"], row["yes_price"], row["count"]


def content(key: Core) -> str:
    """The hash by which contradictions are decided: SHA-256 of time, market, price and count.

    As a JSON array; the time in ISO 8601, decimals as text without trailing zeros.
    """
    time, ticker, *numbers = key
    texts = [plain(_EXACT.normalize(number)) for number in numbers]
    return hashlib.sha256(orjson.dumps([time, ticker, *texts])).hexdigest()


def _joined(row: Row, other: Row) -> Row:
    """The row, with what it lacks from another of the same content."""
    return {
        **row,
        "time": max(row["time"], other["time"]),
        "received": min(row["received"], other["received"]),
        "taker_side": _least(row["taker_side"], other["taker_side"]),
        "is_block": _least(row["is_block"], other["is_block"]),
    }


def _least(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _differ(row: Row, other: Row) -> bool:
    return any(row[name] != other[name] for name in _COLUMNS if name not in _AUDIT)


def _row(place: Recorded, trade: MarketTrade) -> Row:
    return {
        "venue": trade.venue,
        "trade_id": trade.trade_id,
        "ticker": trade.ticker,
        "time": moment(trade.time),
        "yes_price": trade.yes_price,
        "count": trade.count,
        "taker_side": trade.taker_side,
        "is_block": trade.is_block,
        "received": moment(trade.received),
        "partition": place.source.partition,
        "offset": place.offset,
    }


def _key(row: Row) -> Key:
    return row["venue"], row["trade_id"]


def _keys(keys: Iterable[Key]) -> str:
    named = [{"venue": venue, "trade_id": trade_id} for venue, trade_id in sorted(keys)]
    return orjson.dumps(named).decode()


def _json(rows: Sequence[Row]) -> str:
    return orjson.dumps(rows, default=plain, option=orjson.OPT_UTC_Z).decode()

"""The rows of facts that count."""

from __future__ import annotations

import pytest

from tests.projections.views.tables import ACCOUNT, NOON, TICKER, Row, put, read

TIMED = {"ticker": TICKER, "time": NOON}
#: Of each table a column of its key, and what else a row must have.
TABLES: dict[str, tuple[str, Row]] = {
    "commands": (
        "command_id",
        {"kind": "cancel", "ticket_id": "T", "client_order_id": "O"} | TIMED,
    ),
    "trade_events": ("event_id", {"kind": "expired", "ticket_id": "T"} | TIMED),
    "orders": (
        "order_id",
        {"ticker": TICKER, "side": "no", "status": "resting"}
        | dict.fromkeys(("initial_count", "fill_count", "remaining_count"), 1),
    ),
    "fills": ("trade_id", {"side": "no", "yes_price": 0, "count": 1} | TIMED),
    "settlements": (
        "ticker",
        {"settled_time": NOON, "result": "no", "yes_count": 0, "no_count": 1, "revenue": 1},
    ),
    "position_facts": ("ticker", {"time": NOON, "position": 1}),
    "transfers": (
        "transfer_id",
        {"kind": "deposit", "status": "applied", "amount": 1, "fee": 0, "created": NOON},
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_where_both_origins_have_a_key_the_native_row_stands(migrated_dsn: str, table: str) -> None:
    name, rest = TABLES[table]
    said = [("A", "native"), ("B", "legacy"), ("B", "native"), ("C", "legacy")]
    for offset, (key, origin) in enumerate(said):
        place = {"topic": "any", "partition": 0, "offset": offset}
        put(migrated_dsn, table, {"account": ACCOUNT, **rest, **place, name: key, "origin": origin})
    standing = read(migrated_dsn, f"select {name}, origin from standing_{table} order by 1")
    assert [(row[name], row["origin"]) for row in standing] == [
        ("A", "native"),
        ("B", "native"),
        ("C", "legacy"),
    ]

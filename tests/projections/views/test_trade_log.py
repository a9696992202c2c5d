"""The history of a ticket, as the log tells it."""

from __future__ import annotations

from typing import Any

import pytest

from streams.events.trade_commands import client_order_id
from tests.projections.views.tables import ACCOUNT, NOON, TICKER, Row, after, fact, put, read, trade

COMMANDS, EVENTS, FACTS = "trade.commands", "trade.events", "kalshi.account"
#: What the projection found of a close command.
CLOSE = {"account": ACCOUNT, "ticker": TICKER, "ticket_id": "ticket"}


def history(dsn: str, ticket_id: str = "ticket") -> list[tuple[str, str]]:
    query = "select what, detail from trade_log where ticket_id = %s"
    return [(row["what"], row["detail"]) for row in read(dsn, query, ticket_id)]


def command(offset: int, kind: str, seconds: float = 0, **fields: Any) -> Row:
    ticket_id = fields.pop("ticket_id", "ticket")
    return fact(
        COMMANDS,
        offset,
        command_id=f"c{offset}",
        kind=kind,
        ticket_id=ticket_id,
        time=after(seconds),
        client_order_id=client_order_id(ticket_id, f"c{offset}"),
        **fields,
    )


def outcome(offset: int, kind: str, seconds: float, **fields: Any) -> Row:
    own = {"event_id": f"e{offset}", "ticket_id": "ticket", "kind": kind, "time": after(seconds)}
    return fact(EVENTS, offset, **own | fields)


def order(offset: int, order_id: str, seconds: float, **fields: Any) -> Row:
    own = {"order_id": order_id, "updated": after(seconds), "side": "yes", "yes_price": "0.4500"}
    own |= {"status": "executed", "initial_count": 10, "fill_count": 10, "remaining_count": 0}
    return fact(FACTS, offset, **own | fields)


def fill(offset: int, trade_id: str, seconds: float, **fields: Any) -> Row:
    own = {"trade_id": trade_id, "time": after(seconds), "side": "yes", "yes_price": "0.45"}
    return fact(FACTS, offset, **own | {"count": 10} | fields)


def part(trade_id: str, seconds: float, **fields: Any) -> Row:
    """What the projection made of a fill."""
    own = {"account": ACCOUNT, "ticker": TICKER, "trade_id": trade_id, "part": 0}
    own |= {"ticket_id": "ticket", "role": "open", "time": after(seconds), "side": "yes"}
    own |= {"count": 10, "price": "0.45", "fee": "0.1800", "fee_source": "fill"}
    return own | fields


def settlement(offset: int, seconds: float, **fields: Any) -> Row:
    own = {"settled_time": after(seconds), "result": "yes", "value": 1, "revenue": "10.00"}
    return fact(FACTS, offset, **own | {"yes_count": 10, "no_count": 0} | fields)


def test_a_history_tells_everything_in_the_order_of_time(migrated_dsn: str) -> None:
    put(migrated_dsn, "trades", trade(status="closed", closed_at=after(50)))
    put(
        migrated_dsn,
        "commands",
        command(1, "open", 0, side="yes", count="10.00", price="0.4600", method="auto"),
        command(2, "close", 40, side="no", price="0.03", method="manual"),
    )
    put(
        migrated_dsn,
        "trade_events",
        outcome(3, "order_accepted", 1, order_id="o1", command_id="c1"),
        outcome(4, "close_failed", 41, reason="no answer"),
    )
    put(
        migrated_dsn,
        "orders",
        order(5, "o1", 3),
        order(
            6,
            "o2",
            45,
            client_order_id=client_order_id("ticket", "c2"),
            side="no",
            status="canceled",
            yes_price="0.97",
            fill_count=4,
            reason="ExpiryCancel",
        ),
    )
    put(migrated_dsn, "fills", fill(7, "t1", 2), fill(8, "t2", 44, side="no", yes_price="0.97"))
    put(
        migrated_dsn,
        "trade_fills",
        part("t1", 2),
        part("t2", 44, role="close", side="no", count=4, price="0.03", fee=0),
    )
    put(migrated_dsn, "settlements", settlement(9, 50))
    assert history(migrated_dsn) == [
        ("open", "10 yes, at 0.46, auto"),
        ("order_accepted", "order o1, command c1"),
        ("fill", "open 10 yes at 0.45, fee 0.18"),
        ("order_executed", "10 of 10 yes, at 0.45, order o1"),
        ("close", "no, at 0.03, manual"),
        ("close_failed", "no answer"),
        ("fill", "close 4 no at 0.03, fee 0"),
        ("order_canceled", "4 of 10 no, at 0.03, order o2, ExpiryCancel"),
        ("settlement", "result yes, value 1, revenue 10"),
    ]
    places = read(migrated_dsn, 'select topic, partition, "offset", time from trade_log')
    assert [(row["topic"], row["partition"], row["offset"]) for row in places] == [
        *((COMMANDS, 0, 1), (EVENTS, 0, 3), (FACTS, 0, 7), (FACTS, 0, 5), (COMMANDS, 0, 2)),
        *((EVENTS, 0, 4), (FACTS, 0, 8), (FACTS, 0, 6), (FACTS, 0, 9)),
    ]
    assert [row["time"] for row in places] == [after(s) for s in (0, 1, 2, 3, 40, 41, 44, 45, 50)]


def test_what_came_at_one_time_goes_from_command_to_venue(migrated_dsn: str) -> None:
    put(migrated_dsn, "commands", command(9, "open", 0, side="yes", count=10))
    put(migrated_dsn, "trade_events", outcome(8, "order_accepted", 0, order_id="o1"))
    put(migrated_dsn, "orders", order(7, "o1", 0))
    assert [what for what, _ in history(migrated_dsn)] == [
        "open",
        "order_accepted",
        "order_executed",
    ]


def test_every_kind_of_command_is_told(migrated_dsn: str) -> None:
    put(
        migrated_dsn,
        "commands",
        command(1, "open", 0, side="yes", count=1),
        command(2, "cancel", 1, reason="too late"),
        command(3, "mark_error", 2),
    )
    assert history(migrated_dsn) == [("open", "1 yes"), ("cancel", "too late"), ("mark_error", "")]


@pytest.mark.parametrize("told_by", ["order", "fill", "order_accepted"])
def test_an_order_is_told_once_however_it_is_linked(migrated_dsn: str, told_by: str) -> None:
    named = {"client_order_id": client_order_id("ticket", "c1")}
    put(migrated_dsn, "commands", command(1, "open", 0, side="yes", count=10))
    put(migrated_dsn, "orders", order(2, "o1", 1, **(named if told_by == "order" else {})))
    if told_by != "order":
        put(migrated_dsn, "fills", fill(3, "t1", 1, order_id="o1", **named))
    if told_by == "order_accepted":
        put(migrated_dsn, "trade_events", outcome(4, "order_accepted", 0, order_id="o1"))
    told = [detail for what, detail in history(migrated_dsn) if what == "order_executed"]
    assert told == ["10 of 10 yes, at 0.45, order o1"]


def test_the_native_row_is_told_where_both_origins_have_a_fact(migrated_dsn: str) -> None:
    def both(row: Row, **legacy: Any) -> list[Row]:
        return [row, {**row, "origin": "legacy", "offset": 99, **legacy}]

    accepted = outcome(2, "order_accepted", 1, order_id="o1")
    put(migrated_dsn, "commands", *both(command(1, "open", 0, side="yes", count=10), count=9))
    put(migrated_dsn, "trade_events", *both(accepted, reason="legacy"))
    put(migrated_dsn, "orders", *both(order(3, "o1", 2), fill_count=9))
    put(migrated_dsn, "fills", *both(fill(4, "t1", 3)))
    put(migrated_dsn, "trade_fills", part("t1", 3))
    put(migrated_dsn, "settlements", *both(settlement(5, 4), revenue=9))
    found = read(migrated_dsn, 'select "offset" from trade_log')
    assert [row["offset"] for row in found] == [1, 2, 3, 4, 5]


def test_a_legacy_fact_is_told_where_it_is_the_only_one(migrated_dsn: str) -> None:
    legacy = {"origin": "legacy"}
    put(migrated_dsn, "commands", {**command(1, "open", 0, side="yes", count=10), **legacy})
    put(migrated_dsn, "fills", {**fill(4, "t1", 3), **legacy})
    put(migrated_dsn, "trade_fills", part("t1", 3))
    put(migrated_dsn, "settlements", {**settlement(5, 4), **legacy})
    assert [what for what, _ in history(migrated_dsn)] == ["open", "fill", "settlement"]


def test_a_legacy_close_is_told_of_the_trade_that_it_closed(migrated_dsn: str) -> None:
    close = command(1, "close", 20, ticket_id="own", side="no", origin="legacy")
    put(
        migrated_dsn,
        "commands",
        command(0, "open", 0, side="yes", count=10, origin="legacy"),
        close,
        command(3, "close", 30, side="no"),
    )
    closes = [{**CLOSE, "command_id": "c1"}, {**CLOSE, "command_id": "c3"}]
    put(migrated_dsn, "trade_closes", *closes)
    accepted = outcome(2, "order_accepted", 21, ticket_id="own", order_id="o1")
    put(migrated_dsn, "trade_events", accepted)
    put(migrated_dsn, "orders", order(4, "o1", 22))
    told = [
        ("close", "no, as ticket own"),
        ("order_accepted", "order o1"),
        ("order_executed", "10 of 10 yes, at 0.45, order o1"),
    ]
    assert history(migrated_dsn) == [("open", "10 yes"), *told, ("close", "no")]
    assert history(migrated_dsn, "own") == [("close", "no"), *told[1:]]


def test_a_close_that_closed_nothing_is_told_of_its_own_ticket_alone(migrated_dsn: str) -> None:
    put(
        migrated_dsn,
        "commands",
        command(0, "open", 0, side="yes", count=10, origin="legacy"),
        command(1, "close", 20, ticket_id="own", side="no", origin="legacy"),
    )
    put(migrated_dsn, "trade_closes", {**CLOSE, "command_id": "c1", "ticket_id": None})
    assert history(migrated_dsn) == [("open", "10 yes")]
    assert history(migrated_dsn, "own") == [("close", "no")]


def test_parts_of_fills_that_belong_to_no_trade_are_in_no_history(migrated_dsn: str) -> None:
    put(migrated_dsn, "fills", fill(1, "t1", 0))
    put(migrated_dsn, "trade_fills", part("t1", 0, ticket_id=None, role=None, reason="no trade"))
    assert read(migrated_dsn, "select * from trade_log") == []


def test_another_market_s_settlement_is_another_s(migrated_dsn: str) -> None:
    put(migrated_dsn, "trades", trade())
    put(migrated_dsn, "commands", command(1, "open", 0, side="yes", count=10))
    put(migrated_dsn, "settlements", {**settlement(2, 5), "ticker": "another"})
    put(migrated_dsn, "settlements", {**settlement(3, 6), "account": "kalshi/demo/main/0"})
    assert [what for what, _ in history(migrated_dsn)] == ["open"]
    assert read(migrated_dsn, "select time from trade_log")[0]["time"] == NOON

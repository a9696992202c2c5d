"""What the console reads of the tables, and what it may do to dead letters."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette.responses import Response

from projections.prices import Prices
from streams.console import reads as reading
from streams.console.actions import Repair
from streams.console.problem import Problem
from streams.console.reads import Reads
from streams.console.shared import Shared
from streams.embedded.stack import StackInfo
from streams.settings import Endpoints, load_settings
from streams.topics import ensure_topics
from tests.projections.logs import NOON, log_of, rows, trade
from tests.projections.redriven import older, project
from tests.streams.console.serving import client
from tests.streams.console.test_server import OURS
from tests.streams.tape import MAIN, MARKET, add_fill, add_row, add_trade, execute

ASKED = datetime(2025, 8, 6, 22, 10, tzinfo=UTC)


async def got(dsn: str, path: str) -> Any:
    """The JSON of what has to be found."""
    async with client(dsn=dsn) as console:
        reply = await console.get(path)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_trades_are_listed_page_by_page_and_chosen(migrated_dsn: str) -> None:
    for number in range(5):
        asked = ASKED + timedelta(minutes=number // 2)  # some at one time
        add_trade(migrated_dsn, f"T{number}", id=number, asked_at=asked, pnl=Decimal("0.10"))
    add_trade(migrated_dsn, "OTHER", id=9, account="kalshi/demo/main/0", status="closed")
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        async with client(dsn=migrated_dsn) as console:
            chosen = {"account": MAIN, "limit": "2"} | ({"before": cursor} if cursor else {})
            found = (await console.get("/api/trades", params=chosen)).json()
        seen += [one["ticket_id"] for one in found["trades"]]
        cursor = found["next"]
    assert seen == ["T4", "T3", "T2", "T1", "T0"]
    closed = await got(migrated_dsn, "/api/trades?status=closed")
    assert [one["ticket_id"] for one in closed["trades"]] == ["OTHER"]
    assert (await got(migrated_dsn, "/api/trades?ticker=KXETH"))["trades"] == []
    assert (await got(migrated_dsn, "/api/trades?account="))["trades"][0]["pnl"] == "0.1"


async def test_a_trade_has_its_fills_and_what_the_log_says(migrated_dsn: str) -> None:
    add_trade(migrated_dsn, "T/1")
    add_fill(migrated_dsn, "F1", "T/1", count=Decimal(10), price=Decimal("0.96"))
    found = await got(migrated_dsn, "/api/trades/T%2F1")
    assert found["trade"]["ticker"] == MARKET
    assert found["trade"]["asked_at"] == "2025-08-06T22:10:00Z"
    assert [(one["count"], one["price"]) for one in found["fills"]] == [("10", "0.96")]
    assert found["log"] == []
    async with client(dsn=migrated_dsn) as console:
        reply = await console.get("/api/trades/NONE")
    assert reply.status_code == 404
    assert "no trade with the ticket NONE" in reply.json()["detail"]


async def test_active_trades_have_their_live_profit(migrated_dsn: str) -> None:
    add_trade(migrated_dsn, "T1", buy_price=Decimal("0.50"))
    add_trade(migrated_dsn, "T2", id=2, status="closed")
    now = datetime.now(UTC)
    quote = {"yes_bid": Decimal("0.62"), "yes_ask": Decimal("0.64"), "time": now, "received": now}
    add_row(migrated_dsn, "market_quotes", venue="kalshi", ticker=MARKET, **quote)
    [one] = (await got(migrated_dsn, "/api/active-trades"))["trades"]
    assert (one["ticket_id"], one["mark"], one["unrealized_pnl"]) == ("T1", "0.62", "1.2")
    assert 0 <= float(one["quote_age"]) < 60


async def test_an_account_has_positions_fills_and_a_ledger(migrated_dsn: str) -> None:
    place = {"origin": "native", "topic": "kalshi.account", "partition": 0}
    for number, balance in enumerate((100, 95)):
        time = ASKED + timedelta(minutes=number)
        known = {"balance": Decimal(balance), "exact": True, "received": time, "offset": number}
        add_row(migrated_dsn, "balances", account=MAIN, time=time, **known, **place)
    for number in range(3):
        add_row(
            migrated_dsn,
            "fills",
            account=MAIN,
            trade_id=f"F{number}",
            ticker=MARKET,
            side="no",
            yes_price=Decimal("0.40"),
            count=Decimal(1),
            time=ASKED,
            offset=number,
            **place,
        )
    held = {"cost": Decimal("1.8"), "realized_pnl": Decimal(0), "fees_paid": Decimal(0)}
    for ticker, position in ((MARKET, -3), ("KXBTCD-OTHER", 0)):
        add_row(
            migrated_dsn,
            "positions",
            account=MAIN,
            ticker=ticker,
            position=Decimal(position),
            volume=Decimal(3),
            updated_at=ASKED,
            **held,
        )
    [account] = (await got(migrated_dsn, "/api/accounts"))["accounts"]
    assert (account["account"], account["balance"]) == (MAIN, "95")
    [position] = (await got(migrated_dsn, f"/api/positions?account={MAIN}"))["positions"]
    assert (position["position"], position["venue_says"]) == ("-3", None)
    assert len((await got(migrated_dsn, "/api/positions?held=false"))["positions"]) == 2
    first = await got(migrated_dsn, "/api/fills?limit=2")
    assert [(one["trade_id"], one["price"]) for one in first["fills"]] == [
        ("F2", "0.6"),
        ("F1", "0.6"),
    ]
    async with client(dsn=migrated_dsn) as console:
        rest = await console.get("/api/fills", params={"before": first["next"]})
    assert [one["trade_id"] for one in rest.json()["fills"]] == ["F0"]
    newest, _ = (await got(migrated_dsn, f"/api/cash?account={MAIN}"))["ledger"]
    assert (newest["change"], newest["unexplained"]) == ("-5", "-5")


async def test_prices_come_as_bars_with_momentum_and_only_the_new_ones_again(
    migrated_dsn: str,
) -> None:
    ticks = [trade(second * 1000, price=Decimal(65_000 + second)) for second in range(120)]
    await project(migrated_dsn, Prices(), [log_of(ticks)])
    [symbol] = (await got(migrated_dsn, "/api/symbols"))["symbols"]
    assert (symbol["symbol"], symbol["price"], symbol["is_reference"]) == (
        "BTC-USD",
        "65119",
        True,
    )
    seconds = await got(migrated_dsn, "/api/prices/coinbase/BTC-USD?span=15m")
    assert (seconds["step"], len(seconds["bars"])) == (1, 120)
    assert seconds["bars"][-1]["time"] == NOON + 119
    assert seconds["bars"][-1]["momentum"] == 9  # 60 of 65,059 dollars are 0.09 %
    newer = await got(migrated_dsn, f"/api/prices/coinbase/BTC-USD?since={NOON + 110}")
    assert len(newer["bars"]) == 10
    fives = (await got(migrated_dsn, "/api/prices/coinbase/BTC-USD?span=1h"))["bars"]
    assert [fives[0][name] for name in ("open", "high", "low", "close")] == [
        "65000",
        "65004",
        "65000",
        "65004",
    ]
    minutes = (await got(migrated_dsn, "/api/prices/coinbase/BTC-USD?span=1d"))["bars"]
    assert [(one["open"], one["close"]) for one in minutes] == [
        ("65000", "65059"),
        ("65060", "65119"),
    ]
    assert (await got(migrated_dsn, "/api/prices/kraken/BTC-USD"))["bars"] == []


async def test_books_are_listed_and_shown_and_an_unknown_market_is_not_found(
    migrated_dsn: str,
) -> None:
    now = datetime.now(UTC)
    add_row(migrated_dsn, "markets", venue="kalshi", ticker=MARKET, closes=now)
    execute(
        migrated_dsn,
        """insert into market_book_state
        (venue, ticker, connection, opened, sid, seq, time, received, yes, no)
        values ('kalshi', %s, 'c', now(), 1, 1, now(), now(), '{"0.40": "10"}', '{"0.55": "5"}')""",
        MARKET,
    )
    [one] = (await got(migrated_dsn, "/api/books"))["books"]
    assert (one["ticker"], one["yes_bid"], one["yes_ask"]) == (MARKET, "0.4", "0.45")
    book = await got(migrated_dsn, f"/api/books/kalshi/{MARKET}")
    assert book["bids"] == [{"price": "0.4", "size": "10"}]
    assert (book["asks"], book["spread"]) == ([{"price": "0.45", "size": "5"}], "0.05")
    async with client(dsn=migrated_dsn) as console:
        assert (await console.get("/api/books/kalshi/NONE")).status_code == 404


def add_letter(dsn: str, offset: int, value: bytes, what: str = "price.trade.v1") -> None:
    execute(
        dsn,
        """insert into dead_letters
        (projection, topic, topic_id, partition, "offset", key, headers, value, error, appended)
        values ('prices', 'price.ticks', gen_random_uuid(), 0, %s, '\\xff00', %s, %s, 'odd', now())
        """,
        offset,
        f'[{{"name": "ce_type", "value": "{what}"}}]',
        value,
    )


async def test_dead_letters_are_shown_with_their_bytes_as_they_came(migrated_dsn: str) -> None:
    add_letter(migrated_dsn, 1, b'{"price": 1.10, "note": "<script>"}')
    add_letter(migrated_dsn, 2, b"\xff\x00")
    add_letter(migrated_dsn, 3, b'{"frame": "eyJ4IjoxLjB9"}', "price.unparsed.v1")
    add_letter(migrated_dsn, 4, b"x" * 60_000)
    found = await got(migrated_dsn, "/api/dead-letters")
    assert (found["frames"], found["records"], len(found["letters"])) == (1, 3, 4)

    async def shown(offset: int) -> Any:
        [letter] = (await got(migrated_dsn, f"/api/dead-letters/price.ticks/0/{offset}"))["letters"]
        return letter

    text = await shown(1)
    assert text["key"] == "\\xff\x00"
    assert text["value"] == {
        "kind": "text",
        "text": '{"price": 1.10, "note": "<script>"}',
        "size": 35,
        "cut": 0,
    }
    assert (await shown(2))["value"]["text"] == "/wA="
    assert (await shown(3))["frame"]["text"] == '{"x":1.0}'
    long = (await shown(4))["value"]
    assert (len(long["text"]), long["cut"]) == (50_000, 10_000)
    async with client(dsn=migrated_dsn) as console:
        assert (await console.get("/api/dead-letters/price.ticks/0/9")).status_code == 404


async def test_a_read_cannot_write_and_is_bounded_in_time(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_LONGEST", 0.2)
    reads = Reads(migrated_dsn)
    with pytest.raises(Problem, match="read-only"):
        await reads.read(lambda connection: connection.execute("delete from dead_letters"))
    with pytest.raises(Problem, match="longer than"):
        await reads.read(lambda connection: connection.execute("select pg_sleep(10)"))
    assert await reads.read(lambda connection: connection.execute("select 1").fetchone()) == (1,)
    reads.close()


async def test_a_connection_that_the_server_closed_is_made_anew(migrated_dsn: str) -> None:
    reads = Reads(migrated_dsn)
    [pid] = await reads.read(lambda c: c.execute("select pg_backend_pid()").fetchone() or ())
    with psycopg.connect(migrated_dsn, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 5000)", [pid])
    [new] = await reads.read(lambda c: c.execute("select pg_backend_pid()").fetchone() or ())
    assert new != pid
    reads.close()


async def test_a_database_without_tables_is_told_so(fresh_database: str) -> None:
    async with client(dsn=fresh_database) as console:
        reply = await console.get("/api/trades")
    assert reply.status_code == 503
    assert "run `tape db migrate`" in reply.json()["detail"]


@pytest.fixture
def endpoints(stack: StackInfo, migrated_dsn: str) -> Endpoints:
    found = Endpoints(stack.brokers, {}, migrated_dsn, True, True)
    ensure_topics(found)
    return found


async def test_with_actions_a_dead_letter_is_tried_again_or_discarded(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    ticks = [log_of(map(trade, range(3)))]
    await project(endpoints.dsn, older(Prices, [1, 2]), ticks)
    repair = Repair(endpoints, load_settings(home=tmp_path, operator="ann"))
    async with client(dsn=endpoints.dsn, repair=repair) as console:

        async def done(place: str, why: str) -> Any:
            path = f"/api/dead-letters/price.ticks/0/{place}"
            return await console.post(path, json={"why": why}, headers=OURS)

        assert (await done("1/retry", " ")).status_code == 400
        retried = (await done("1/retry", "mended")).json()
        assert retried == {"read": 0, "projected": 1, "left": [], "failed": [], "sent": True}
        assert (await done("1/retry", "again")).json()["projected"] == 0
        assert (await done("2/discard", "no use")).json() == {"discarded": 1, "sent": True}
        assert (await done("2/explode", "no use")).status_code in {404, 405}
    letters = rows(endpoints.dsn, "dead_letters", '"offset"')
    assert [one["outcome"] for one in letters] == ["projected", "discarded"]
    decided = rows(endpoints.dsn, "decisions", "number")
    assert ['"ann"' in one["body"] for one in decided] == [True, True]


async def test_an_action_without_a_database_says_what_is_wrong(tmp_path: Path) -> None:
    endpoints = Endpoints("127.0.0.1:1", {}, "postgresql://x@127.0.0.1:1/x", False, False)
    repair = Repair(endpoints, load_settings(home=tmp_path, operator="ann"))
    async with client(repair=repair) as console, asyncio.timeout(60):
        path = "/api/dead-letters/price.ticks/0/1/discard"
        reply = await console.post(path, json={"why": "no use"}, headers=OURS)
    assert reply.status_code == 503
    assert reply.json()["detail"].startswith("the database: ")


async def test_pages_that_ask_for_the_same_share_one_look() -> None:
    looks = 0

    async def look() -> Response:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        if looks == 1:
            raise Problem(503, "the database: away")
        return Response(str(looks))

    shared = Shared(look)
    found = await asyncio.gather(*(shared.get() for _ in range(10)), return_exceptions=True)
    assert isinstance(found[0], Problem)
    assert {one.body for one in found[1:] if isinstance(one, Response)} == {b"2"}
    assert (await Shared(look, seconds=0.0).get()).body == b"3"

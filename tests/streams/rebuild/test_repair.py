"""`tape rebuild --only` and `--from`: rows of some Kafka keys made anew in the live tables."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from psycopg.conninfo import make_conninfo

from projections import PROJECTIONS, periods
from projections.database import connect
from projections.decisions import Operator
from projections.migrations import migrate
from projections.prices import Prices
from projections.prices.months import MONTHS
from projections.repair import repairing
from projections.unit import Projector
from streams.cli.repair import repair as command
from streams.errors import UserError
from streams.events import encode
from streams.log import LogReader
from streams.producer import Producer
from streams.rebuild.repair import Affected, Outcome, repair
from streams.rebuild.source import find_source
from streams.tracing import Place
from tests.projections.account.examples import TICKER as HELD
from tests.projections.account.examples import opened, position
from tests.projections.market.projected import TICKER
from tests.projections.registered import registered
from tests.streams.rebuild.logged import Logged, follow, partition_of, project
from tests.streams.rebuild.told import COINBASE, KRAKEN, price, quote
from tests.streams.tape import Tape

#: Microseconds to the noon of 2026-10-15.
_MONTH_AGO = -31 * 86_400_000_000
_OCTOBER = date(2026, 10, 1)

Rows = dict[str, list[str]]


@pytest.fixture
def symbol() -> str:
    """One of the test's own, whose records lie where those of others do."""
    return _symbol({partition_of(COINBASE)})


def _symbol(partitions: set[int]) -> str:
    while True:
        name = f"T{secrets.token_hex(5).upper()}-USD"
        if partition_of(f"coinbase:{name}") in partitions:
            return name


def repaired(
    logged: Logged,
    name: str,
    *keys: str,
    since: Place | datetime | None = None,
    accept_gap: bool = False,
) -> Outcome:
    affected = Affected(keys, since)
    return asyncio.run(
        repair(
            name,
            affected,
            logged.endpoints,
            Operator("tester"),
            lambda *_: None,
            accept_gap=accept_gap,
        )
    )


def rows(logged: Logged, name: str, *keys: str) -> Rows:
    """The rows of these Kafka keys."""
    return _rows(logged.endpoints.dsn, name, keys, "*")


def others(logged: Logged, name: str, *keys: str) -> Rows:
    """Where all other rows lie, and which transactions wrote them."""
    return _rows(logged.endpoints.dsn, name, keys, "tableoid, ctid, xmin", "not")


def _rows(dsn: str, name: str, keys: Sequence[str], columns: str, negated: str = "") -> Rows:
    found: Rows = {}
    with psycopg.connect(dsn, options=f"-c timezone=UTC -c search_path={name}_1") as connection:
        for table, expression in PROJECTIONS[name].kafka_keys.items():
            statement = f"select {columns} from {table} where {negated} ({expression}) = any(%s)"
            cursor = connection.execute(statement.encode(), [list(keys)])
            found[table] = sorted(map(repr, cursor.fetchall()))
    return found


def folded(logged: Logged, name: str, *keys: str) -> Rows:
    """The rows of these keys in a database of its own, projected from the log."""
    database = f"folded_{secrets.token_hex(6)}"
    dsn = make_conninfo(logged.endpoints.dsn, dbname=database)
    logged.query(f"create database {database}")
    try:
        asyncio.run(migrate(dsn, registered()))
        asyncio.run(project(name, replace(logged.endpoints, dsn=dsn)))
        return _rows(dsn, name, keys, "*")
    finally:
        logged.query(f"drop database {database} with (force)")


def place_of(logged: Logged, event_id: str) -> Place:
    """Where the last record with this event id stands."""
    return logged.records("price.ticks")[event_id][-1][0]


# Of each projection faults in its tables: in facts, in what follows, in what was contradicted.
PLANTED = [
    (
        "prices",
        COINBASE,
        """
        update price_history set price = 1
        where venue = 'coinbase' and symbol = 'BTC-USD' and trade_id = '2';
        delete from price_seconds where venue = 'coinbase' and symbol = 'BTC-USD';
        delete from price_conflicts where venue = 'coinbase' and symbol = 'BTC-USD';
        update latest_quote set bid = 1 where venue = 'coinbase' and symbol = 'BTC-USD';
        update latest_price set time = time + interval '1 hour', price = 1
        where venue = 'coinbase' and symbol = 'BTC-USD';
        insert into price_history
        select venue, symbol, time, 'extra', price, size, side, sequence, average, received,
            appended, topic, partition, "offset"
        from price_history where venue = 'coinbase' and symbol = 'BTC-USD' and trade_id = '3';
        """,
    ),
    (
        "account",
        HELD,
        """
        update fills set count = 1 where trade_id = 'f1';
        delete from orders where order_id = 'o1';
        update trades set pnl = 99 where ticket_id = 'T1';
        delete from trade_fills where ticket_id = 'T1';
        insert into cash_flows
        select account, ticker, kind, ref || 'extra', part, time, amount
        from cash_flows where ref = 'f1';
        """,
    ),
    (
        "market",
        TICKER,
        f"""
        update market_trades set yes_price = 0.1 where trade_id = 't1';
        delete from market_trade_conflicts;
        update markets set title = 'wrong', result = 'no' where ticker = '{TICKER}';
        delete from market_quotes where ticker = '{TICKER}';
        delete from market_log where ticker = '{TICKER}' and type like 'market.ticker%';
        """,
    ),
]


@pytest.mark.parametrize(("name", "key", "faults"), PLANTED, ids=[one[0] for one in PLANTED])
def test_wrong_missing_and_extra_rows_become_what_the_log_says_and_no_others_are_touched(
    logged: Logged, name: str, key: str, faults: str
) -> None:
    expected = folded(logged, name, key)
    untouched = others(logged, name, key)
    logged.query(faults)
    assert sum(rows(logged, name, key)[table] != expected[table] for table in expected) >= 4
    assert others(logged, name, key) == untouched

    outcome = repaired(logged, name, key)
    assert rows(logged, name, key) == expected
    assert others(logged, name, key) == untouched
    assert (outcome.projection, outcome.keys) == (name, 1)
    assert outcome.records > 0
    assert (outcome.dead_letters.added, outcome.dead_letters.done) == (0, 0)


def test_a_live_worker_goes_on_meanwhile(logged: Logged, symbol: str) -> None:
    """It never sees its partitions taken, and nothing that it projects is lost."""
    key = f"coinbase:{symbol}"
    logged.add("prices", price(0, symbol=symbol))

    async def work(rounds: int, projector: Projector) -> None:
        async with Producer(logged.endpoints) as producer, LogReader.open(logged.endpoints) as log:
            for number in range(1, rounds):
                await producer.send(price(number, symbol=symbol))
                await producer.send(quote(number, symbol=symbol))
                await producer.flush()
                await follow(projector, log)

    async def run() -> None:
        projector = Projector(Prices(), logged.endpoints.dsn)
        source = await find_source(projector.projection, logged.endpoints)
        await projector.claim(source.starts)
        working = asyncio.create_task(work(40, projector))
        repairs = 0
        while not working.done() or not repairs:
            await repair(
                "prices",
                Affected((key,)),
                logged.endpoints,
                Operator("tester"),
                lambda *_: None,
                accept_gap=False,
            )
            repairs += 1
        await working
        await projector.close()

    asyncio.run(run())
    assert len(rows(logged, "prices", key)["price_history"]) == 40
    assert rows(logged, "prices", key) == folded(logged, "prices", key)


KILLED = """
select count(*) as waiting from pg_stat_activity
where application_name = 'tickertape prices repair' and wait_event_type = 'Lock'
"""


def test_a_kill_in_the_middle_leaves_the_live_tables_as_they_were(
    logged: Logged, symbol: str
) -> None:
    key = f"coinbase:{symbol}"
    logged.add("prices", price(1, symbol=symbol), price(2, symbol=symbol))
    logged.query("update price_history set price = 1 where symbol = %s", symbol)
    before = rows(logged, "prices", key)
    with psycopg.connect(logged.endpoints.dsn) as reader:
        # The facts are deleted before what follows from them, for which it has to wait here.
        reader.execute("select 1 from price_seconds where symbol = %s for update", [symbol])
        process = logged.tape.start("rebuild", "prices", "--only", key)
        while logged.query(KILLED) != [{"waiting": 1}]:
            time.sleep(0.05)
            assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate()
    while logged.query(KILLED.replace("wait_event_type = 'Lock'", "true")) != [{"waiting": 0}]:
        time.sleep(0.05)
    assert rows(logged, "prices", key) == before
    logged.add("prices", price(3, symbol=symbol))
    assert len(rows(logged, "prices", key)["price_history"]) == 3


def test_periods_that_are_closed_stay_as_they_are(logged: Logged, symbol: str) -> None:
    """Their seconds and conflicts cannot be made again, for their trades are not there."""
    old, only_old = f"coinbase:{symbol}", "coinbase:OLD-USD"
    october = {"time": price(0).time + _MONTH_AGO, "symbol": symbol}
    logged.add(
        "prices",
        price(1, **october),
        price(1, **october, size=Decimal(9)),
        price(1, **{**october, "symbol": "OLD-USD"}),
        price(2, symbol=symbol),
    )
    before = rows(logged, "prices", old, only_old)
    asyncio.run(_close_october(logged))
    logged.add("prices", price(7, **october))
    letters = logged.query("select * from dead_letters order by refused")
    assert "closed" in letters[-1]["error"]

    wrong = "update price_seconds set high = 1 where symbol = %s and second > '2026-11-01'"
    logged.query(wrong, symbol)
    outcome = repaired(logged, "prices", old, only_old)
    after = rows(logged, "prices", old, only_old)
    assert len(after.pop("price_history")) == 1  # October's are detached
    assert len(before.pop("price_history")) == 3
    assert after == before
    assert (outcome.dead_letters.added, outcome.dead_letters.done) == (0, 0)
    assert logged.query("select * from dead_letters order by refused") == letters


def test_no_period_is_closed_during_a_repair(logged: Logged) -> None:
    """Its rows may be deleted by then, and could not be written again."""

    async def run() -> list[date]:
        settings = {"search_path": "prices_1"}
        async with (
            await connect(logged.endpoints.dsn, "test", settings) as connection,
            repairing(Prices(), logged.endpoints.dsn, [COINBASE]),
        ):
            return await periods.close(connection, MONTHS, _all)

    assert asyncio.run(run()) == []


async def _all(_: Any, months: Sequence[date]) -> Sequence[date]:
    return months


async def _close_october(logged: Logged) -> None:
    async def due(_: Any, months: Sequence[date]) -> list[date]:
        return [month for month in months if month <= _OCTOBER]

    settings = {"search_path": "prices_1"}
    async with await connect(logged.endpoints.dsn, "test", settings) as connection:
        assert await periods.close(connection, MONTHS, due) == [_OCTOBER]


def test_a_key_whose_log_begins_late_is_refused_unless_that_is_accepted(logged: Logged) -> None:
    """To delete what cannot be made again would lose it."""
    elsewhere = set(range(4)) - {partition_of(COINBASE), partition_of(KRAKEN)}
    symbol = _symbol(elsewhere)
    key = f"coinbase:{symbol}"
    logged.add("prices", price(1, symbol=symbol), price(2, symbol=symbol), price(3, symbol=symbol))
    before = rows(logged, "prices", key)
    first = place_of(logged, f"coinbase:{symbol}:3")
    _remove_before(logged, first)

    reason = (
        rf"{first.topic}\[{first.partition}\] begins at offset {first.offset}; .* 2 of"
        r" price_history.*--accept-gap"
    )
    with pytest.raises(UserError, match=reason):
        repaired(logged, "prices", key)
    assert rows(logged, "prices", key) == before

    outcome = repaired(logged, "prices", key, accept_gap=True)
    assert (outcome.records, outcome.deleted) == (1, 3 + 1 + 1)
    assert len(rows(logged, "prices", key)["price_history"]) == 1


def _remove_before(logged: Logged, place: Place) -> None:
    """As retention does."""
    admin = AdminClient({"bootstrap.servers": logged.endpoints.brokers})
    wanted = TopicPartition(place.topic, place.partition, place.offset)
    for done in admin.delete_records([wanted]).values():
        done.result()


def test_rows_of_a_record_with_another_kafka_key_are_not_lost(logged: Logged, symbol: str) -> None:
    """Another producer may have sent it; by its key it is not found again."""
    key = f"coinbase:{symbol}"
    stray = replace(encode(price(2, symbol=symbol)), key=b"coinbase:ELSE-USD")
    logged.add("prices", price(1, symbol=symbol), stray)
    before = rows(logged, "prices", key)
    assert len(before["price_history"]) == 2
    with pytest.raises(UserError, match=r"of another Kafka key: 1 of price_history"):
        repaired(logged, "prices", key)
    assert rows(logged, "prices", key) == before


def test_dead_letters_of_the_keys_are_brought_in_line(logged: Logged, symbol: str) -> None:
    key = f"coinbase:{symbol}"
    broken = replace(encode(price(2, symbol=symbol)), value=b"not JSON")
    logged.add("prices", price(1, symbol=symbol), broken)
    place, lost = (place_of(logged, f"{key}:{number}") for number in (1, 2))
    # As if an earlier program had refused the one, and taken the other.
    logged.query("delete from price_history where symbol = %s", symbol)
    where = 'where topic = %s and partition = %s and "offset" = %s'
    [letter] = logged.query(f"select * from dead_letters {where}", *_of(lost))
    logged.query(f'update dead_letters set "offset" = %s {where}', place.offset, *_of(lost))

    outcome = repaired(logged, "prices", key)
    assert (outcome.dead_letters.added, outcome.dead_letters.done) == (1, 1)
    [good] = logged.query(f"select * from dead_letters {where}", *_of(place))
    [again] = logged.query(f"select * from dead_letters {where}", *_of(lost))
    assert good["done"] is not None
    assert {**again, "refused": None} == {**letter, "refused": None}
    assert len(rows(logged, "prices", key)["price_history"]) == 1

    # As if a redrive had projected it, whose rows are gone now.
    logged.query(
        f"update dead_letters set done = now(), outcome = 'projected', done_generation = 1 {where}",
        *_of(lost),
    )
    outcome = repaired(logged, "prices", key)
    assert (outcome.dead_letters.added, outcome.dead_letters.done) == (0, 0)
    assert logged.query(f"select done, outcome from dead_letters {where}", *_of(lost)) == [
        {"done": None, "outcome": None}
    ]


def _of(place: Place) -> tuple[str, int, int]:
    return place.topic, place.partition, place.offset


def test_from_a_place_or_a_time_on_all_keys_are_repaired(logged: Logged, symbol: str) -> None:
    key, other = f"coinbase:{symbol}", f"kraken:{symbol}"
    logged.add("prices", price(1, symbol=symbol), price(1, symbol=symbol, venue="kraken"))
    since = datetime.now(UTC) - timedelta(milliseconds=1)
    logged.add("prices", price(2, symbol=symbol))
    expected = folded(logged, "prices", key)
    for start in (since, place_of(logged, f"{key}:2")):
        logged.query("update price_history set price = 1 where symbol = %s", symbol)
        kept = rows(logged, "prices", other)
        assert repaired(logged, "prices", since=start).keys == 1
        assert rows(logged, "prices", key) == expected
        assert rows(logged, "prices", other) == kept


def test_what_other_markets_owe_to_a_wrong_command_is_reckoned_without_it(logged: Logged) -> None:
    first, second = "KXBTCD-26NOV1516-T1", "KXBTCD-26NOV1516-T2"
    logged.add(
        "account", opened(ticket_id="T7", command_id="c7", ticker=first), position(ticker=second)
    )
    expected = folded(logged, "account", first, second)
    logged.query(
        "insert into commands select 'c0', kind, ticket_id, account, %s, time - interval '1 hour',"
        " side, count, price, symbol, market, trade_strategy, contract, strike, prob, method,"
        ' reason, client_order_id, origin, topic, partition, "offset"'
        " from commands where command_id = 'c7'",
        second,
    )
    logged.query("update trades set ticker = %s where ticket_id = 'T7'", second)
    # The row tells of a record of the other market: it could not be told from a stray one.
    logged.query("update commands set \"offset\" = 1000000 where command_id = 'c0'")
    repaired(logged, "account", second)
    assert rows(logged, "account", first, second) == expected


def test_what_cannot_be_repaired_is_told(logged: Logged, symbol: str) -> None:
    with pytest.raises(UserError, match=r"no record of price.ticks has the Kafka key 'nobody'"):
        repaired(logged, "prices", COINBASE, "nobody")
    with pytest.raises(UserError, match=r"holds the offsets 0 to \d+, not price.ticks\[1\]@99999"):
        repaired(logged, "prices", since=Place("price.ticks", 1, 99_999))
    with pytest.raises(UserError, match=r"does not read kalshi.account\[0\]; it reads price.ticks"):
        repaired(logged, "prices", since=Place("kalshi.account", 0, 0))
    with pytest.raises(UserError, match="nothing that was projected was appended since"):
        repaired(logged, "market", since=datetime.now(UTC) + timedelta(hours=1))


WRONG: list[tuple[list[str], str | None, str]] = [
    (["a:b"], "2026-01-01", "give one of the two"),
    ([], "2999-01-01", "in the future"),
    ([], "price.ticks[0]", "is no place; write it as price.ticks"),
    ([], "yesterday", "'yesterday' is no time"),
    (["a:\0"], None, "is no Kafka key"),
]


@pytest.mark.parametrize(("only", "since", "message"), WRONG, ids=[one[2] for one in WRONG])
def test_a_wrong_request_is_answered_with_what_is_right(
    only: list[str], since: str | None, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        command("prices", only, since, None, accept_gap=False, as_json=False)


def test_a_repair_is_of_one_projection_and_has_no_swap() -> None:
    tape = Tape()
    assert "keys belong to one" in tape.complaint("rebuild", "prices", "market", "--only", "a:b")
    assert "has no swap" in tape.complaint("rebuild", "prices", "--only", "a:b", "--keep-old")

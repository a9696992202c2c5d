"""`tape explain` and `tape at`: which events made a row, and what it was at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from typer.testing import CliRunner

from projections.prices import Prices
from projections.scratch import scratch
from streams.cli import app
from streams.errors import UserError
from streams.events import Event
from streams.rebuild.explain import Explanation, Question, explain, row_at
from streams.tracing import Place
from tests.projections.account.examples import ACCOUNT, TICKER
from tests.projections.logs import log_of
from tests.projections.market.projected import TICKER as QUOTED
from tests.streams.rebuild.logged import Logged, Row
from tests.streams.rebuild.told import OTHER, SECOND, account, market, price, prices

pytestmark = pytest.mark.chaos

PRICES, MARKET, HELD = prices(), market(), account()
SECONDS = ("price_seconds", "coinbase", "BTC-USD", SECOND)
KRAKENS = "venue = 'kraken' and symbol = 'BTC-USD'"
#: Where a trade or its contradiction is told: the hash of the content is found in the table.
LOST = "select content from {} where trade_id = %s"


def explained(logged: Logged, table: str, *key: str, limit: int = 50) -> Explanation:
    question = Question(table, key)
    return asyncio.run(explain(question, limit, logged.endpoints, lambda *_: None))


def at(logged: Logged, milliseconds: int, table: str, *key: str) -> Row | None:
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    question = Question(table, key)
    return asyncio.run(row_at(question, time, logged.endpoints, lambda *_: None))[1]


def appended(logged: Logged, events: Sequence[Event], number: int) -> tuple[Place, int]:
    """Where this one of the events stands in the log, and when it was appended (ms)."""
    event = events[number]
    before = [one for one in events[:number] if one.event_id() == event.event_id()]
    return logged.records(event.topic)[event.event_id()][len(before)]


# Of each projection facts, what follows from facts, and what was told again or contradicted: the
# numbers of the events that made the row and changed it.
EXPLAINED = [
    (PRICES, "price_history", ("coinbase", "BTC-USD", "2026-11-15T12:00:00.002Z", "2"), [2]),
    (PRICES, "price_conflicts", ("coinbase", "BTC-USD", "2026-11-15T12:00:00.003Z", "3"), [6]),
    (PRICES, *SECONDS[:1], SECONDS[1:], [0, 2, 5]),
    (PRICES, "latest_quote", ("symbol=BTC-USD", "venue=coinbase"), [3, 9]),
    (HELD, "fills", ("f1", ACCOUNT, "native"), [4]),
    (HELD, "orders", ("o1", ACCOUNT, "native"), [3, 7]),
    (HELD, "trades", ("T1",), [1, 4, 5, 11, 12]),
    (HELD, "balances", (ACCOUNT, "2025-08-06 22:10:05", "80.8", "native"), [8]),
    (MARKET, "market_trades", ("kalshi", "t1"), [2, 4]),
    (MARKET, "market_trade_conflicts", ("kalshi", "t1"), [4]),
    (MARKET, "markets", ("kalshi", QUOTED), [0, 7, 8]),
    (MARKET, "market_quotes", ("kalshi", QUOTED), [1, 5]),
]


@pytest.mark.parametrize(
    ("events", "table", "key", "numbers"), EXPLAINED, ids=[one[1] for one in EXPLAINED]
)
def test_a_row_is_explained_by_the_events_that_made_and_changed_it(
    logged: Logged, events: Sequence[Event], table: str, key: tuple[str, ...], numbers: list[int]
) -> None:
    if table.endswith("conflicts"):
        [lost] = logged.query(LOST.format(table), key[-1])
        key = (*key, lost["content"])
    found = explained(logged, table, *key)
    places = [appended(logged, events, number) for number in numbers]
    assert [Place(*one.source, one.offset) for one in found.events] == [one for one, _ in places]
    assert [one.appended.timestamp() * 1000 for one in found.events] == [ms for _, ms in places]
    assert [one.id for one in found.events] == [events[number].event_id() for number in numbers]
    assert [one.before is None for one in found.events] == [True, *[False] * (len(numbers) - 1)]
    assert all(one.changes for one in found.events)
    assert found.are_all
    assert found.differs == []


def test_each_event_tells_what_it_changed(logged: Logged) -> None:
    made, second, third = explained(logged, *SECONDS).events
    assert made.changes["trades"] == (None, 1)
    assert second.changes["trades"] == (1, 2)
    assert third.changes == {
        "high": (Decimal(65002), Decimal(65003)),
        "close": (Decimal(65002), Decimal(65003)),
        "volume": (Decimal("1.00"), Decimal("1.50")),
        "trades": (2, 3),
    }


def test_the_newest_events_come_first_to_the_limit(logged: Logged) -> None:
    found = explained(logged, *SECONDS, limit=2)
    assert [one.changes["trades"] for one in found.events] == [(1, 2), (2, 3)]
    assert not found.are_all


def test_a_row_that_is_not_what_the_log_says_is_told_of(logged: Logged) -> None:
    logged.query(f"update price_seconds set high = 1 where {KRAKENS}")
    found = explained(logged, "price_seconds", "kraken", "BTC-USD", SECOND)
    logged.query(f"update price_seconds set high = 65002 where {KRAKENS}")
    assert found.differs == ["high"]
    assert found.row is not None
    assert found.row["high"] == 65002


def test_a_row_that_is_gone_is_explained_by_its_key(logged: Logged) -> None:
    """`price_seconds` tells the Kafka key by its own key."""
    [row] = logged.query(f"delete from price_seconds where {KRAKENS} returning *")
    found = explained(logged, "price_seconds", "kraken", "BTC-USD", SECOND)
    placeholders = ", ".join(["%s"] * len(row))
    logged.query(f"insert into price_seconds values ({placeholders})", *row.values())
    assert [one.before is None for one in found.events] == [True, False]
    assert "trades" in found.differs


def test_a_row_is_known_as_it_was_between_two_events(logged: Logged) -> None:
    _, first = appended(logged, PRICES, 0)
    _, second = appended(logged, PRICES, 2)
    assert at(logged, first - 1, *SECONDS) is None
    known = [at(logged, time, *SECONDS) for time in (first, second - 1, second)]
    assert [row and row["trades"] for row in known] == [1, 1, 2]

    asked, filled, settled = (appended(logged, HELD, number)[1] for number in (1, 4, 12))
    assert at(logged, asked - 1, "trades", "T1") is None
    known = [at(logged, time, "trades", "T1") for time in (asked, filled, settled)]
    assert [row and (row["status"], row["held"]) for row in known] == [
        ("pending", 0),
        ("open", 12),
        ("closed", 0),
    ]

    _, traded = appended(logged, MARKET, 2)
    _, contradicted = appended(logged, MARKET, 4)
    known = [at(logged, ms, "market_trades", "kalshi", "t1") for ms in (traded, contradicted)]
    assert [row and row["count"] for row in known] == [10, 11]


def test_nothing_is_left_behind_and_nothing_live_is_changed(logged: Logged) -> None:
    state = (
        "select (select count(*) from pg_namespace) as schemas,"
        " (select count(*) from generations) as generations,"
        " (select sum(next_offset + epoch) from checkpoints) as moved,"
        " (select max(xmin::text::bigint) from prices_1.price_seconds) as written"
    )
    before = logged.query(state)
    assert explained(logged, *SECONDS).events
    assert logged.query(state) == before


def test_live_units_of_the_same_key_do_not_wait_for_an_explanation(logged: Logged) -> None:
    async def run() -> None:
        async with scratch(Prices, logged.endpoints.dsn) as tables:
            await tables.write([log_of([price(1)])])
            async with asyncio.timeout(60):
                await asyncio.to_thread(logged.project, "prices")

    logged.send([price(9, symbol="WAITS-USD")])
    # One lock for all keys of the projection would not do: this is of the very same one.
    logged.send([price(1)])
    asyncio.run(run())
    assert logged.query("select 1 as one from price_history where symbol = 'WAITS-USD'") == [
        {"one": 1}
    ]


def test_rows_of_other_kafka_keys_are_followed_where_they_bear_on_it(logged: Logged) -> None:
    """A ticket's trade follows from the commands of every market that opens it."""
    found = explained(logged, "trades", "T9")
    assert found.known.kafka_keys == [OTHER]
    logged.query(
        "insert into commands select 'c9b', kind, 'T9', account, %s, time + interval '1 hour',"
        " side, count, price, symbol, market, trade_strategy, contract, strike, prob, method,"
        ' reason, client_order_id, origin, topic, partition, "offset"'
        " from commands where command_id = 'c9'",
        TICKER,
    )
    found = explained(logged, "trades", "T9")
    logged.query("delete from commands where command_id = 'c9b'")
    assert found.known.kafka_keys == sorted([OTHER, TICKER])


WRONG = [
    (("nowhere", "1"), "no table 'nowhere' has rows that come from events; .*price_seconds"),
    (("price_months", "2026-11-01"), "no table 'price_months'"),
    (("price_seconds", "coinbase", "BTC-USD"), r"second \(timestamp with time zone\)"),
    (("price_seconds", "venue=coinbase", "venue=kraken", "symbol=x"), "the key of price_seconds"),
    (("price_seconds", "coinbase", "BTC-USD", "noon"), 'timestamp with time zone: "noon"'),
    (("price_seconds", "coinbase", "BTC-\0", SECOND), "is no part of a key"),
    (("fills", "f0", ACCOUNT, "native"), r"there is no row fills .* --kafka-key \(ticker\)"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[" ".join(one[0]) for one in WRONG])
def test_a_wrong_question_is_answered_with_what_is_right(
    logged: Logged, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        explained(logged, *words)


def test_a_time_to_come_is_refused() -> None:
    done = CliRunner().invoke(app, ["at", "2999-01-01", *SECONDS])
    assert isinstance(done.exception, UserError)
    assert "in the future" in str(done.exception)


def test_the_command_prints_the_events_and_programs_get_json(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPE_HOME", str(logged.home.path))
    shown = CliRunner().invoke(app, ["explain", *SECONDS]).output
    (place, _), (again, _) = (appended(logged, PRICES, number) for number in (0, 5))
    assert shown.index(f"  {place}\n") < shown.index(f"  {again}\n")
    assert "  trades  2 → 3\n" in shown
    assert "with the Kafka key coinbase:BTC-USD\n" in shown

    done = CliRunner().invoke(app, ["at", "2026-01-01", *SECONDS, "--json"])
    assert done.exit_code == 1
    known = json.loads(done.output)
    assert (known["row"], known["records"], known["scanned"]) == (None, 0, 0)

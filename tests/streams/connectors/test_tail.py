"""What a feed learns from the log before it begins: whoever produced before it may have died."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

import orjson
import pytest

from streams.connectors.base import Request
from streams.connectors.binance import BinanceConnector
from streams.connectors.coinbase import CoinbaseConnector, SimulatedConnector
from streams.connectors.kalshi.books import KalshiBooksConnector
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.connectors.kraken import KrakenConnector
from streams.connectors.missed import Missed
from streams.connectors.prices import PriceConnector
from streams.connectors.tail import tail
from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events import (
    BookSnapshot,
    Event,
    Heartbeat,
    MarketGap,
    MarketTicker,
    PriceGap,
    PriceIndex,
    PriceTrade,
)
from streams.events.price import TOPIC
from streams.heartbeat import Process, Pulse, beat
from streams.producer import Producer
from streams.settings import Endpoints
from streams.topics import ensure_topics

NOW = 1_795_384_770_000_000
OWNER = "kalshi/prod/main"


@pytest.fixture
def endpoints(stack: StackInfo) -> Endpoints:
    found = Endpoints(stack.brokers, {}, "", True, True)
    ensure_topics(found)
    return found


async def produced(endpoints: Endpoints, *events: Event) -> None:
    async with Producer(endpoints) as producer:
        for event in events:
            await producer.send(event)


def a_symbol() -> str:
    return f"S{secrets.token_hex(5).upper()}-USD"


def a_ticker() -> str:
    return f"KXBTCD-{secrets.token_hex(5).upper()}-T1"


def trade(venue: str, symbol: str, trade_id: str, time: int = NOW) -> PriceTrade:
    return PriceTrade(
        venue=venue,
        symbol=symbol,
        trade_id=trade_id,
        price=Decimal(1),
        size=Decimal(1),
        side="buy",
        time=time,
        sequence=None,
        received=NOW,
    )


def snapshot(ticker: str, connection: str) -> BookSnapshot:
    numbers: dict[str, Any] = {"sid": 1, "seq": 1, "clock": 1, "opened": NOW}
    return BookSnapshot(
        venue="kalshi",
        ticker=ticker,
        connection=connection,
        yes=[],
        no=[],
        time=NOW,
        received=NOW,
        raw=None,
        **numbers,
    )


def price_gap(venue: str, symbol: str, expected: int, got: int) -> PriceGap:
    return PriceGap(
        venue=venue,
        symbol=symbol,
        connection="a",
        expected=expected,
        got=got,
        received=NOW,
    )


def gap(ticker: str, connection: str) -> MarketGap:
    return MarketGap(
        venue="kalshi",
        ticker=ticker,
        connection=connection,
        sid=None,
        expected=None,
        got=None,
        reason="the connection ended",
        received=NOW,
    )


@pytest.mark.parametrize(
    ("connector", "ids"),
    [
        (CoinbaseConnector(), ("7", "9", "8")),
        (KrakenConnector(), ("7", "9", "8")),
        (BinanceConnector(), ("a7", "a9", "a8")),
    ],
)
async def test_trades_are_counted_from_the_highest_number_in_the_log(
    endpoints: Endpoints, connector: PriceConnector, ids: tuple[str, ...]
) -> None:
    connector.symbols = (symbol := a_symbol(),)
    series, _ = connector.number(trade(connector.venue, symbol, ids[0]))
    connector.trades.arrived(series, 20)  # this process could not deliver it
    connector.recovery.seen(symbol, NOW + 20)
    others = [trade("elsewhere", symbol, "50"), trade(connector.venue, a_symbol(), ids[0])]
    own = [trade(connector.venue, symbol, one, NOW + place) for place, one in enumerate(ids)]
    await produced(endpoints, *others, *own, trade(connector.venue, symbol, "of-the-old-system"))
    assert await connector.prepare(endpoints) >= 3
    assert connector.trades.arrived(series, 12) == (10, 12)
    assert connector.recovery.newest(symbol) == NOW + 2


@pytest.mark.parametrize("connector", [CoinbaseConnector(), KrakenConnector(), BinanceConnector()])
async def test_what_gaps_in_the_log_name_and_nobody_told_is_asked_for(
    endpoints: Endpoints, connector: PriceConnector
) -> None:
    connector.symbols = (symbol := a_symbol(),)
    kind = connector.series(symbol).removesuffix(symbol)
    told = [(7, NOW), (14, NOW + 3), (9, NOW + 1), (10, NOW + 2), (40_000, NOW + 4)]
    events: list[Event] = [
        trade(connector.venue, symbol, f"{kind}{number}", time) for number, time in told
    ]
    gaps = [(8, 14), (8, 12), (20_000, 40_000)]
    events += [price_gap(connector.venue, symbol, *numbers) for numbers in gaps]
    await produced(endpoints, *events, price_gap("elsewhere", symbol, 1, 7))
    await connector.prepare(endpoints)
    parser = connector.parser("c", NOW)
    said = [one for one in parser.outgoing() if isinstance(one, Request)]
    due = [Missed(symbol, 8, 9, NOW), Missed(symbol, 11, 14, NOW + 2)]
    assert said == [parser.request(missed) for missed in due]
    again = connector.parser("d", NOW)
    assert [one for one in again.outgoing() if isinstance(one, Request)] == said


async def test_without_a_trade_before_it_a_gap_is_asked_for_from_an_hour_before(
    endpoints: Endpoints,
) -> None:
    connector = KrakenConnector(symbols=(symbol := a_symbol(),))
    await produced(endpoints, price_gap("kraken", symbol, 8, 9))
    await connector.prepare(endpoints)
    hour = 3_600_000_000
    assert connector.recovery.missing() == [Missed(symbol, 8, 9, NOW - hour)]


async def test_what_was_asked_for_before_a_crash_is_asked_for_again(endpoints: Endpoints) -> None:
    connector = CoinbaseConnector(symbols=(symbol := a_symbol(),))
    parser = connector.parser("c", NOW)
    told = [Missed(symbol, 8, 12, NOW)]  # longer ago than the end of the log that is read
    parser.ask(told)
    await produced(endpoints, trade("coinbase", symbol, "9", NOW + 1))
    await connector.prepare(endpoints)
    assert connector.recovery.missing() == [
        Missed(symbol, 8, 9, NOW),
        Missed(symbol, 10, 12, NOW + 1),
    ]


async def test_without_trades_in_the_log_none_is_missing(endpoints: Endpoints) -> None:
    connector = CoinbaseConnector(symbols=(symbol := a_symbol(),))
    await connector.prepare(endpoints)
    assert connector.trades.arrived(symbol, 12) is None


async def test_the_simulated_venue_begins_anew_each_time(endpoints: Endpoints) -> None:
    connector = SimulatedConnector(symbols=(symbol := a_symbol(),))
    await produced(endpoints, trade("simulated", symbol, "7"))
    assert await connector.prepare(endpoints) == 0
    assert connector.trades.arrived(symbol, 12) is None


async def test_books_that_were_left_valid_are_told_not_to_be(endpoints: Endpoints) -> None:
    left, ended = a_ticker(), a_ticker()
    await produced(
        endpoints, snapshot(left, "a"), snapshot(ended, "a"), gap(ended, "a"), snapshot(left, "b")
    )
    connector = KalshiBooksConnector(OWNER, series=("KXBTCD",))
    await connector.prepare(endpoints)
    parser = connector.parser("c", NOW)
    first = parser.parse(b'{"id":1,"type":"ok","msg":[]}', NOW)
    told = {one.ticker: one for one in first if isinstance(one, MarketGap)}
    assert (told[left].connection, told[left].received) == ("b", NOW)
    assert ended not in told
    assert parser.parse(b'{"id":1,"type":"ok","msg":[]}', NOW) == []


async def test_seconds_of_the_index_that_no_process_told_are_a_gap(endpoints: Endpoints) -> None:
    connector = KalshiMarketConnector(OWNER, series=("KXBTCD",))
    last = NOW + secrets.randbelow(10**6) * 1_000_000
    value = PriceIndex(
        venue="cfbenchmarks",
        symbol="BRTI",
        price=Decimal(1),
        average=None,
        time=last,
        received=NOW,
    )
    await produced(endpoints, value)
    await connector.prepare(endpoints)
    parser = connector.parser("c", NOW)
    seconds = last // 1_000_000
    events = [
        event
        for second in (seconds + 4, seconds + 5, seconds + 7)
        for event in parser.parse(index(second), NOW)
    ]
    gaps = [(one.expected, one.got) for one in events if isinstance(one, PriceGap)]
    assert gaps == [(seconds + 1, seconds + 4)]


async def test_trades_are_asked_for_from_where_the_process_before_had_all(
    endpoints: Endpoints,
) -> None:
    series = a_series()
    connector = KalshiMarketConnector(OWNER, series=(series,))
    of_others = KalshiMarketConnector(OWNER, series=(a_series(),)).lease()
    second = 1_000_000
    await produced(
        endpoints,
        heartbeat(connector.lease(), NOW),
        heartbeat(connector.lease(), NOW - second),
        heartbeat(connector.lease(), None),
        heartbeat(of_others, NOW + second),
        quote(f"{series}-26NOV1516-T1", NOW + second),
    )
    assert await since(connector, endpoints) == NOW


async def test_without_such_a_heartbeat_they_are_asked_for_from_well_before_the_last_quote(
    endpoints: Endpoints,
) -> None:
    series = a_series()
    connector = KalshiMarketConnector(OWNER, series=(series,))
    ours, others = (f"{one}-26NOV1516-T1" for one in (series, a_series()))
    await produced(endpoints, quote(ours, NOW), quote(others, NOW + 1_000_000))
    assert await since(connector, endpoints) == NOW - 3_600_000_000


async def test_at_the_very_first_start_no_trade_is_missing(endpoints: Endpoints) -> None:
    connector = KalshiMarketConnector(OWNER, series=(a_series(),))
    assert await since(connector, endpoints) is None


async def test_a_broker_out_of_reach_is_named() -> None:
    with pytest.raises(UserError, match=r"price\.ticks on 127\.0\.0\.1:1 cannot be read"):
        await tail(Endpoints("127.0.0.1:1", {}, "", True, True), TOPIC, lambda _: None)


async def since(connector: KalshiMarketConnector, endpoints: Endpoints) -> int | None:
    """From when on the feed asks for the trades of a market that is open when it starts."""
    await connector.prepare(endpoints)
    parser = connector.parser("c", NOW)
    [series] = connector.series
    query = (("series_ticker", series), ("status", "open"), ("limit", "1000"))
    reply = {"markets": [{"ticker": f"{series}-26NOV1516-T2", "status": "active"}], "cursor": ""}
    parser.parse(orjson.dumps(reply), NOW, Request("/markets", query))
    parser.tick(NOW + 10_000_000)
    requests = [one for one in parser.outgoing() if isinstance(one, Request)]
    asked = [dict(one.query) for one in requests if one.path == "/markets/trades"]
    overlap = 60
    return (int(asked[0]["min_ts"]) + overlap) * 1_000_000 if asked else None


def a_series() -> str:
    return f"KX{secrets.token_hex(5).upper()}"


def heartbeat(scope: str, complete_until: int | None) -> Heartbeat:
    pulse = Pulse("producer/kalshi-market", NOW, scope=scope, complete_until=complete_until)
    return beat(NOW, pulse, Process("host/1/1", Decimal(0), 0), None)


def quote(ticker: str, time: int) -> MarketTicker:
    fields = dict.fromkeys(MarketTicker.model_fields)
    known: dict[str, Any] = {"venue": "kalshi", "ticker": ticker, "time": time, "received": NOW}
    return MarketTicker.model_validate(fields | known)


def index(second: int) -> bytes:
    """A frame of the index without a number of its own."""
    inner = {"type": "value", "id": "BRTI", "time": second * 1000, "value": "68000.12"}
    msg = {"index_id": "BRTI", "received_at": second * 1000, "data": orjson.dumps(inner).decode()}
    return orjson.dumps({"type": "cfbenchmarks_value", "sid": 1, "msg": msg})

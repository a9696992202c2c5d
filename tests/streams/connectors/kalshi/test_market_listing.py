"""Lists of markets and pages of trades that do not come, or cannot be read, are asked for again."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from streams.connectors.base import Request
from streams.connectors.kalshi.known_trades import KnownTrades
from streams.connectors.kalshi.market import KalshiMarketConnector
from streams.connectors.kalshi.market_memory import Memory
from streams.events import Event, MarketUnparsed

NOW = 1_790_000_000_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND
FIVE_MINUTES = 300 * SECOND
BAD = b'{"markets":5,"trades":5}'


def connector(known: KnownTrades | None = None) -> KalshiMarketConnector:
    """One that knows what a former process told."""
    made = KalshiMarketConnector("kalshi/prod/main", series=("KXBTCD",))
    made._memory = Memory(known or KnownTrades())
    return made


class Talk:
    """A connection that hears of the life of markets, and whose commands are answered."""

    def __init__(self, feed: KalshiMarketConnector, at: int = NOW) -> None:
        self._parser = feed.parser("c", at)
        self._requests: list[Request] = []
        msg = {"channel": "market_lifecycle_v2", "sid": 1}
        self._parser.parse(orjson.dumps({"id": 1, "type": "subscribed", "msg": msg}), at)
        self._hear()

    def tick(self, at: int) -> None:
        self._parser.tick(at)
        self._hear()

    def asked(self) -> list[Request]:
        """What is asked of REST, once."""
        asked, self._requests = self._requests, []
        return asked

    def answer(self, how: Callable[[Request], bytes]) -> list[Event]:
        """Answer all that is asked."""
        now, asked = self._parser.now, self.asked()
        events = [event for one in asked for event in self._parser.parse(how(one), now, one)]
        self._hear()
        return events

    def _hear(self) -> None:
        said = self._parser.outgoing()
        for command in (orjson.loads(one) for one in said if isinstance(one, str)):
            done = orjson.dumps({"id": command["id"], "type": "ok"})
            self._parser.parse(done, self._parser.now)
        self._requests += [one for one in said if isinstance(one, Request)]


def status(request: Request) -> str | None:
    return dict(request.query).get("status")


def since(requests: list[Request]) -> int:
    """From when on settled markets are asked for, in microseconds."""
    [settled] = [one for one in requests if status(one) == "settled"]
    return int(dict(settled.query)["min_settled_ts"]) * SECOND


def markets(*tickers: str) -> bytes:
    listed = [{"ticker": ticker, "status": "active"} for ticker in tickers]
    return orjson.dumps({"markets": listed, "trades": [], "cursor": ""})


def all_well(request: Request) -> bytes:
    return markets("KXBTCD-26NOV1516-T1") if status(request) == "open" else markets()


def without_the_settled(request: Request) -> bytes:
    return BAD if status(request) == "settled" else all_well(request)


def traded(requests: list[Request]) -> list[str]:
    return [dict(one.query)["ticker"] for one in requests if one.path == "/markets/trades"]


def test_markets_overlooked_at_first_are_asked_for_though_one_list_could_not_be_read() -> None:
    talk = Talk(connector())
    events = talk.answer(without_the_settled)
    assert [type(event) for event in events].count(MarketUnparsed) == 1
    talk.tick(NOW + FIVE_MINUTES)

    def with_another(request: Request) -> bytes:
        is_open = status(request) == "open"
        return markets("KXBTCD-26NOV1516-T1", "KXBTCD-26NOV1516-T2") if is_open else markets()

    talk.answer(with_another)
    talk.tick(NOW + FIVE_MINUTES + 10 * SECOND)
    assert traded(talk.asked()) == ["KXBTCD-26NOV1516-T2"]


def test_the_log_is_complete_again_once_all_lists_could_be_read() -> None:
    feed = connector(KnownTrades(NOW - HOUR))
    talk = Talk(feed)
    trades = feed._memory.trades
    talk.answer(without_the_settled)
    trades.arrived("KXBTCD-26NOV1516-T1", NOW)
    talk.tick(NOW + 5 * SECOND)
    talk.answer(all_well)
    assert trades.complete_until == NOW - HOUR
    talk.tick(NOW + FIVE_MINUTES)
    talk.answer(all_well)
    assert trades.complete_until == NOW


def test_a_page_of_trades_that_could_not_be_read_is_asked_for_again() -> None:
    talk = Talk(connector(KnownTrades(NOW - HOUR)))
    talk.answer(all_well)
    talk.tick(NOW + 5 * SECOND)
    assert len(talk.answer(lambda _: BAD)) == 1
    talk.tick(NOW + 6 * SECOND)
    assert traded(talk.asked()) == []
    talk.tick(NOW + 5 * SECOND + FIVE_MINUTES)
    assert traded(talk.asked()) == ["KXBTCD-26NOV1516-T1"]


def test_results_are_asked_for_since_the_process_before_knew_all_trades() -> None:
    day = 24 * HOUR
    for known, first in ((None, day), (NOW - HOUR, day), (NOW - 2 * day, 2 * day + HOUR)):
        talk = Talk(connector(KnownTrades(known)))
        assert since(talk.asked()) == NOW - first


def test_results_that_did_not_come_are_asked_for_from_as_far_back_again() -> None:
    feed = connector(KnownTrades(NOW - 48 * HOUR))
    first = since(Talk(feed).asked())
    talk = Talk(feed, NOW + HOUR)
    requests = talk.asked()
    assert since(requests) == first
    talk = Talk(feed, NOW + HOUR)
    talk.answer(all_well)
    talk.tick(NOW + 2 * HOUR)
    assert since(talk.asked()) == NOW

"""The simulated market is plausible, repeatable, and never numbers two trades alike."""

from itertools import pairwise

import orjson

from streams.connectors.base import Frame
from streams.events import PriceQuote, PriceTrade
from streams.replay import parsed
from streams.simulated import Market

NOW = 1_700_000_000_000_000


def steps(count: int, seed: int = 1, first_number: int = 0) -> list[tuple[PriceTrade, PriceQuote]]:
    """The market's frames as our Coinbase connector reads them."""
    market = Market(seed, first_number)
    found = []
    for n in range(count):
        step = market.step(NOW + n)
        sent = [orjson.dumps(frame) for frame in (step.match, step.ticker)]
        frames = [Frame(NOW + n, "coinbase", "c", data) for data in sent]
        [trade], [quote] = (one.events for one in parsed(frames))
        assert isinstance(trade, PriceTrade)
        assert isinstance(quote, PriceQuote)
        found.append((trade, quote))
    return found


def test_one_seed_gives_one_market() -> None:
    assert steps(50, seed=7) == steps(50, seed=7)
    assert steps(50, seed=7) != steps(50, seed=8)


def test_trades_are_numbered_by_one_and_sequences_rise() -> None:
    found = [trade for trade, _ in steps(500, first_number=1000)]
    for symbol in ("BTC-USD", "ETH-USD"):
        trades = [trade for trade in found if trade.symbol == symbol]
        assert [int(trade.trade_id) for trade in trades] == list(range(1001, 1001 + len(trades)))
        sequences = [trade.sequence for trade in trades if trade.sequence is not None]
        assert sequences == sorted(set(sequences))


def test_prices_walk_in_small_steps_around_where_they_began() -> None:
    found = steps(5_000)
    for symbol, begin in (("BTC-USD", 64_000), ("ETH-USD", 3_200)):
        prices = [trade.price for trade, _ in found if trade.symbol == symbol]
        assert len(prices) > 1_000
        assert len(set(prices)) > 100
        assert all(begin / 2 < price < begin * 2 for price in prices)
        moves = [abs(b / a - 1) for a, b in pairwise(prices)]
        assert max(moves) < 0.001


def test_a_trade_takes_the_best_price_of_the_other_side() -> None:
    for trade, quote in steps(500):
        assert quote.bid < quote.ask
        assert trade.price == (quote.ask if trade.side == "buy" else quote.bid)
        assert trade.size > 0
        assert trade.time == quote.time


def test_a_heartbeat_names_the_last_trade() -> None:
    market = Market(seed=1, first_number=10)
    assert market.last_match("BTC-USD") is None
    while (step := market.step(NOW)).product != "BTC-USD":
        pass
    assert market.heartbeat("BTC-USD", NOW)["last_trade_id"] == step.match["trade_id"]
    assert market.last_match("BTC-USD") == {**step.match, "type": "last_match"}

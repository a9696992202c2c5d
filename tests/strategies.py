"""Hypothesis strategies for events, and settings, shared by all tests."""

import base64
import string
from decimal import Decimal

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from streams.events import Event, PriceGap, PriceIndex, PriceQuote, PriceTrade, PriceUnparsed
from streams.events.types import EARLIEST_TIME, LAST_TIME, MAX_INT64, SYMBOL, TRADE_ID, VENUE

#: Where each example goes through the database there are few, and a failing one is not shrunk.
few = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

#: Times that a wall clock of today has, in microseconds; the models take more.
USUAL_TIMES = st.integers(1_700_000_000_000_000, 1_800_000_000_000_000)

times = st.integers(EARLIEST_TIME, LAST_TIME)
sequences = st.integers(0, MAX_INT64)
venues = st.from_regex(VENUE, fullmatch=True)
symbols = st.from_regex(SYMBOL, fullmatch=True)
trade_ids = st.from_regex(TRADE_ID, fullmatch=True)
connections = st.text(string.printable, min_size=1, max_size=64)


@st.composite
def decimals(draw: st.DrawFn, *, positive: bool = False) -> Decimal:
    """Decimals of the wire format: up to 20 + 10 digits, trailing zeros too."""
    whole = draw(st.integers(0, 10**20 - 1).map(str) | st.sampled_from(["0", "1", "9" * 20]))
    digits = st.text(string.digits, min_size=1, max_size=10).map(lambda text: f".{text}")
    value = Decimal(whole + draw(st.just("") | digits | st.just(".0000000000")))
    return Decimal("0.0000000001") if positive and value == 0 else value


prices = decimals(positive=True)
sizes = decimals()

trades: st.SearchStrategy[PriceTrade] = st.builds(
    PriceTrade,
    venue=venues,
    symbol=symbols,
    trade_id=trade_ids,
    price=prices,
    size=sizes,
    side=st.sampled_from(["buy", "sell"]),
    time=times,
    sequence=st.none() | sequences,
    received=times,
)
quotes: st.SearchStrategy[PriceQuote] = st.builds(
    PriceQuote,
    venue=venues,
    symbol=symbols,
    bid=prices,
    bid_size=st.none() | sizes,
    ask=prices,
    ask_size=st.none() | sizes,
    time=times,
    sequence=st.none() | sequences,
    received=times,
)
indexes: st.SearchStrategy[PriceIndex] = st.builds(
    PriceIndex,
    venue=venues,
    symbol=symbols,
    price=prices,
    average=st.none() | prices,
    time=times,
    received=times,
)
gaps: st.SearchStrategy[PriceGap] = st.builds(
    PriceGap,
    venue=venues,
    symbol=symbols,
    connection=connections,
    expected=sequences,
    got=sequences,
    received=times,
)
unparsed: st.SearchStrategy[PriceUnparsed] = st.builds(
    PriceUnparsed,
    venue=venues,
    connection=connections,
    arrival=sequences,
    # The model takes base64, as it comes from JSON.
    frame=st.binary(max_size=200).map(base64.b64encode),
    error=st.text(max_size=200),
    received=times,
)

#: Any event of the catalogue.
events: st.SearchStrategy[Event] = trades | quotes | indexes | gaps | unparsed

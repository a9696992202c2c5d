"""Hypothesis strategies for events, and settings, shared by all tests."""

import base64
import string
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from streams.events import (
    AccountUnparsed,
    Balance,
    BookDelta,
    BookSnapshot,
    CancelTrade,
    CloseFailed,
    CloseTrade,
    DeadLettersDiscarded,
    DeadLettersRedriven,
    Event,
    Fill,
    GapAccepted,
    Heartbeat,
    Incident,
    LifecycleUnparsed,
    LogRestored,
    MarkError,
    MarketCandle,
    MarketDescribed,
    MarketDetermined,
    MarketGap,
    MarketSettled,
    MarketTicker,
    MarketTrade,
    MarketUnparsed,
    OpenTrade,
    Order,
    OrderAccepted,
    OrderRejected,
    Position,
    PriceGap,
    PriceIndex,
    PriceQuote,
    PriceTrade,
    PriceUnparsed,
    ProjectionRebuilt,
    ProjectionRepaired,
    ProjectionRolledBack,
    Reached,
    Restart,
    Settlement,
    SnapshotFinished,
    SnapshotStarted,
    TradeExpired,
    Transfer,
)
from streams.events.types import (
    ACCOUNT,
    EARLIEST_TIME,
    IDENTIFIER,
    LAST_TIME,
    MAX_INT64,
    SYMBOL,
    TICKER,
    TRADE_ID,
    VENUE,
)

#: Where each example goes through the database there are few, and a failing one is not shrunk.
few = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

#: The same, where an example holds many cases, which cost little more than one.
many_at_once = settings(few, max_examples=3)

#: Times that a wall clock of today has, in microseconds; the models take more.
USUAL_TIMES = st.integers(1_700_000_000_000_000, 1_800_000_000_000_000)

times = st.integers(EARLIEST_TIME, LAST_TIME)
sequences = st.integers(0, MAX_INT64)
venues = st.from_regex(VENUE, fullmatch=True)
symbols = st.from_regex(SYMBOL, fullmatch=True)
trade_ids = st.from_regex(TRADE_ID, fullmatch=True)
connections = st.text(string.printable, min_size=1, max_size=64)
accounts = st.from_regex(ACCOUNT, fullmatch=True)
tickers = st.from_regex(TICKER, fullmatch=True)
identifiers = st.from_regex(IDENTIFIER, fullmatch=True)
texts = st.text(max_size=200)
sides = st.sampled_from(["yes", "no"])


@st.composite
def decimals(draw: st.DrawFn, *, positive: bool = False) -> Decimal:
    """Decimals of the wire format: up to 20 + 10 digits, trailing zeros too."""
    whole = draw(st.integers(0, 10**20 - 1).map(str) | st.sampled_from(["0", "1", "9" * 20]))
    digits = st.text(string.digits, min_size=1, max_size=10).map(lambda text: f".{text}")
    value = Decimal(whole + draw(st.just("") | digits | st.just(".0000000000")))
    return Decimal("0.0000000001") if positive and value == 0 else value


def negated(value: Decimal) -> Decimal:
    """The same with a minus, but zero, which has no sign."""
    return value.copy_negate() if value else value


prices = decimals(positive=True)
sizes = decimals()
money = sizes | sizes.map(negated)
_ten_digits = st.integers(0, 10**10 - 1).map(lambda digits: Decimal(digits).scaleb(-10))
percents = st.integers(0, 10_000).map(lambda digits: Decimal(digits).scaleb(-2))
binary_prices = _ten_digits | st.sampled_from(["0", "1", "0.5", "0.50", "1.0000000000"]).map(
    Decimal
)

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
# The model takes base64, as it comes from JSON.
_frames = st.binary(max_size=200).map(base64.b64encode)
_unparsed: dict[str, st.SearchStrategy[Any]] = {
    "venue": venues,
    "connection": connections,
    "arrival": sequences,
    "frame": _frames,
    "error": texts,
    "received": times,
    "feed": st.none() | st.sampled_from(["coinbase", "kalshi-account@kalshi/prod/main"]),
}
unparsed: st.SearchStrategy[Event] = st.one_of(
    st.builds(PriceUnparsed, **_unparsed),
    st.builds(MarketUnparsed, **_unparsed),
    st.builds(LifecycleUnparsed, **_unparsed),
    st.builds(AccountUnparsed, **_unparsed),
)

_received: dict[str, st.SearchStrategy[Any]] = {"received": times, "raw": st.none() | texts}
_of_venue: dict[str, st.SearchStrategy[Any]] = {
    **_received,
    "venue": venues,
    "ticker": tickers,
    "time": times,
}

market_tickers: st.SearchStrategy[MarketTicker] = st.builds(
    MarketTicker,
    **_of_venue,
    yes_bid=st.none() | binary_prices,
    yes_ask=st.none() | binary_prices,
    yes_bid_size=st.none() | sizes,
    yes_ask_size=st.none() | sizes,
    last_price=st.none() | binary_prices,
    last_size=st.none() | sizes,
    volume=st.none() | sizes,
    open_interest=st.none() | sizes,
    dollar_volume=st.none() | money,
    dollar_open_interest=st.none() | money,
    volume_delta=st.none() | money,
    open_interest_delta=st.none() | money,
    dollar_volume_delta=st.none() | money,
    dollar_open_interest_delta=st.none() | money,
    connection=st.none() | connections,
    sid=st.none() | sequences,
    arrival=st.none() | sequences,
)
described: st.SearchStrategy[MarketDescribed] = st.builds(
    MarketDescribed,
    **_of_venue,
    series=st.none() | tickers,
    event_ticker=st.none() | tickers,
    title=st.none() | texts,
    subtitle=st.none() | texts,
    strike_type=st.none() | texts,
    floor_strike=st.none() | money,
    cap_strike=st.none() | money,
    opens=st.none() | times,
    closes=st.none() | times,
    status=st.none() | texts,
)
determined: st.SearchStrategy[MarketDetermined] = st.builds(
    MarketDetermined,
    **_of_venue,
    result=st.sampled_from(["yes", "no", "scalar"]),
    value=st.none() | binary_prices,
)
settled: st.SearchStrategy[MarketSettled] = st.builds(MarketSettled, **_of_venue)

market_trades: st.SearchStrategy[MarketTrade] = st.builds(
    MarketTrade,
    **_of_venue,
    trade_id=identifiers,
    yes_price=binary_prices,
    count=prices,
    taker_side=st.sampled_from(["yes", "no", None]),
    is_block=st.none() | st.booleans(),
)
_of_book: dict[str, st.SearchStrategy[Any]] = {
    **_of_venue,
    "connection": connections,
    "sid": sequences,
    "seq": sequences,
    "clock": st.none() | sequences,
}
_levels = st.lists(st.tuples(binary_prices, sizes), max_size=4)
snapshots: st.SearchStrategy[BookSnapshot] = st.builds(
    BookSnapshot, **_of_book, opened=times, yes=_levels, no=_levels
)
deltas: st.SearchStrategy[BookDelta] = st.builds(
    BookDelta,
    **_of_book,
    previous=sequences,
    side=st.sampled_from(["yes", "no"]),
    price=binary_prices,
    delta=money,
)
market_gaps: st.SearchStrategy[MarketGap] = st.builds(
    MarketGap,
    venue=venues,
    ticker=tickers,
    connection=connections,
    sid=st.none() | sequences,
    expected=st.none() | sequences,
    got=st.none() | sequences,
    reason=texts,
    received=times,
)
_candle_prices = (
    *(f"yes_{side}_{name}" for side in ("bid", "ask") for name in ("open", "high", "low", "close")),
    *("open", "high", "low", "close", "mean", "previous"),
)
candles: st.SearchStrategy[MarketCandle] = st.builds(
    MarketCandle,
    **_received,
    **dict.fromkeys(_candle_prices, st.none() | binary_prices),
    venue=venues,
    ticker=tickers,
    minutes=st.sampled_from([1, 60, 1440]),
    end=times,
    volume=st.none() | sizes,
    open_interest=st.none() | sizes,
)

_of_account: dict[str, st.SearchStrategy[Any]] = {
    **_received,
    "account": accounts,
    "origin": st.sampled_from(["native", "legacy"]),
}
_of_its_market: dict[str, st.SearchStrategy[Any]] = {**_of_account, "ticker": tickers}

fills: st.SearchStrategy[Fill] = st.builds(
    Fill,
    **_of_its_market,
    trade_id=identifiers,
    order_id=st.none() | identifiers,
    client_order_id=st.none() | identifiers,
    side=sides,
    yes_price=binary_prices,
    count=prices,
    fee=st.none() | money,
    is_taker=st.none() | st.booleans(),
    post_position=st.none() | money,
    time=times,
)
orders: st.SearchStrategy[Order] = st.builds(
    Order,
    **_of_its_market,
    order_id=identifiers,
    client_order_id=st.none() | identifiers,
    side=sides,
    status=st.sampled_from(["resting", "canceled", "executed", "unknown"]),
    kind=st.sampled_from(["limit", "market", None]),
    yes_price=st.none() | binary_prices,
    initial_count=sizes,
    fill_count=sizes,
    remaining_count=sizes,
    fill_cost=st.none() | money,
    fees=st.none() | money,
    created=st.none() | times,
    updated=st.none() | times,
    expires=st.none() | times,
    reason=st.none() | texts,
)
position_facts: st.SearchStrategy[Position] = st.builds(
    Position,
    **_of_its_market,
    position=money,
    cost=st.none() | money,
    realized_pnl=st.none() | money,
    fees=st.none() | money,
    time=times,
)
settlements: st.SearchStrategy[Settlement] = st.builds(
    Settlement,
    **_of_its_market,
    result=st.sampled_from(["yes", "no", "scalar"]),
    value=st.none() | binary_prices,
    yes_count=sizes,
    no_count=sizes,
    yes_cost=st.none() | money,
    no_cost=st.none() | money,
    revenue=money,
    fee=st.none() | money,
    time=times,
)
balances: st.SearchStrategy[Balance] = st.builds(
    Balance,
    **_of_account,
    balance=money,
    exact=st.booleans(),
    portfolio_value=st.none() | money,
    time=times,
)
transfers: st.SearchStrategy[Transfer] = st.builds(
    Transfer,
    **_of_account,
    kind=st.sampled_from(["deposit", "withdrawal"]),
    transfer_id=identifiers,
    status=st.sampled_from(["pending", "applied", "failed", "returned"]),
    method=st.none() | texts,
    amount=sizes,
    fee=sizes,
    created=times,
    finalized=st.none() | times,
)
snapshot_bounds: st.SearchStrategy[SnapshotStarted | SnapshotFinished] = st.builds(
    SnapshotStarted, **_of_account, snapshot_id=identifiers, time=times
) | st.builds(
    SnapshotFinished,
    **_of_account,
    snapshot_id=identifiers,
    time=times,
    tickers=st.lists(tickers, max_size=4),
)

_of_ticket: dict[str, st.SearchStrategy[Any]] = {
    "ticket_id": identifiers,
    "account": accounts,
    "ticker": tickers,
    "time": times,
    "origin": st.sampled_from(["native", "legacy"]),
}
_command: dict[str, st.SearchStrategy[Any]] = {**_of_ticket, "command_id": identifiers}

opens: st.SearchStrategy[OpenTrade] = st.builds(
    OpenTrade,
    **_command,
    side=sides,
    count=prices,
    price=st.none() | binary_prices,
    symbol=st.none() | texts,
    market=st.none() | texts,
    strategy=st.none() | texts,
    contract=st.none() | texts,
    strike=st.none() | money,
    prob=st.none() | percents,
    entry_method=st.sampled_from(["manual", "auto", None]),
)
closes: st.SearchStrategy[CloseTrade] = st.builds(
    CloseTrade,
    **_command,
    side=sides,
    count=st.none() | prices,
    price=st.none() | binary_prices,
    close_method=st.sampled_from(["manual", "auto", None]),
)
cancels: st.SearchStrategy[CancelTrade] = st.builds(
    CancelTrade, **_command, reason=st.none() | texts
)
marks: st.SearchStrategy[MarkError] = st.builds(MarkError, **_command, reason=st.none() | texts)

_outcome: dict[str, st.SearchStrategy[Any]] = {
    **_of_ticket,
    "command_id": st.none() | identifiers,
}
accepted: st.SearchStrategy[OrderAccepted] = st.builds(
    OrderAccepted, **_outcome, order_id=identifiers
)
rejected: st.SearchStrategy[OrderRejected] = st.builds(
    OrderRejected, **_outcome, reason=st.none() | texts
)
failed: st.SearchStrategy[CloseFailed] = st.builds(
    CloseFailed, **_outcome, reason=st.none() | texts
)
expired: st.SearchStrategy[TradeExpired] = st.builds(TradeExpired, **_of_ticket)

heartbeats: st.SearchStrategy[Heartbeat] = st.builds(
    Heartbeat,
    service=identifiers,
    instance=identifiers,
    state=st.sampled_from(["starting", "standby", "connecting", "connected", "crashed", "stopped"]),
    since=times,
    detail=st.none() | texts,
    last_frame=st.none() | times,
    frames=sequences,
    frames_per_second=sizes,
    events=sequences,
    reconnects=sequences,
    gaps=sequences,
    unparsed=sequences,
    clock_skew=st.none() | st.integers(-(10**12), 10**12),
    cpu_percent=sizes,
    memory_bytes=sequences,
    scope=st.none() | texts,
    complete_until=st.none() | times,
    crash_loop=st.none() | sequences,
    time=times,
)
restarts: st.SearchStrategy[Restart] = st.builds(
    Restart,
    service=identifiers,
    supervisor=identifiers,
    action=st.sampled_from(["restarted", "crash_loop", "gave_up"]),
    reason=texts,
    restarts=sequences,
    pause_ms=sequences,
    time=times,
)
incidents: st.SearchStrategy[Incident] = st.builds(
    Incident,
    incident=identifiers,
    action=st.sampled_from(["opened", "changed", "closed"]),
    severity=st.sampled_from(["warning", "critical"]),
    cause=identifiers,
    title=texts.filter(bool),
    detail=st.none() | texts,
    symptoms=st.lists(texts.filter(bool), max_size=3).map(tuple),
    opened=times,
    closed=st.none() | times,
    time=times,
    service=identifiers,
)
health_events: st.SearchStrategy[Event] = heartbeats | restarts | incidents

_numbers = st.integers(0, 2**31 - 1)
_generations = st.integers(1, 2**31 - 1)
_projections = st.sampled_from(["account", "health", "market", "prices"])
_topics = st.sampled_from(["price.ticks", "kalshi.account"])
_decision: dict[str, st.SearchStrategy[Any]] = {
    "decision_id": st.uuids().map(str),
    "operator": texts.filter(bool).map(lambda text: text[:200]),
    "time": times,
    "why": st.none() | texts,
    "projection": _projections,
}
_letters: dict[str, st.SearchStrategy[Any]] = {
    **_decision,
    "of_topic": _topics,
    "of_topic_id": st.uuids().map(str),
    "partition": _numbers,
    "offsets": st.lists(sequences, min_size=1, max_size=5).map(tuple),
}
_swap: dict[str, st.SearchStrategy[Any]] = {
    **_decision,
    "from_generation": _generations,
    "from_version": _numbers,
    "to_generation": _generations,
    "to_version": _numbers,
    "reached": st.lists(
        st.builds(Reached, topic=_topics, partition=_numbers, next_offset=sequences), max_size=3
    ).map(tuple),
}
decisions: st.SearchStrategy[Event] = st.one_of(
    st.builds(DeadLettersRedriven, **_letters, generation=st.none() | _generations),
    st.builds(DeadLettersDiscarded, **_letters),
    st.builds(ProjectionRebuilt, **_swap),
    st.builds(
        ProjectionRepaired,
        **_decision,
        generation=_generations,
        keys=st.lists(_topics, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(ProjectionRolledBack, **_swap),
    st.builds(
        GapAccepted,
        **_decision,
        generation=_generations,
        of_topic=_topics,
        partition=_numbers,
        from_offset=sequences,
        to_offset=sequences,
    ),
    st.builds(
        LogRestored,
        **_decision,
        of_topic=_topics,
        of_topic_id=st.uuids().map(str),
        to_topic_id=st.uuids().map(str),
        reached=_swap["reached"],
    ),
)

#: Any event of `price.ticks`.
price_events: st.SearchStrategy[Event] = (
    trades | quotes | indexes | gaps | st.builds(PriceUnparsed, **_unparsed)
)
market_events: st.SearchStrategy[Event] = market_tickers | described | determined | settled
trading_events: st.SearchStrategy[Event] = (
    market_trades | snapshots | deltas | market_gaps | candles
)
account_events: st.SearchStrategy[Event] = (
    fills | orders | position_facts | settlements | balances | transfers | snapshot_bounds
)
command_events: st.SearchStrategy[Event] = opens | closes | cancels | marks
outcome_events: st.SearchStrategy[Event] = accepted | rejected | failed | expired

#: Any event of the catalogue.
events: st.SearchStrategy[Event] = (
    price_events
    | market_events
    | trading_events
    | account_events
    | command_events
    | outcome_events
    | health_events
    | decisions
    | unparsed
)

"""Hypothesis strategies for the lives of trades: what an account, its operator and its venue say.

`lives()` gives the events of a few markets in the order in which they came about, coherent enough
that most become trades; but anything may be missing, doubled, contradicted or from both origins.
`shuffled()` gives such events in any order, some of them again, and how to cut them into units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from streams.events import Event, Order, OrderAccepted, Transfer
from tests.projections.account.scribe import ACCOUNTS, EVENING, SECOND, TICKERS, Place, Scribe
from tests.projections.account.stories import ACCOUNT_STORIES, STORIES, a_settlement

#: What another version of an event may say instead, by the name of the field.
OTHERWISE: dict[str, list[Any]] = {
    "account": ACCOUNTS,
    "ticker": TICKERS,
    "side": ["yes", "no"],
    "yes_price": [Decimal("0.9600"), Decimal("0.07")],
    "count": [Decimal(1), Decimal("20.0")],
    "fee": [None, Decimal("0.01"), Decimal("0.10")],
    "is_taker": [None, True, False],
    "order_id": ["O-0"],
    "client_order_id": [None, "not ours"],
    "post_position": [None, Decimal(-2), Decimal(10)],
    "status": ["resting", "canceled", "executed"],
    "fill_count": [Decimal(0), Decimal(1), Decimal(20)],
    "initial_count": [Decimal(20)],
    "fees": [None, Decimal(0), Decimal("0.33")],
    "created": [EVENING],
    "prob": [None, Decimal(12)],
    "strike": [None, Decimal(-1)],
    "symbol": [None, "ETH"],
    "close_method": ["manual", "auto"],
    "result": ["yes", "no"],
    "value": [None, Decimal("0.75")],
    "revenue": [Decimal(0), Decimal("7.77")],
    "exact": [True, False],
    "portfolio_value": [None, Decimal("9.5")],
    "amount": [Decimal("99.99")],
    "method": [None, "card"],
    "command_id": ["C-0"],
    "ticket_id": ["T-0"],
    "reason": ["another"],
    "tickers": [TICKERS[2:]],
    "cost": [None, Decimal(1)],
    "position": [Decimal(1)],
}
#: Fields of these events that have other values than the same names elsewhere.
NOT_OTHERWISE = {(Transfer, "status"), (Transfer, "fee"), (OrderAccepted, "order_id")}


def version(scribe: Scribe, event: Any) -> Event:
    """The same event with another origin, at a slightly other time, or with another content."""
    what = scribe.pick("origin", "time", "content", "content")
    changes: dict[str, Any] = {}
    if what == "origin":
        changes["origin"] = scribe.pick("legacy", "native")
    if what != "content" and scribe.pick(True, False):
        name = "updated" if isinstance(event, Order) else "time"
        if getattr(event, name, None) is not None:
            step = scribe.pick(1, 300, -1_000, SECOND, -SECOND)
            changes[name] = getattr(event, name) + step
    if what == "content":
        kind = type(event)
        names = [
            name
            for name in kind.model_fields
            if name in OTHERWISE and (kind, name) not in NOT_OTHERWISE
        ]
        name = scribe.pick(*names) if names else "origin"
        changes[name] = scribe.pick(*OTHERWISE.get(name, ["legacy"]))
    event_again: Event = kind_of(event, changes)
    return event_again


def kind_of(event: Event, changes: dict[str, Any]) -> Event:
    """The event with changes, checked by its model once more."""
    return type(event)(**{**dict(event), **changes})


@st.composite
def lives(draw: st.DrawFn, markets: int = 2) -> list[Event]:
    """The events of some markets and accounts, in the order in which they came about."""
    scribe = Scribe(draw)
    places = [
        Place(scribe.pick(*ACCOUNTS), scribe.pick(*TICKERS))
        for _ in range(draw(st.integers(1, markets)))
    ]
    for _ in range(draw(st.integers(1, 4))):
        story: Callable[[Scribe, Place], None] = scribe.pick(*STORIES)
        scribe.begin()
        story(scribe, scribe.pick(*places))
    if scribe.pick(True, False):
        a_settlement(scribe, places[0])
    for _ in range(scribe.pick(0, 1, 2)):
        scribe.pick(*ACCOUNT_STORIES)(scribe, scribe.pick(*ACCOUNTS))
    events = scribe.events
    versions = draw(st.lists(st.sampled_from(range(len(events))), max_size=4)) if events else []
    more = [version(scribe, events[at]) for at in versions]
    missing = draw(st.sets(st.sampled_from(range(len(events))), max_size=2)) if events else set()
    return [event for at, event in enumerate(events) if at not in missing] + more


def shuffled(draw: Callable[..., Any], events: Sequence[Event]) -> tuple[list[Event], list[int]]:
    """The events in any order, some of them again; and the lengths of the units to cut them into.

    `draw` is that of a composite strategy or of `st.data()`.
    The lengths are as `tests.projections.logs.cut` takes them: what remains is the last unit.
    """
    again = draw(st.lists(st.sampled_from(events), max_size=6)) if events else []
    order = draw(st.permutations([*events, *again]))
    units = draw(st.lists(st.integers(1, max(len(order), 1)), max_size=6))
    return list(order), units

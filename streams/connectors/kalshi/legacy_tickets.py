"""The old system's trade tickets: what a user or the automatic entry asked for.

Shapes: reference/legacy-system.md sections 6.1 and 6.4. Prices are JSON numbers in dollars, which
were cents before a float held them; counts are whole contracts; sides are Y and N. Tickets knew no
subaccounts. All functions raise `FrameError` for what cannot be read, and nothing else.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal

from streams.connectors.base import build
from streams.connectors.kalshi import values
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.legacy_values import local_time, rounded
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, decimal_text, shown
from streams.events import CloseTrade, OpenTrade

#: `TICKET-`, nine characters, the milliseconds since 1970 at which it was written.
_OWN_ID = re.compile(r"TICKET-[0-9A-Za-z]+-([0-9]{13})")
_LAST_DIGIT = Decimal("1e-10")


def command(ticket: Item, delivery: Delivery) -> OpenTrade | CloseTrade:
    """A ticket: `intent` is `open`, which is also meant where it is absent, or `close`."""
    match values.words(ticket, "intent"):
        case "open" | None:
            return open_trade(ticket, delivery)
        case "close":
            return close_trade(ticket, delivery)
        case intent:
            raise FrameError(f"intent: neither open nor close: {shown(intent)}")


def open_trade(ticket: Item, delivery: Delivery) -> OpenTrade:
    """An open ticket. `buy_price` is the ask that the sender saw, `position` the count.

    `date` and `time` are Eastern; without them the time in the ticket's id, else the receive time.
    """
    ticket_id = _ticket_id(ticket)
    written = _written(ticket_id)
    return build(
        OpenTrade,
        command_id=f"open:{ticket_id}",
        ticket_id=ticket_id,
        account=delivery.account_of(ticket),
        ticker=values.words(ticket, "ticker"),
        side=values.side(ticket, "side"),
        count=values.number(ticket, "position"),
        price=rounded(ticket, "buy_price"),
        symbol=values.words(ticket, "symbol"),
        market=values.words(ticket, "market"),
        strategy=values.words(ticket, "trade_strategy"),
        contract=values.words(ticket, "contract"),
        strike=_strike(ticket),
        prob=_percent(ticket),
        entry_method=values.words(ticket, "entry_method"),
        time=_asked(ticket, written) or written or delivery.received,
        origin="legacy",
    )


def close_trade(ticket: Item, delivery: Delivery) -> CloseTrade:
    """A close ticket. `side` is the one to buy, `buy_price` the price of it, `count` how many.

    It has no time but the one in its id. The automatic stop wrote one text as the id of all its
    tickets: those have the receive time, and a command id by their delivery.
    """
    ticket_id = _ticket_id(ticket)
    written = _written(ticket_id)
    own = ticket_id if written else f"{delivery.connection}:{delivery.arrival}"
    return build(
        CloseTrade,
        command_id=f"close:{own}",
        ticket_id=ticket_id,
        account=delivery.account_of(ticket),
        ticker=values.words(ticket, "ticker"),
        side=values.side(ticket, "side"),
        count=values.number(ticket, "count"),
        price=rounded(ticket, "buy_price"),
        close_method=values.words(ticket, "close_method"),
        time=written or delivery.received,
        origin="legacy",
    )


def _ticket_id(ticket: Item) -> str | None:
    """Text; one of the old rows holds a number."""
    if type(ticket.get("ticket_id")) is int:
        return str(values.number(ticket, "ticket_id"))
    return values.words(ticket, "ticket_id")


def _written(ticket_id: str | None) -> int | None:
    """When a ticket was written, as its id says, in microseconds since 1970."""
    match = _OWN_ID.fullmatch(ticket_id or "")
    return int(match[1]) * 1000 if match else None


def _asked(ticket: Item, written: int | None) -> int | None:
    date, time = values.words(ticket, "date"), values.words(ticket, "time")
    return local_time(f"{date}T{time}", near=written) if date and time else None


def _percent(ticket: Item) -> Decimal | None:
    """Computed in floats, of which ten digits after the point are kept, or text by the browser."""
    value = ticket.get("prob")
    if isinstance(value, float) and abs(value) < 1000:
        return Decimal(repr(value)).quantize(_LAST_DIGIT, ROUND_HALF_EVEN).normalize() + 0
    return values.number(ticket, "prob")


def _strike(ticket: Item) -> str | None:
    """`$114,750`, in the currency of the underlying."""
    strike = values.words(ticket, "strike")
    return strike and decimal_text(strike.removeprefix("$").replace(",", ""))

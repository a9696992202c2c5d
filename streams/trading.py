"""Trade commands for programs: built and checked, then recorded. Nothing here goes to a venue.

    command = open_trade(account="kalshi/prod/main/0", ticker=ticker, side="yes", count=10)
    place = await record(producer, command)

A decimal is given as Decimal, int or plain text, never as a float. What is wrong with a command is
a UserError that names field, value and what to give instead; `streams.events.trade_commands` rules.
To try again, record the same command again: it has the same id, and counts once.
"""

from __future__ import annotations

import reprlib
import secrets
import string
import time
import uuid
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar

from pydantic import ValidationError

from streams.errors import UserError
from streams.events import CancelTrade, CloseTrade, Event, MarkError, OpenTrade, TradeCommand
from streams.events.types import Side
from streams.tracing import Place

__all__ = ["Exact", "Log", "Method"]
__all__ += ["cancel_trade", "close_trade", "mark_error", "new_ticket_id", "open_trade", "record"]

#: A number that is exact: a float is refused.
Exact = Decimal | int | str
Method = Literal["manual", "auto"]
C = TypeVar("C", bound=TradeCommand)

_ID = "1 to 200 printable ASCII characters"
_TEXT = "a text of at most 2,000 characters"
_METHOD = "manual or auto"
_ADVICE = {
    "account": "venue/mode/name/subaccount, such as kalshi/prod/main/0",
    "ticker": "the market's ticker, such as KXBTCD-25AUG0619-T114749.99",
    "side": "yes or no",
    "count": "a number of contracts above zero as a plain decimal, such as 10 or 2.5",
    "price": "dollars for one contract, 0 to 1, as a plain decimal such as 0.96",
    "strike": "a plain decimal without currency sign and commas, such as 114750",
    "prob": "percent as a plain decimal, such as 97.2",
    "ticket_id": _ID,
    "command_id": _ID,
    "entry_method": _METHOD,
    "close_method": _METHOD,
    "time": "microseconds since 1970 UTC as an integer",
}
_DIGITS = string.digits + string.ascii_lowercase
_BRIEFLY = reprlib.Repr()
_BRIEFLY.maxstring = 80


class Log(Protocol):
    """Where commands are recorded; `streams.producer.Producer` is one."""

    async def deliver(self, event: Event) -> Place:
        """Return where the event stands once it is in the log. Raises when it will never be."""


async def record(log: Log, command: TradeCommand) -> Place:
    """Returns where the command stands once it is in the log, however long the broker takes.

    `streams.waiting.wait_for` tells when the tables have it. Raises DeliveryError (a UserError)
    when it is not in the log and will not be.
    """
    return await log.deliver(command)


def open_trade(
    *,
    account: str,
    ticker: str,
    side: Side,
    count: Exact,
    price: Exact | None = None,
    symbol: str | None = None,
    market: str | None = None,
    strategy: str | None = None,
    contract: str | None = None,
    strike: Exact | None = None,
    prob: Exact | None = None,
    entry_method: Method | None = None,
    ticket_id: str | None = None,
    command_id: str | None = None,
    now: int | None = None,
) -> OpenTrade:
    """Buy `count` contracts of `side`, each for at most `price` dollars. A new trade.

    `prob` is percent; `now` microseconds since 1970 UTC, by default the clock's. Raises UserError.
    """
    ticket_id = new_ticket_id() if ticket_id is None else ticket_id
    return _build(
        OpenTrade,
        _common(account, ticker, ticket_id, command_id, now),
        side=side,
        count=count,
        price=price,
        symbol=symbol,
        market=market,
        strategy=strategy,
        contract=contract,
        strike=strike,
        prob=prob,
        entry_method=entry_method,
    )


def close_trade(
    *,
    account: str,
    ticker: str,
    ticket_id: str,
    side: Side,
    count: Exact | None = None,
    price: Exact | None = None,
    close_method: Method | None = None,
    command_id: str | None = None,
    now: int | None = None,
) -> CloseTrade:
    """Close the trade by buying `side`, the opposite of the trade's own, at most at `price`.

    Without `count`, all that is held. Raises UserError.
    """
    common = _common(account, ticker, ticket_id, command_id, now)
    return _build(
        CloseTrade, common, side=side, count=count, price=price, close_method=close_method
    )


def cancel_trade(
    *,
    account: str,
    ticker: str,
    ticket_id: str,
    reason: str | None = None,
    command_id: str | None = None,
    now: int | None = None,
) -> CancelTrade:
    """Cancel what still rests of the trade's orders. Raises UserError."""
    return _build(CancelTrade, _common(account, ticker, ticket_id, command_id, now), reason=reason)


def mark_error(
    *,
    account: str,
    ticker: str,
    ticket_id: str,
    reason: str | None = None,
    command_id: str | None = None,
    now: int | None = None,
) -> MarkError:
    """Say that the trade never came about; without effect if it bought something.

    Raises UserError.
    """
    return _build(MarkError, _common(account, ticker, ticket_id, command_id, now), reason=reason)


def new_ticket_id() -> str:
    """`TICKET-`, nine random characters, dash, milliseconds since 1970: as tickets always were."""
    drawn = "".join(secrets.choice(_DIGITS) for _ in range(9))
    return f"TICKET-{drawn}-{time.time_ns() // 1_000_000}"


def _common(
    account: str, ticker: str, ticket_id: str, command_id: str | None, now: int | None
) -> dict[str, Any]:
    return {
        "command_id": str(uuid.uuid4()) if command_id is None else command_id,
        "ticket_id": ticket_id,
        "account": account,
        "ticker": ticker,
        "time": time.time_ns() // 1000 if now is None else now,
        "origin": "native",
    }


def _build(model: type[C], common: dict[str, Any], **own: Exact | None) -> C:
    exact = {name: str(value) if type(value) is int else value for name, value in own.items()}
    try:
        return model.model_validate(common | exact)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise UserError("\n".join(_explain(fault) for fault in faults)) from None


def _explain(fault: Any) -> str:
    field = str(fault["loc"][0])
    # The patterns themselves are no help to anyone.
    told = fault["type"] != "string_pattern_mismatch"
    reason = f" ({fault['msg'].removeprefix('Value error, ')})" if told else ""
    advice = _ADVICE.get(field, _TEXT)
    return f"{field} {_BRIEFLY.repr(fault['input'])} is refused{reason}: give {advice}"

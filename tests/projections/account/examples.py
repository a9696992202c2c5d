"""Events of one small trade, each with fields that a test may change."""

from decimal import Decimal
from typing import Any

from streams.events import (
    Balance,
    CancelTrade,
    CloseFailed,
    CloseTrade,
    Fill,
    MarkError,
    OpenTrade,
    Order,
    OrderAccepted,
    OrderRejected,
    Position,
    Settlement,
    SnapshotFinished,
    TradeCommand,
    TradeExpired,
    Transfer,
)
from streams.events.trade_commands import client_order_id

ACCOUNT = "kalshi/prod/main/0"
#: Closes on 2025-08-06 at 19:00 Eastern, 23:00 UTC.
TICKER = "KXBTCD-25AUG0619-T114749.99"
#: 2025-08-06 22:10 UTC, in microseconds.
ASKED = 1_754_518_200_000_000
SECOND = 1_000_000
#: What `opened`, `order` and `fill` buy.
bought = Decimal(20)

_SHARED = {"account": ACCOUNT, "ticker": TICKER, "origin": "native"}
_RECEIVED = {**_SHARED, "received": ASKED, "raw": None}


def opened(**fields: Any) -> OpenTrade:
    """Buy 20 NO."""
    values = {
        **_SHARED,
        "command_id": "c1",
        "ticket_id": "T1",
        "time": ASKED,
        "side": "no",
        "count": "20",
        "price": "0.97",
        "symbol": None,
        "market": "Kalshi",
        "strategy": "Hourly HTC",
        "contract": "BTC 7pm",
        "strike": None,
        "prob": "97.2",
        "entry_method": "auto",
    }
    return OpenTrade.model_validate({**values, **fields})


def closed(**fields: Any) -> CloseTrade:
    """Close it by buying YES, a minute later."""
    values = {
        **_SHARED,
        "command_id": "c2",
        "ticket_id": "T1",
        "time": ASKED + 60 * SECOND,
        "side": "yes",
        "count": None,
        "price": "0.03",
        "close_method": "manual",
    }
    return CloseTrade.model_validate({**values, **fields})


def canceled(**fields: Any) -> CancelTrade:
    """Cancel what rests, half a minute later."""
    values = {**_SHARED, "command_id": "c3", "ticket_id": "T1", "time": ASKED + 30 * SECOND}
    return CancelTrade.model_validate({**values, "reason": None, **fields})


def marked_as_error(**fields: Any) -> MarkError:
    """Say that it never came about, half a minute later."""
    values = {**_SHARED, "command_id": "c4", "ticket_id": "T1", "time": ASKED + 30 * SECOND}
    return MarkError.model_validate({**values, "reason": None, **fields})


def order(command: TradeCommand | None = None, **fields: Any) -> Order:
    """The order of a command (else of none), executed in full."""
    values = {
        **_RECEIVED,
        "order_id": "o1",
        "client_order_id": command and client_order_id(command.ticket_id, command.command_id),
        "side": getattr(command, "side", "no"),
        "status": "executed",
        "kind": "limit",
        "yes_price": "0.03",
        "initial_count": "20",
        "fill_count": "20",
        "remaining_count": "0",
        "fill_cost": None,
        "fees": None,
        "created": ASKED + 1000,
        "updated": ASKED + 3000,
        "expires": None,
        "reason": None,
    }
    if command is not None:
        values |= {"account": command.account, "ticker": command.ticker}
    return Order.model_validate({**values, **fields})


def fill(**fields: Any) -> Fill:
    """20 NO at 0.96."""
    values = {
        **_RECEIVED,
        "trade_id": "f1",
        "order_id": "o1",
        "client_order_id": None,
        "side": "no",
        "yes_price": "0.04",
        "count": "20",
        "fee": None,
        "is_taker": True,
        "post_position": None,
        "time": ASKED + 2000,
    }
    return Fill.model_validate({**values, **fields})


def settlement(**fields: Any) -> Settlement:
    """The market settles on NO, an hour later."""
    values = {
        **_RECEIVED,
        "result": "no",
        "value": "0",
        "yes_count": "0",
        "no_count": "20",
        "yes_cost": None,
        "no_cost": None,
        "revenue": "20",
        "fee": None,
        "time": ASKED + 3600 * SECOND,
    }
    return Settlement.model_validate({**values, **fields})


def accepted(**fields: Any) -> OrderAccepted:
    values = {**_SHARED, "ticket_id": "T1", "time": ASKED + 1000, "command_id": None}
    return OrderAccepted.model_validate({**values, "order_id": "o1", **fields})


def rejected(**fields: Any) -> OrderRejected:
    values = {**_SHARED, "ticket_id": "T1", "time": ASKED + 1000, "command_id": None}
    return OrderRejected.model_validate({**values, "reason": "insufficient balance", **fields})


def close_failed(**fields: Any) -> CloseFailed:
    values = {**_SHARED, "ticket_id": "T1", "time": ASKED + 61 * SECOND, "command_id": None}
    return CloseFailed.model_validate({**values, "reason": None, **fields})


def expired(**fields: Any) -> TradeExpired:
    values = {**_SHARED, "ticket_id": "T1", "time": ASKED + 3000 * SECOND}
    return TradeExpired.model_validate({**values, **fields})


def position(**fields: Any) -> Position:
    values = {
        **_RECEIVED,
        "position": "-20",
        "cost": "19.2",
        "realized_pnl": "0",
        "fees": "0.06",
        "time": ASKED + 5 * SECOND,
    }
    return Position.model_validate({**values, **fields})


def snapshot(**fields: Any) -> SnapshotFinished:
    values = {
        "account": ACCOUNT,
        "origin": "native",
        "received": ASKED,
        "raw": None,
        "snapshot_id": "s1",
        "time": ASKED + 10 * SECOND,
        "tickers": [],
    }
    return SnapshotFinished.model_validate({**values, **fields})


def balance(amount: str, after: float, **fields: Any) -> Balance:
    """So many dollars, so many whole seconds after ASKED."""
    values = {
        "account": ACCOUNT,
        "origin": "native",
        "received": ASKED + int(after * SECOND),
        "raw": None,
        "balance": amount,
        "exact": True,
        "portfolio_value": None,
        "time": ASKED + int(after) * SECOND,
    }
    return Balance.model_validate({**values, **fields})


def transfer(amount: str, after: float, **fields: Any) -> Transfer:
    """A deposit that was applied so many seconds after ASKED."""
    values = {
        "account": ACCOUNT,
        "origin": "native",
        "received": ASKED,
        "raw": None,
        "kind": "deposit",
        "transfer_id": "d1",
        "status": "applied",
        "method": "ach",
        "amount": amount,
        "fee": "0",
        "created": ASKED + int(after * SECOND),
        "finalized": ASKED + int(after * SECOND),
    }
    return Transfer.model_validate({**values, **fields})

"""The old trade tickets become commands."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from streams.connectors.kalshi import legacy_tickets
from streams.connectors.values import FrameError
from streams.events import CloseTrade, OpenTrade

from .said import DELIVERY, RECEIVED, TICKER

OPEN: dict[str, Any] = {
    "ticket_id": "TICKET-1a2b3c4d5-1754518200000",
    "status": "pending",
    "date": "2025-08-06",
    "time": "18:10:02",
    "symbol": "BTC",
    "market": "Kalshi",
    "trade_strategy": "Hourly HTC",
    "contract": "BTC 7pm",
    "strike": "$116,750",
    "side": "N",
    "ticker": TICKER,
    "buy_price": 0.96,
    "position": 200,
    "symbol_open": None,
    "prob": 97.2,
    "win_loss": None,
    "entry_method": "auto",
}
CLOSE: dict[str, Any] = {
    "ticket_id": "TICKET-9f8e7d6c5-1754519000000",
    "intent": "close",
    "ticker": TICKER,
    "side": "Y",
    "count": 200,
    "action": "close",
    "type": "market",
    "time_in_force": "IOC",
    "buy_price": 0.02,
    "symbol_close": 114100.5,
    "close_method": "manual",
}
#: What the automatic stop wrote as the id of every ticket, as far as it is known.
LITERAL = {**CLOSE, "ticket_id": "TICKET-{id}-{time}", "close_method": "auto"}


def opened(**changes: Any) -> OpenTrade:
    command = legacy_tickets.command({**OPEN, **changes}, DELIVERY)
    assert isinstance(command, OpenTrade)
    return command


def closed(**changes: Any) -> CloseTrade:
    command = legacy_tickets.command({**CLOSE, **changes}, DELIVERY)
    assert isinstance(command, CloseTrade)
    return command


def test_an_open_ticket_says_what_was_asked_for_and_when() -> None:
    assert opened() == OpenTrade(
        command_id="open:TICKET-1a2b3c4d5-1754518200000",
        ticket_id="TICKET-1a2b3c4d5-1754518200000",
        account="kalshi/prod/main/0",
        ticker=TICKER,
        side="no",
        count=Decimal(200),
        price=Decimal("0.96"),
        symbol="BTC",
        market="Kalshi",
        strategy="Hourly HTC",
        contract="BTC 7pm",
        strike=Decimal(116750),
        prob=Decimal("97.2"),
        entry_method="auto",
        time=1_754_518_202_000_000,
        origin="legacy",
    )


def test_a_close_ticket_names_the_side_to_buy_and_its_price() -> None:
    assert closed() == CloseTrade(
        command_id="close:TICKET-9f8e7d6c5-1754519000000",
        ticket_id="TICKET-9f8e7d6c5-1754519000000",
        account="kalshi/prod/main/0",
        ticker=TICKER,
        side="yes",
        count=Decimal(200),
        price=Decimal("0.02"),
        close_method="manual",
        time=1_754_519_000_000_000,
        origin="legacy",
    )


def test_a_ticket_without_date_has_the_time_in_its_id() -> None:
    assert opened(date=None).time == 1_754_518_200_000_000


def test_the_browser_sends_the_estimate_as_text() -> None:
    assert opened(prob="97.2").prob == Decimal("97.2")
    assert opened(prob=97.23456789012345).prob == Decimal("97.2345678901")
    assert opened(prob=None).prob is None


def test_a_ticket_id_that_is_a_number_is_its_text() -> None:
    assert opened(ticket_id=1235).ticket_id == "1235"


def test_automatic_closes_of_one_literal_id_are_commands_apart() -> None:
    first = legacy_tickets.close_trade(LITERAL, DELIVERY)
    second = legacy_tickets.close_trade(LITERAL, replace(DELIVERY, arrival=8))
    again = legacy_tickets.close_trade(LITERAL, replace(DELIVERY, received=RECEIVED + 1))
    assert first.ticket_id == second.ticket_id
    assert first.event_id() == again.event_id() != second.event_id()
    assert first.time == RECEIVED


@pytest.mark.parametrize(
    "changes",
    [
        {"ticket_id": None},
        {"ticker": ""},
        {"side": "both"},
        {"position": 0},
        {"buy_price": 0.965},
        {"strike": "at the money"},
        {"date": "August 6"},
        {"intent": "hold"},
    ],
)
def test_a_ticket_that_cannot_be_read_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FrameError):
        legacy_tickets.command({**OPEN, **changes}, DELIVERY)

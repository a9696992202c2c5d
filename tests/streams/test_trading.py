"""Trade commands are checked before they are recorded, and recorded before they are reported."""

import re
import secrets
import time
import uuid
from decimal import Decimal
from typing import Any

import pytest

from streams.embedded.stack import StackInfo
from streams.errors import UserError
from streams.events import CancelTrade, CloseTrade, Event, MarkError, OpenTrade, decode
from streams.producer import DeliveryError, Producer
from streams.settings import Endpoints
from streams.topics import ensure_topics
from streams.tracing import Place
from streams.trading import cancel_trade, close_trade, mark_error, new_ticket_id, open_trade, record
from tests.streams.tape import MAIN, MARKET, records_of

NOON = 1_754_496_000_000_000


def opening(**changes: Any) -> OpenTrade:
    wanted: dict[str, Any] = {"account": MAIN, "ticker": MARKET, "side": "yes", "count": 10}
    return open_trade(**(wanted | changes))


def test_a_command_holds_what_was_given() -> None:
    command = open_trade(
        account=MAIN,
        ticker=MARKET,
        side="no",
        count=Decimal("2.50"),
        price="0.96",
        symbol="BTC",
        market="Kalshi",
        strategy="Hourly HTC",
        contract="BTC 7pm",
        strike=114750,
        prob="1.5",
        entry_method="auto",
        ticket_id="T1",
        command_id="C1",
        now=NOON,
    )
    assert command == OpenTrade(
        account=MAIN,
        ticker=MARKET,
        side="no",
        count=Decimal("2.50"),
        price=Decimal("0.96"),
        symbol="BTC",
        market="Kalshi",
        strategy="Hourly HTC",
        contract="BTC 7pm",
        strike=Decimal(114750),
        prob=Decimal("1.5"),
        entry_method="auto",
        ticket_id="T1",
        command_id="C1",
        time=NOON,
        origin="native",
    )
    assert b'"count":"2.50","price":"0.96"' in command.to_json()


def test_the_other_commands_hold_what_was_given_too() -> None:
    about: dict[str, Any] = {"account": MAIN, "ticker": MARKET, "ticket_id": "T1"}
    rest: dict[str, Any] = {"command_id": "C2", "now": NOON}
    kept = {**about, "command_id": "C2", "time": NOON, "origin": "native"}
    closing = close_trade(
        **about, side="no", count="0.5", price="0.02", close_method="manual", **rest
    )
    assert closing == CloseTrade(
        **kept, side="no", count=Decimal("0.5"), price=Decimal("0.02"), close_method="manual"
    )
    assert cancel_trade(**about, reason="late", **rest) == CancelTrade(**kept, reason="late")
    assert mark_error(**about, reason="down", **rest) == MarkError(**kept, reason="down")


def test_ids_and_time_are_given_where_they_are_absent() -> None:
    before = time.time_ns() // 1000
    one, other = opening(), opening()
    after = time.time_ns() // 1000
    assert before <= one.time <= other.time <= after
    assert one.ticket_id != other.ticket_id
    assert uuid.UUID(one.command_id).version == uuid.UUID(other.command_id).version == 4
    assert one.command_id != other.command_id


def test_a_ticket_looks_as_tickets_always_did() -> None:
    before = time.time_ns() // 1_000_000
    match = re.fullmatch(r"TICKET-[0-9a-z]{9}-([0-9]{13})", new_ticket_id())
    assert match is not None
    assert before <= int(match[1]) <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("account", "main", r"account 'main' is refused: give venue/mode/name/subaccount, such "),
        ("ticker", "", r"ticker '' is refused: give the market's ticker, such as KXBTCD-"),
        ("side", "Y", r"side 'Y' is refused \(Input should be 'yes' or 'no'\): give yes or no"),
        ("count", 0, r"count '0' is refused \(must be greater than zero\): give a num"),
        ("count", -1, r"count '-1' is refused \(not an unsigned plain decimal"),
        ("count", 2.5, r"count 2.5 is refused \(a decimal is a JSON string, not a JSON number\)"),
        ("count", "1e3", r"count '1e3' is refused"),
        ("count", "0.00000000001", r"count '0.00000000001' is refused"),
        ("count", True, r"count True is refused"),
        (
            "price",
            "1.01",
            r"price '1.01' is refused \(must be between zero and one\): give ",
        ),
        ("price", ".5", r"price '.5' is refused .* such as 0.96"),
        ("strike", "$114,750", r"strike '\$114,750' is refused .*: give a plain decimal without"),
        ("prob", "97%", r"prob '97%' is refused .*: give percent as a plain decimal"),
        (
            "symbol",
            "x" * 2001,
            r"symbol 'x{20,}\.\.\.x{20,}' is refused .*: give a text of",
        ),
        ("strategy", "\udcff", r"strategy '\\udcff' is refused .*: give a text"),
        ("ticket_id", "", r"ticket_id '' is refused: give 1 to 200 printable ASCII characters"),
        ("command_id", "Ü", r"command_id 'Ü' is refused"),
        ("entry_method", "both", r"entry_method 'both' is refused .*: give manual or auto"),
        ("now", 0, r"time 0 is refused .*: give microseconds since 1970 UTC"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_give(field: str, value: Any, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        opening(**{field: value})


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UserError) as caught:
        opening(side="up", count="many")
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["side", "count"]


class Gone:
    """A log that takes nothing."""

    async def deliver(self, event: Event) -> Place:
        raise DeliveryError("trade.commands", b"K", "the topic is gone")


async def test_what_never_reaches_the_log_is_no_success() -> None:
    with pytest.raises(UserError, match="'K' was not delivered to topic trade.commands"):
        await record(Gone(), opening())


async def test_commands_are_in_the_log_once_they_are_recorded(stack: StackInfo) -> None:
    endpoints = Endpoints(stack.brokers, {}, stack.dsn, True, True)
    ensure_topics(endpoints)
    ticker = f"KXTEST-{secrets.token_hex(6)}"
    about: dict[str, Any] = {"account": MAIN, "ticker": ticker, "ticket_id": "T1"}
    commands = [
        open_trade(**about, side="yes", count=1),
        close_trade(**about, side="no"),
        cancel_trade(**about),
        mark_error(**about),
    ]
    async with Producer(endpoints) as producer:
        for number, command in enumerate(commands, start=1):
            place = await record(producer, command)
            found = await records_of(stack.brokers, "trade.commands", ticker)
            assert [decode(one.value, one.headers) for one in found] == commands[:number]
            last = found[-1]
            assert place == Place("trade.commands", last.partition, last.offset)

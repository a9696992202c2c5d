"""`tape trade`, as a user runs it, on the real Kafka and PostgreSQL."""

import json
import re
import secrets
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streams.embedded.stack import StackInfo
from streams.events import CancelTrade, CloseTrade, MarkError, OpenTrade, decode
from streams.settings import Endpoints
from streams.topics import ensure_topics
from tests.streams.tape import (
    MAIN,
    MARKET,
    Tape,
    add_row,
    add_trade,
    events_of,
    make_tables,
    records_of,
)

DEMO = "kalshi/demo/main/3"
NOWHERE = "postgresql://me:hush@127.0.0.1:1/none"
NOTHING_SENT = "in trade.commands; no executor is running, nothing was sent\n"
POSITION = re.compile(r"(?<=trade\.commands)\[[0-9]\]@[0-9]+")


@pytest.fixture
def ticker() -> str:
    """A market that no other test has."""
    return f"KXTEST-{secrets.token_hex(6)}"


@pytest.fixture
async def tables(dsn: str) -> str:
    """A database with tables, and no rows."""
    await make_tables(dsn)
    return dsn


@pytest.fixture
def tape(stack: StackInfo, tables: str) -> Tape:
    """`tape` on the shared broker and tables of its own."""
    ensure_topics(Endpoints(stack.brokers, {}, tables, True, True))
    return Tape(TAPE_HOME=str(stack.home.path), TAPE_DSN=tables)


@pytest.fixture
def alone(tmp_path: Path) -> Tape:
    """`tape` without broker and database."""
    return Tape(TAPE_HOME=str(tmp_path / "home"))


def recorded(tape: Tape, *words: str, **settings: str) -> str:
    """What is said of a command, but for where in trade.commands it stands."""
    said = tape.output("trade", *words, **settings)
    assert POSITION.search(said)
    return POSITION.sub("", said)


async def only(brokers: str, ticker: str) -> Any:
    """The one event of this market in trade.commands."""
    (event,) = await events_of(brokers, "trade.commands", ticker)
    return event


async def test_an_open_is_recorded_as_it_was_asked(tape: Tape, brokers: str, ticker: str) -> None:
    words = ["--ticker", ticker, "--side", "N", "--count", "200", "--price", "0.96"]
    words += ["--symbol", "BTC", "--strategy", "Hourly HTC", "--contract", "BTC 7pm"]
    words += ["--strike", "114750", "--prob", "97.2", "--method", "auto", "--account", DEMO]
    output = recorded(tape, "open", *words, "--ticket", "T1", "--command-id", "C1")
    assert output == f"recorded: T1 open 200 no of {ticker} at most at 0.96 {NOTHING_SENT}"
    event = await only(brokers, ticker)
    assert event == OpenTrade(
        account=DEMO,
        ticker=ticker,
        ticket_id="T1",
        command_id="C1",
        time=event.time,
        origin="native",
        side="no",
        count=Decimal(200),
        price=Decimal("0.96"),
        symbol="BTC",
        market=None,
        strategy="Hourly HTC",
        contract="BTC 7pm",
        strike=Decimal(114750),
        prob=Decimal("97.2"),
        entry_method="auto",
    )


async def test_what_an_open_does_not_say_is_filled_in(
    tape: Tape, brokers: str, ticker: str
) -> None:
    words = ["--ticker", ticker, "--side", "yes", "--count", "2.5", "--json"]
    told = json.loads(tape.output("trade", "open", *words, TAPE_ACCOUNT=DEMO))
    (logged,) = await records_of(brokers, "trade.commands", ticker)
    event = decode(logged.value, logged.headers)
    place = f"trade.commands[{logged.partition}]@{logged.offset}"
    about = {"type": "command.open.v1", "topic": "trade.commands", "position": place}
    assert told == {"sent_to_venue": False} | about | json.loads(event.to_json())
    assert re.fullmatch(r"TICKET-[0-9a-z]{9}-[0-9]{13}", told["ticket_id"])
    assert (told["account"], told["entry_method"], told["price"]) == (DEMO, "manual", None)


@pytest.mark.parametrize(("held", "bought"), [("yes", "no"), ("no", "yes")])
async def test_a_close_buys_the_side_that_its_trade_does_not_have(
    tape: Tape, tables: str, brokers: str, ticker: str, held: str, bought: str
) -> None:
    add_trade(tables, "T1", ticker=ticker, side=held, account=DEMO)
    output = recorded(tape, "close", "T1", "--price", "0.02", "--command-id", "C2")
    what = f"close all that is held, to buy {bought} of {ticker} at most at 0.02, "
    assert output == f"recorded: T1 {what}{NOTHING_SENT}"
    event = await only(brokers, ticker)
    assert event == CloseTrade(
        account=DEMO,
        ticker=ticker,
        ticket_id="T1",
        command_id="C2",
        time=event.time,
        origin="native",
        side=bought,
        count=None,
        price=Decimal("0.02"),
        close_method="manual",
    )


async def test_a_close_that_says_all_itself_needs_no_database(
    tape: Tape, brokers: str, ticker: str
) -> None:
    words = ["--ticker", ticker, "--side", "Y", "--count", "50", "--method", "auto"]
    output = recorded(tape, "close", "T9", *words, TAPE_DSN=NOWHERE)
    assert output == f"recorded: T9 close 50, to buy yes of {ticker}, {NOTHING_SENT}"
    event = await only(brokers, ticker)
    assert (event.account, event.side, event.count) == (MAIN, "yes", Decimal(50))
    assert event.close_method == "auto"


async def test_a_cancel_and_a_mark_as_error_find_their_trade(
    tape: Tape, tables: str, brokers: str, ticker: str
) -> None:
    add_trade(tables, "T1", ticker=ticker, account=DEMO, status="pending")
    words = ["T1", "--reason", "too late", "--command-id"]
    canceled = recorded(tape, "cancel", *words, "C2")
    assert canceled == f"recorded: T1 cancel on {ticker} {NOTHING_SENT}"
    marked = recorded(tape, "error", *words, "C3")
    assert marked == f"recorded: T1 mark as error on {ticker} {NOTHING_SENT}"
    one, other = await events_of(brokers, "trade.commands", ticker)
    about: dict[str, Any] = {"account": DEMO, "ticker": ticker, "ticket_id": "T1"}
    about |= {"reason": "too late", "origin": "native"}
    assert isinstance(one, CancelTrade)
    assert isinstance(other, MarkError)
    assert one == CancelTrade(**about, command_id="C2", time=one.time)
    assert other == MarkError(**about, command_id="C3", time=other.time)


async def test_a_cancel_and_a_mark_as_error_need_no_database_where_the_market_is_given(
    tape: Tape, brokers: str, ticker: str
) -> None:
    for command in ("cancel", "error"):
        tape.output("trade", command, "T9", "--ticker", ticker, TAPE_DSN=NOWHERE)
    one, other = await events_of(brokers, "trade.commands", ticker)
    assert isinstance(one, CancelTrade)
    assert isinstance(other, MarkError)
    assert one.account == other.account == MAIN


async def test_what_contradicts_the_tables_is_not_recorded(
    tape: Tape, tables: str, brokers: str, ticker: str
) -> None:
    add_trade(tables, "T1", ticker=ticker, side="yes")
    add_trade(tables, "T2", ticker=ticker, status="closed")
    wrong = {
        ("close", "T1", "--side", "yes"): "the side to buy of T1 is no, not yes; leave the option",
        ("close", "T1", "--account", DEMO): f"the account of T1 is {MAIN}, not {DEMO}",
        ("close", "T1", "--ticker", MARKET): f"the ticker of T1 is {ticker}, not {MARKET}",
        ("cancel", "T1", "--account", DEMO): f"the account of T1 is {MAIN}, not {DEMO}",
        ("close", "T2"): "T2 is closed: there is nothing to close; `tape trade show T2` tells more",
        ("close", "T3"): "no trade with the ticket 'T3'; `tape trade list` shows the tickets. ",
        ("close", "T3", "--side", "no"): "; or give --ticker and --side",
        ("error", "T3"): "; or give --ticker\n",
        ("show", "T3"): "no trade with the ticket 'T3'; `tape trade list` shows the tickets. ",
    }
    for words, complaint in wrong.items():
        assert complaint in tape.complaint("trade", *words)
    assert await events_of(brokers, "trade.commands", ticker) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("open --ticker K --side up --count 1", "tape: side 'up' is refused"),
        ("open --ticker K --side yes --count 0", "tape: count '0' is refused (must be greater"),
        ("open --ticker K --side yes --count 1 --price 2", "price '2' is refused (must be betwe"),
        ("open --ticker K? --side yes --count 1", "ticker 'K?' is refused: give the market's"),
        ("open --ticker K --side yes --count 1 --method x", "entry_method 'x' is refused"),
        ("open --ticker K --side yes --count 1 --account me", "account 'me' is refused: give ven"),
        ("open --ticker K --side yes --count 1", "not running; run `tape stack start`"),
        ("close T1 --ticker K --side no --count 1.", "count '1.' is refused"),
        ("close T1", "not running; run `tape stack start`"),
        ("list --status lost", "'lost' is no status; the statuses are pending, open, closing, "),
        ("list --limit 0", "Invalid value for '--limit'"),
        ("open --side yes --count 1", "Missing option '--ticker'"),
    ],
)
def test_a_users_mistake_is_told_without_a_traceback(
    alone: Tape, words: str, complaint: str
) -> None:
    assert complaint in alone.complaint("trade", *words.split())


def test_a_wrong_account_setting_is_told(alone: Tape) -> None:
    words = ["trade", "open", "--ticker", "K", "--side", "yes", "--count", "1"]
    told = alone.complaint(*words, TAPE_ACCOUNT="kalshi/main")
    assert told.startswith("tape: TAPE_ACCOUNT is invalid: give it as venue/mode/name/subaccount")


async def test_a_database_that_is_away_or_has_no_tables_is_told(tape: Tape, dsn: str) -> None:
    away = tape.complaint("trade", "list", TAPE_DSN=NOWHERE)
    assert "tape: the database: connection failed" in away
    assert "hush" not in away
    bare = dsn.rpartition("/")[0] + "/template1"
    assert "run `tape db migrate`" in tape.complaint("trade", "list", TAPE_DSN=bare)


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 8, 6, hour, minute, tzinfo=UTC)


@pytest.fixture
def listed(tables: str) -> str:
    """The database with three trades of one account, and one of another."""
    ticket = "TICKET-1a2b3c4d5-1754518200000"
    closed = {
        "status": "closed",
        "asked_at": at(22, 10),
        "opened_at": at(22, 11),
        "closed_at": at(23),
        "side": "no",
        "requested": Decimal(200),
        "position": Decimal(200),
        "held": Decimal(0),
        "buy_price": Decimal("0.9612340000"),
        "sell_price": Decimal(1),
        "fees": Decimal("0.540000"),
        "pnl": Decimal("7.2132"),
        "win_loss": "W",
        "trade_strategy": "Hourly [HTC]",
    }
    add_trade(tables, ticket, **closed)
    waiting = {"status": "pending", "position": Decimal(0), "held": Decimal(0)}
    add_trade(tables, "T2", asked_at=at(23, 30), requested=Decimal("2.50"), **waiting)
    add_trade(tables, "T3", asked_at=at(20))
    add_trade(tables, "T4", account=DEMO)
    return tables


def test_trades_are_listed_in_80_columns_the_newest_last(tape: Tape, listed: str) -> None:
    lines = tape.output("trade", "list").splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines] == [
        ["ticket", "status", "side", "bought", "at", "fees"],
        ["ticker", "asked,", "Eastern", "count", "sold", "at", "pnl"],
        ["T3", "open", "yes", "-", "0.00"],
        [MARKET, "2025-08-06", "16:00", "10", "-", "-"],
        ["TICKET-1a2b3c4d5-1754518200000", "closed", "no", "0.9612", "0.54"],
        [MARKET, "2025-08-06", "18:10", "200", "1.00", "7.2132"],
        ["T2", "pending", "yes", "-", "0.00"],
        [MARKET, "2025-08-06", "19:30", "0", "of", "2.5", "-", "-"],
        f"{MAIN} only; other accounts: {DEMO}".split(),
    ]


def test_a_list_can_be_of_a_status_of_an_account_and_short(tape: Tape, listed: str) -> None:
    assert tape.output("trade", "list", "--status", "error", TAPE_ACCOUNT=DEMO) == (
        f"no error trades of {DEMO}\n{DEMO} only; other accounts: {MAIN}\n"
    )
    listing = json.loads(tape.output("trade", "list", "--status", "open", "--json"))
    assert [row["ticket_id"] for row in listing] == ["T3"]
    listing = json.loads(tape.output("trade", "list", "--account", DEMO, "--json"))
    assert [row["ticket_id"] for row in listing] == ["T4"]
    short = tape.output("trade", "list", "--limit", "2")
    assert "T3" not in short
    assert "the newest 2 of 3 trades; --limit shows more\n" in short


def test_json_has_decimals_as_text_and_times_in_utc(tape: Tape, listed: str) -> None:
    (row,) = json.loads(tape.output("trade", "list", "--status", "closed", "--json"))
    assert row["buy_price"] == "0.961234"
    assert (row["fees"], row["pnl"], row["position"]) == ("0.54", "7.2132", "200")
    assert row["closed_at"] == "2025-08-06T23:00:00+00:00"
    assert not any(isinstance(value, float) for value in row.values())


COMMAND: dict[str, Any] = {
    "kind": "open",
    "account": MAIN,
    "ticker": MARKET,
    "side": "no",
    "count": Decimal(200),
    "client_order_id": "00000000-0000-0000-0000-000000000000",
    "origin": "native",
    "topic": "trade.commands",
    "partition": 2,
}


#: The command's, without a time of its own.
ORDER: dict[str, Any] = {
    "account": MAIN,
    "order_id": "O1",
    "ticker": MARKET,
    "client_order_id": COMMAND["client_order_id"],
    "side": "no",
    "status": "executed",
    "initial_count": Decimal(200),
    "fill_count": Decimal(200),
    "remaining_count": Decimal(0),
    "origin": "native",
    "topic": "kalshi.account",
    "partition": 0,
    "offset": 7,
}


def test_a_trade_is_shown_with_its_history(tape: Tape, listed: str) -> None:
    ticket = "TICKET-1a2b3c4d5-1754518200000"
    for number, hour in (("C2", 22), ("C1", 21)):
        row = {"command_id": number, "ticket_id": ticket, "time": at(hour), "offset": hour}
        add_row(listed, "commands", **COMMAND, **row)
    add_row(listed, "orders", **ORDER)
    shown = tape.output("trade", "show", ticket)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert ["closed_at", "2025-08-06", "19:00:00", "EDT"] in [line.split() for line in lines]
    assert ["trade_strategy", "Hourly", "[HTC]"] in [line.split() for line in lines]
    assert ["buy_price", "0.961234"] in [line.split() for line in lines]
    assert shown.index("2025-08-06 17:00:00 EDT") < shown.index("2025-08-06 18:00:00 EDT")
    assert "trade.commands[2] offset 21" in shown
    assert lines[-2].split()[:2] == ["-", "order_executed"]
    assert "kalshi.account[0] offset 7" in lines[-1]
    told = json.loads(tape.output("trade", "show", ticket, "--json"))
    assert told["trade"]["ticket_id"] == ticket
    assert [entry["offset"] for entry in told["history"]] == [21, 22, 7]
    assert told["history"][2]["time"] is None
    assert told["history"][0]["time"] == "2025-08-06T21:00:00+00:00"


def test_a_ticket_that_is_no_trade_is_shown_by_its_history(tape: Tape, tables: str) -> None:
    row = {"command_id": "C1", "ticket_id": "T7", "time": at(21), "offset": 5}
    add_row(tables, "commands", **(COMMAND | {"kind": "close"}), **row)
    assert "no open command of this ticket is known" in tape.output("trade", "show", "T7")

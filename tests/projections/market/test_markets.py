"""What each market is: by its ticker first, then by the venue's word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.events import Event, MarketDescribed, MarketDetermined, MarketSettled
from streams.events.types import moment
from tests.projections.logs import rows
from tests.projections.market.projected import (
    START,
    TICKER,
    described,
    determined,
    quoted,
    reset,
    run,
    settled,
)
from tests.strategies import few

pytestmark = pytest.mark.usefixtures("both_ways")

WORDS = ("series", "event_ticker", "title", "subtitle", "strike_type", "floor_strike", "cap_strike")
HOUR = 3_600_000_000


def only(dsn: str) -> dict[str, Any]:
    [market] = rows(dsn, "markets")
    return dict(market)


def test_a_market_that_nobody_described_is_what_its_ticker_says(migrated_dsn: str) -> None:
    run(migrated_dsn, [quoted(0, yes_bid="0.5")])
    market = only(migrated_dsn)
    assert (market["series"], market["strike"]) == ("KXBTCD", "114750.00")
    assert market["closes"] == datetime(2026, 11, 15, 21, tzinfo=UTC)
    unknown = ("event_ticker", "floor_strike", "opens", "status", "result", "updated_at")
    assert [market[name] for name in unknown] == [None] * len(unknown)


def test_a_ticker_that_says_nothing_leaves_nothing_known(migrated_dsn: str) -> None:
    run(migrated_dsn, [quoted(0, ticker="WHATEVER")])
    market = only(migrated_dsn)
    assert (market["series"], market["strike"], market["closes"]) == ("WHATEVER", None, None)


@pytest.mark.parametrize("order", ["quote first", "description first"])
def test_the_venue_s_own_words_go_before_the_ticker_s(migrated_dsn: str, order: str) -> None:
    word = described(
        1,
        series="KXBTCD2",
        event_ticker="KXBTCD-26NOV1516",
        title="Bitcoin price",
        strike_type="greater",
        floor_strike="114999.99",
        opens=START,
        closes=START + HOUR,
        status="active",
    )
    events: list[Event] = [quoted(0, yes_bid="0.5"), word]
    run(migrated_dsn, events if order == "quote first" else events[::-1])
    market = only(migrated_dsn)
    assert (market["series"], market["event_ticker"]) == ("KXBTCD2", "KXBTCD-26NOV1516")
    assert (market["floor_strike"], market["strike"]) == ("114999.99", "115000.00")
    assert (market["opens"], market["closes"]) == (moment(START), moment(START + HOUR))
    assert (market["status"], market["updated_at"]) == ("active", moment(START + 1))


def test_what_a_description_leaves_out_stays_as_it_was(migrated_dsn: str) -> None:
    run(
        migrated_dsn,
        [
            described(0, title="Bitcoin price", status="active"),
            described(1, closes=START + HOUR),
            described(2, status="inactive"),
        ],
    )
    market = only(migrated_dsn)
    assert (market["title"], market["status"]) == ("Bitcoin price", "inactive")
    assert (market["closes"], market["strike"]) == (moment(START + HOUR), "114750.00")


@pytest.mark.parametrize(
    ("kind", "floor", "cap", "label"),
    [
        ("greater", "114749.99", None, "114750.00"),
        ("greater_or_equal", "105000", None, "105000"),
        ("less", None, "75000", "75000"),
        ("between", "95000", "95250", "95000"),
        ("custom", None, None, "114750.00"),
        (None, "94999.99", None, "95000.00"),
    ],
)
def test_the_strike_is_the_label(
    migrated_dsn: str, kind: str | None, floor: str | None, cap: str | None, label: str
) -> None:
    run(
        migrated_dsn,
        [described(0, strike_type=kind), described(1, floor_strike=floor, cap_strike=cap)],
    )
    assert only(migrated_dsn)["strike"] == label


@pytest.mark.parametrize(
    ("result", "value", "pays"),
    [("yes", None, "1"), ("no", None, "0"), ("scalar", "0.37", "0.37"), ("scalar", None, None)],
)
def test_a_determined_market_has_a_result_and_what_it_pays(
    migrated_dsn: str, result: str, value: str | None, pays: str | None
) -> None:
    run(migrated_dsn, [determined(0, result=result, value=value)])
    market = only(migrated_dsn)
    assert (market["result"], market["value"], market["status"]) == (result, pays, "determined")
    assert (market["determined_at"], market["settled_at"]) == (moment(START), None)
    run(migrated_dsn, [determined(0, result=result, value=value), settled(7)])
    market = only(migrated_dsn)
    assert (market["status"], market["settled_at"]) == ("settled", moment(START + 7))
    assert market["determined_at"] == moment(START)


def test_old_news_by_another_channel_do_not_undo_what_is_known(migrated_dsn: str) -> None:
    run(
        migrated_dsn,
        [
            determined(2, result="yes"),
            settled(3),
            described(0, status="active", title="Bitcoin price"),
            determined(1, result="no"),
            determined(2, result="yes"),
            settled(3),
        ],
    )
    market = only(migrated_dsn)
    assert (market["status"], market["result"], market["value"]) == ("settled", "yes", "1")
    assert (market["title"], market["updated_at"]) == ("Bitcoin price", moment(START + 3))


def test_both_hours_of_the_night_that_turns_the_clock_back_are_markets_of_their_own(
    migrated_dsn: str,
) -> None:
    hours = ["KXBTCD-26NOV0100-T1", "KXBTCD-26NOV0101-T1", "KXBTCD-26NOV0102-T1"]
    run(migrated_dsn, [quoted(n, ticker=hour) for n, hour in enumerate(hours)])
    found = rows(migrated_dsn, "markets", "ticker")
    assert [row["closes"] for row in found] == [
        datetime(2026, 11, 1, 4, tzinfo=UTC),
        datetime(2026, 11, 1, 5, tzinfo=UTC),
        datetime(2026, 11, 1, 7, tzinfo=UTC),
    ]


def test_an_older_description_only_fills_gaps(migrated_dsn: str) -> None:
    newer = described(10, closes=START + HOUR, title="newer")
    older = described(9, closes=START, title="older", subtitle="known only then")
    run(migrated_dsn, [newer, older])
    row = only(migrated_dsn)
    assert (row["closes"], row["title"]) == (moment(START + HOUR), "newer")
    assert row["subtitle"] == "known only then"


def test_a_result_that_is_told_again_and_again_was_determined_the_first_time(
    migrated_dsn: str,
) -> None:
    run(migrated_dsn, [determined(5, result="yes"), settled(7), determined(9, result="yes")])
    row = only(migrated_dsn)
    assert row["determined_at"] == moment(settled(5).time)
    assert row["result_at"] == moment(settled(9).time)
    assert row["status"] == "settled"


@st.composite
def lives(draw: st.DrawFn) -> Event:
    at = draw(st.integers(0, 5))
    kind = draw(st.sampled_from(["described", "determined", "settled"]))
    if kind == "settled":
        return settled(at)
    if kind == "determined":
        return determined(
            at,
            result=draw(st.sampled_from(["yes", "no", "scalar"])),
            value=draw(st.none() | st.just("0.5")),
        )
    text = st.none() | st.sampled_from(["one", "other"])
    number = st.none() | st.sampled_from(["99.99", "100", "5000.50"])
    return described(
        at,
        **{name: draw(text) for name in ("series", "event_ticker", "title", "subtitle", "status")},
        strike_type=draw(st.none() | st.sampled_from(["greater", "less", "between"])),
        floor_strike=draw(number),
        cap_strike=draw(number),
        opens=draw(st.none() | st.just(START)),
        closes=draw(st.none() | st.just(START + HOUR)),
    )


def told_in_turn(events: Sequence[Event]) -> dict[str, Any]:
    """The row, one event after the other."""
    row: dict[str, Any] = dict.fromkeys((*WORDS, "opens", "status", "status_at"))
    row |= dict.fromkeys(("result", "value", "determined_at", "settled_at", "updated_at"))
    row |= dict.fromkeys(("described_at", "result_at"))
    row |= {"series": "KXBTCD", "strike": Decimal("114750.00")}
    row["closes"] = datetime(2026, 11, 15, 21, tzinfo=UTC)
    for event in events:
        assert isinstance(event, MarketDescribed | MarketDetermined | MarketSettled)
        time = moment(event.time)
        status = None
        if isinstance(event, MarketDescribed):
            status = event.status
            told = {name: getattr(event, name) for name in WORDS}
            told |= {
                name: getattr(event, name) and moment(getattr(event, name))
                for name in ("opens", "closes")
            }
            is_old = time < (row["described_at"] or time)
            row |= {
                name: value
                for name, value in told.items()
                if value is not None and not (is_old and row[name] is not None)
            }
            row["strike"] = label(row)
            row["described_at"] = max(time, row["described_at"] or time)
        elif isinstance(event, MarketSettled):
            status, row["settled_at"] = "settled", max(time, row["settled_at"] or time)
        else:
            status = None if row["settled_at"] else "determined"
            is_new = time >= (row["result_at"] or time)
            if row["result"] == event.result:
                row["determined_at"] = min(time, row["determined_at"])
            elif is_new:
                row["determined_at"] = time
            if is_new:
                known = {"yes": Decimal(1), "no": Decimal(0)}.get(event.result)
                row |= {"result": event.result, "result_at": time}
                row["value"] = known if event.value is None else event.value
        if status is not None and time >= (row["status_at"] or time):
            row |= {"status": status, "status_at": time}
        row["updated_at"] = max(time, row["updated_at"] or time)
    return row


def label(row: dict[str, Any]) -> Decimal:
    number: Decimal | None = row["cap_strike" if row["strike_type"] == "less" else "floor_strike"]
    if number is None:
        known: Decimal = row["strike"]
        return known
    is_a_cent_below = row["strike_type"] != "less" and format(number, "f").endswith(".99")
    return number + Decimal("0.01") if is_a_cent_below else number


@few
@given(
    told=st.lists(lives(), min_size=1, max_size=12),
    quotes=st.lists(st.integers(0, 12), max_size=4),
    units=st.lists(st.integers(1, 5), max_size=6),
)
def test_a_market_is_what_was_told_in_turn_wherever_quotes_come_between(
    migrated_dsn: str, told: list[Event], quotes: list[int], units: list[int]
) -> None:
    reset(migrated_dsn)
    events = list(told)
    for place in quotes:
        events.insert(place, quoted(place, yes_bid="0.5"))
    run(migrated_dsn, events, units)
    expected = {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in told_in_turn(told).items()
    }
    assert only(migrated_dsn) == {"venue": "kalshi", "ticker": TICKER, **expected}

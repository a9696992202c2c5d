"""What is read from a market ticker, and that nothing in a ticker raises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.events.tickers import EASTERN, read_ticker
from tests.strategies import tickers


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def closing(text: str) -> datetime | None:
    return read_ticker(f"KXBTCD-{text}-T114749.99").closes


def test_a_ticker_taken_apart() -> None:
    contract = read_ticker("KXBTCD-25AUG0316-T114749.99")
    assert contract.series == "KXBTCD"
    assert contract.event == "KXBTCD-25AUG0316"
    assert contract.closes == utc(2025, 8, 3, 20)
    assert contract.strike == Decimal(114750)


@pytest.mark.parametrize(
    ("text", "closes"),
    [
        ("25AUG0619", utc(2025, 8, 6, 23)),
        ("25JAN0619", utc(2025, 1, 7, 0)),
        ("25DEC3123", utc(2026, 1, 1, 4)),
        ("26APR160100", utc(2026, 4, 16, 5)),
        ("26APR160115", utc(2026, 4, 16, 5, 15)),
        ("26APR162359", utc(2026, 4, 17, 3, 59)),
        ("24FEB2912", utc(2024, 2, 29, 17)),
    ],
)
def test_the_closing_hour_is_eastern(text: str, closes: datetime) -> None:
    assert closing(text) == closes


@pytest.mark.parametrize(
    ("text", "closes"),
    [
        ("25JUN1500", utc(2025, 6, 15, 4)),
        ("25JAN1500", utc(2025, 1, 15, 5)),
        ("26JAN0100", utc(2026, 1, 1, 5)),
        ("26APR160000", utc(2026, 4, 16, 4)),
    ],
)
def test_hour_00_is_the_midnight_with_which_the_day_begins(text: str, closes: datetime) -> None:
    assert closing(text) == closes


def test_in_the_hour_that_autumn_repeats_the_first_pass_is_meant() -> None:
    assert closing("25NOV0200") == utc(2025, 11, 2, 4)
    assert closing("25NOV0201") == utc(2025, 11, 2, 5)
    assert closing("25NOV020130") == utc(2025, 11, 2, 5, 30)
    assert closing("25NOV0202") == utc(2025, 11, 2, 7)


def test_the_hour_that_spring_skips_is_still_a_time() -> None:
    assert closing("26MAR0801") == utc(2026, 3, 8, 6)
    assert closing("26MAR0802") == utc(2026, 3, 8, 7)
    assert closing("26MAR0803") == utc(2026, 3, 8, 7)
    assert closing("26MAR0804") == utc(2026, 3, 8, 8)


@pytest.mark.parametrize(
    "text",
    [
        *("25FEB2910", "25FEB3010", "25JUN3110", "25AUG0010", "25AUG3210"),
        *("25AUG0324", "25AUG0399", "25AUG031660", "25AUG031699"),
        *("25AUX0316", "25aug0316", "25Aug0316", "2AUG0316", "25AUG316", "25AUG03", "25AUG"),
        *("25AUG031", "25AUG03160", "25AUG0316000", "2025AUG0316", "25-AUG0316", "", "T1"),
        *("25AUG0316\n", " 25AUG0316", "\N{ARABIC-INDIC DIGIT TWO}5AUG0316"),
    ],
)
def test_what_is_no_date_says_nothing(text: str) -> None:
    assert closing(text) is None


@pytest.mark.parametrize(
    ("ticker", "strike"),
    [
        ("KXBTCD-25AUG0316-T114749.99", "114750"),
        ("KXETHD-25AUG0316-T3779.99", "3780"),
        ("KXETHD-25AUG0316-T0.99", "1"),
        ("KXBTCD-25AUG0316-T114749", "114749"),
        ("KXBTCD-25AUG0316-T114749.9", "114749.9"),
        ("KXBTCD-25AUG0316-T114749.999", "114749.999"),
        ("KXU3-25JUN-T4.2", "4.2"),
        ("KXBTCD-25AUG0316-X-T5", "5"),
    ],
)
def test_the_strike_is_one_cent_above_a_floor_that_ends_so(ticker: str, strike: str) -> None:
    assert read_ticker(ticker).strike == Decimal(strike)


@pytest.mark.parametrize(
    "ticker",
    [
        "KXBTCD-25AUG0316-B114750",
        "KXBTCD-25AUG0316-T",
        "KXBTCD-25AUG0316-T-5",
        "KXBTCD-25AUG0316-T1e5",
        "KXBTCD-25AUG0316-T1.",
        "KXBTCD-25AUG0316-T.99",
        "KXBTCD-25AUG0316-t114749.99",
        "KXBTCD-25AUG0316-T1234567890123",
        "KXBTCD-T114749.99",
        "KXBTCD-25AUG0316",
        "KXBTCD",
        "T5",
        "",
    ],
)
def test_what_is_no_floor_is_no_strike(ticker: str) -> None:
    assert read_ticker(ticker).strike is None


@pytest.mark.parametrize(
    ("ticker", "series", "event"),
    [
        ("KXNETFLIXRANKMOVIE-25JUL14-HAP", "KXNETFLIXRANKMOVIE", "KXNETFLIXRANKMOVIE-25JUL14"),
        ("KXRAINNYC-25JUL10-T0", "KXRAINNYC", "KXRAINNYC-25JUL10"),
        ("KXAPPRANKFREE2-25JUL11-CHA", "KXAPPRANKFREE2", "KXAPPRANKFREE2-25JUL11"),
        ("KXEGGS-25JUN-T3.50", "KXEGGS", "KXEGGS-25JUN"),
        ("KXMAYORNYCPARTY-25-D", "KXMAYORNYCPARTY", "KXMAYORNYCPARTY-25"),
        ("KXADP-25JUN", "KXADP", "KXADP-25JUN"),
        ("CONTROLH-2026", "CONTROLH", "CONTROLH-2026"),
        ("ALONE", "ALONE", "ALONE"),
    ],
)
def test_other_series_have_a_series_and_an_event_and_no_closing_hour(
    ticker: str, series: str, event: str
) -> None:
    contract = read_ticker(ticker)
    assert (contract.series, contract.event, contract.closes) == (series, event, None)


_dates = st.from_regex(r"[0-9]{2}(JAN|FEB|MAR|OCT|NOV|DEC|XXX)[0-9]{4}([0-9]{2})?", fullmatch=True)
_floors = st.from_regex(r"T[0-9]{0,13}(\.[0-9]{0,11})?", fullmatch=True)
_made = st.lists(_dates | _floors | st.sampled_from(["KXBTCD", "", "-"]), max_size=4).map("-".join)


@given(tickers | _made | st.text())
@example("KXBTCD-00JAN0100-T0")
@example("KXBTCD-99DEC312359-T999999999999.9999999999")
def test_no_ticker_raises_and_nothing_is_said_that_it_does_not_say(ticker: str) -> None:
    contract = read_ticker(ticker)
    assert contract == read_ticker(ticker)
    assert ticker.startswith(contract.event)
    assert contract.event.startswith(contract.series)
    if contract.strike is not None:
        assert contract.strike >= 0
    if contract.closes is not None:
        local = contract.closes.astimezone(EASTERN)
        assert contract.closes.tzinfo is UTC
        assert f"{local:%y}" == ticker.split("-")[1][:2]


@given(st.integers(0, 97 * 365 * 24 * 60))
@example(minute=13_062_600)  # 2025-11-02 06:00 UTC, the second 01:00 Eastern
def test_a_closing_moment_comes_back_but_for_the_second_pass(minute: int) -> None:
    moment = utc(2001, 1, 1) + timedelta(minutes=minute)
    local = moment.astimezone(EASTERN)
    told = closing(f"{local:%y%b%d%H%M}".upper())
    assert told == moment - timedelta(hours=local.fold)

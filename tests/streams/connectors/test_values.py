"""Values are converted exactly, or refused."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.values import (
    FrameError,
    decimal_text,
    epoch_micros,
    integer,
    rfc3339_micros,
    seconds_micros,
)
from streams.events.types import UNSIGNED_DECIMAL

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(whole=st.integers(0, 10**20 - 1), fraction=st.text("0123456789", max_size=10))
def test_plain_decimals_pass_unchanged_with_their_trailing_zeros(whole: int, fraction: str) -> None:
    text = f"{whole}.{fraction}" if fraction else str(whole)
    assert decimal_text(text) == text


@given(
    digits=st.integers(0, 10**30),
    exponent=st.integers(-40, 40),
    mark=st.sampled_from("eE"),
)
def test_scientific_notation_is_converted_exactly_or_refused(
    digits: int, exponent: int, mark: str
) -> None:
    text = f"{digits}{mark}{exponent}"
    value = digits * Fraction(10) ** exponent
    if value >= 10**20 or (value * 10**10).denominator != 1:
        with pytest.raises(FrameError):
            decimal_text(text)
        return
    plain = decimal_text(text)
    assert re.fullmatch(UNSIGNED_DECIMAL, plain)
    assert Fraction(plain) == value


@pytest.mark.parametrize(
    ("text", "plain"),
    [("1e-8", "0.00000001"), (".5", "0.5"), ("5.", "5"), ("007.10", "7.10"), ("0e-999999", "0")],
)
def test_other_notations_are_rewritten(text: str, plain: str) -> None:
    assert decimal_text(text) == plain


@pytest.mark.parametrize(
    "value",
    ["", "-1", "nan", "Infinity", "1_000", "1e999999", "1e-11", "1" * 81, "٣", "1 ", 1, 1.5, None],
)
def test_what_is_no_exact_decimal_is_refused(value: object) -> None:
    with pytest.raises(FrameError):
        decimal_text(value)


@given(
    micros=st.integers(31_536_000_000_000, 7_258_118_400_000_000),
    places=st.integers(6, 9),
    offset=st.integers(-14 * 60, 14 * 60),
)
def test_rfc3339_times_are_exact_to_the_microsecond(micros: int, places: int, offset: int) -> None:
    moment = EPOCH + timedelta(microseconds=micros)
    local = moment.astimezone(timezone(timedelta(minutes=offset)))
    fraction = f"{local.microsecond:06d}{'9' * (places - 6)}"
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    text = f"{local:%Y-%m-%dT%H:%M:%S}.{fraction}{zone}"
    assert rfc3339_micros(text) == micros


def test_times_without_or_with_short_fractions_are_read() -> None:
    assert rfc3339_micros("1970-01-02T00:00:00Z") == 86_400_000_000
    assert rfc3339_micros("1970-01-01T00:00:01.5Z") == 1_500_000


@pytest.mark.parametrize(
    "value", ["2021-02-30T00:00:00Z", "2021-01-01T25:00:00Z", "2021-01-01", "x", 5, None]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(FrameError):
        rfc3339_micros(value)


@given(micros=st.integers(0, 10**15), below=st.text("0123456789", max_size=3))
def test_decimal_seconds_are_cut_to_microseconds_without_a_float(micros: int, below: str) -> None:
    text = f"{micros // 10**6}.{micros % 10**6:06d}{below}"
    assert seconds_micros(text) == int(Decimal(text) * 10**6) == micros


def test_milliseconds_and_microseconds_are_told_apart_by_magnitude() -> None:
    assert epoch_micros(1_723_161_255_342) == 1_723_161_255_342_000
    assert epoch_micros(1_723_161_255_342_517) == 1_723_161_255_342_517


@pytest.mark.parametrize("value", [True, 1.0, "1", -1, 2**63 - 1, None])
def test_what_is_no_whole_number_of_63_bits_is_refused(value: object) -> None:
    with pytest.raises(FrameError, match="sequence"):
        integer({"sequence": value}, "sequence")

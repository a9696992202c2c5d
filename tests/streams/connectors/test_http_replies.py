"""What a reply by HTTP says beside its contents."""

import string
from email.utils import formatdate
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.connectors.base import Request
from streams.connectors.http_replies import (
    Rejected,
    VenueError,
    clock_skew,
    retry_after,
    venue_error,
)

SECOND = 1_000_000
NOON = 1_800_000_000 * SECOND
DATE = formatdate(NOON // SECOND, usegmt=True)

WORDS = st.text(string.ascii_letters + string.digits + "_ '-", min_size=1, max_size=80).map(
    lambda text: " ".join(["x", *text.split()])
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "msg", "details"]) | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(WORDS, WORDS, WORDS)
def test_an_error_is_the_same_nested_and_flat(code: str, message: str, details: str) -> None:
    said = {"code": code, "message": message, "details": details}
    told = VenueError(code, f"{message}: {details}")
    assert venue_error(orjson.dumps(said)) == told
    assert venue_error(orjson.dumps({"error": said})) == told
    assert str(told) == f"{code}: {message}: {details}"


@given(WORDS)
def test_an_error_may_be_a_text_alone(text: str) -> None:
    assert venue_error(orjson.dumps({"error": text})) == VenueError("", text)
    assert venue_error(text.encode()) == VenueError("", text)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error":"too many requests"}', "too many requests"),
        (b'{"message":"NotFound"}', "NotFound"),
        (b'{"code":-1121,"msg":"Invalid symbol."}', "-1121: Invalid symbol."),
        (b'{"error":["EQuery:Unknown asset pair"]}', "EQuery:Unknown asset pair"),
        (b"404 page not found\n", "404 page not found"),
        (b"{}", "no reason given"),
        (b"", "no reason given"),
    ],
)
def test_the_errors_of_other_venues_are_read_too(body: bytes, told: str) -> None:
    assert str(venue_error(body)) == told


@given(st.binary(max_size=200) | JSON.map(lambda value: orjson.dumps(value, default=str)))
def test_no_reply_is_too_odd_for_an_error(body: bytes) -> None:
    told = str(venue_error(body))
    assert told
    assert told.isprintable()


def test_a_long_page_is_cut() -> None:
    assert len(venue_error(b"<html>" * 10_000).message) == 300


@given(st.text("abc+/=", min_size=8, max_size=40), st.integers(0, 300))
def test_a_secret_that_is_sent_back_is_not_told(secret: str, before: int) -> None:
    text = f"{'-' * before}{secret}!"
    for body in (orjson.dumps({"error": text}), text.encode()):
        told = str(venue_error(body, [secret]))
        assert not any(sign in told for sign in "abc+/=")


def test_a_rejection_says_whose_it_is_and_of_what() -> None:
    request = Request("/markets", (("status", "finalized"),))
    error = Rejected("kalshi", request, 400, VenueError("bad_request", "invalid status filter"))
    assert str(error) == (
        "kalshi rejected GET /markets?status=finalized with status 400: bad_request: invalid "
        "status filter"
    )
    assert (error.status, error.code, error.message) == (
        400,
        "bad_request",
        "invalid status filter",
    )


@given(
    st.integers(-(10**12), 10**12) | st.integers(-3 * SECOND, 3 * SECOND),
    st.integers(0, 30 * SECOND),
    st.integers(0, 30 * SECOND),
    st.integers(0, SECOND),
)
def test_a_measured_skew_is_right_to_half_of_its_uncertainty(
    ahead: int, going: int, coming: int, fraction: int
) -> None:
    stamped = NOON + fraction
    date = formatdate(stamped // SECOND, usegmt=True)
    sent, received = stamped - going + ahead, stamped + coming + ahead
    found = clock_skew({"date": date}, sent, received)
    uncertain = (going + coming + SECOND) / 2
    if found is None:
        assert abs(ahead) <= 2 * uncertain + SECOND
    else:
        assert abs(found - ahead) <= uncertain + 1
        assert abs(found) > SECOND


def test_a_clock_that_is_right_has_no_skew() -> None:
    for part in (0, 400_000, 999_999):
        assert clock_skew({"date": DATE}, NOON + part, NOON + part + 50_000) is None


def test_an_hour_is_a_skew() -> None:
    ahead = clock_skew({"date": DATE}, NOON + 3600 * SECOND, NOON + 3600 * SECOND + 80_000)
    assert ahead is not None
    assert abs(ahead - 3600 * SECOND) <= SECOND
    behind = clock_skew({"date": DATE}, NOON - 3600 * SECOND, NOON - 3600 * SECOND + 80_000)
    assert behind is not None
    assert abs(behind + 3600 * SECOND) <= SECOND


@given(st.text(max_size=40) | st.text("MonJan 0123456789:,+-", max_size=40))
@example(f"{DATE[:-3]}+9999")
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
def test_a_date_that_is_none_tells_nothing(text: str) -> None:
    assert clock_skew({"date": text}, NOON, NOON) is None


def test_a_reply_without_date_or_out_of_a_cache_tells_nothing() -> None:
    assert clock_skew({}, NOON, NOON) is None
    old = formatdate(NOON // SECOND - 7200, usegmt=True)
    assert clock_skew({"date": old, "age": "7200"}, NOON, NOON) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), (" 12 ", 12.0), ("86400", 300.0), ("-1", 0.0), (DATE, 0.0), ("²", 0.0), ("", 0.0)],
)
def test_a_venue_may_ask_to_wait(text: str, seconds: float) -> None:
    assert retry_after({"retry-after": text}) == seconds


def test_without_that_header_there_is_no_least_pause() -> None:
    assert retry_after({}) == 0.0

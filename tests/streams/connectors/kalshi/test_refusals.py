"""A refused key is explained by its most probable cause."""

from typing import Literal

import pytest

from streams.connectors.http_replies import VenueError
from streams.connectors.kalshi.environment import Environment
from streams.connectors.kalshi.keys import Key
from streams.connectors.kalshi.refusals import key_refused

from .pems import KEY_ID, ed25519_key

KEY = Key(KEY_ID, ed25519_key())
SECOND = 1_000_000
UNKNOWN = VenueError("authentication_error", "NOT_FOUND")


def told(
    status: int = 401,
    error: VenueError = UNKNOWN,
    skew: int | None = None,
    key: Key | None = KEY,
    mode: Literal["prod", "demo"] = "prod",
) -> str:
    environment = Environment(mode, "https://rest.example", "wss://ws.example")
    return str(key_refused(status, error, skew, key, environment))


@pytest.mark.parametrize(("mode", "other"), [("prod", "demo"), ("demo", "prod")])
def test_a_key_that_is_not_known_is_probably_of_the_other_environment(
    mode: Literal["prod", "demo"], other: str
) -> None:
    said = told(mode=mode)
    assert said.startswith(
        f"Kalshi {mode} refused the key 3f2504e0… (status 401, authentication_error: NOT_FOUND): "
        f"probably it is a key of {other} "
    )
    assert KEY_ID not in said


@pytest.mark.parametrize(
    ("skew", "words"),
    [(3600 * SECOND, "3600 s ahead of Kalshi's"), (-6 * SECOND, "6 s behind Kalshi's")],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_clock_that_is_off_is_named_first(status: int, skew: int, words: str) -> None:
    assert f"this machine's clock is {words}" in told(status, skew=skew)


@pytest.mark.parametrize("skew", [None, 4 * SECOND, -4 * SECOND])
def test_a_clock_that_is_nearly_right_is_not_blamed(skew: int | None) -> None:
    assert "clock" not in told(skew=skew)


def test_a_signature_that_does_not_fit_is_of_another_key() -> None:
    error = VenueError("authentication_error", "INCORRECT_API_KEY_SIGNATURE")
    assert "TAPE_KALSHI_KEY_FILE is not the private key of TAPE_KALSHI_KEY_ID" in told(error=error)


def test_what_a_key_may_not_do_is_a_matter_of_its_scopes() -> None:
    assert "the key lacks the scope for this" in told(403, VenueError("", "forbidden"))


def test_without_a_key_one_is_asked_for() -> None:
    said = told(key=None)
    assert "answers to a key only" in said
    assert "set TAPE_KALSHI_KEY_ID and TAPE_KALSHI_KEY_FILE" in said

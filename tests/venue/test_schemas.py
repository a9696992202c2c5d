"""The checks of frames and replies know the venue's own examples from what is only like them."""

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.simulated.kalshi.venue.rest import answer
from tests.venue.schemas import (
    ERROR_BODIES,
    FIELDS,
    SPECIFICATION,
    Violation,
    check_command,
    check_frame,
    check_reply,
)
from tests.venue.world import World

BASE = "/trade-api/v2"


@pytest.fixture(scope="module")
def published() -> list[dict[str, Any]]:
    """The example payloads of the specification that are JSON objects."""
    if not SPECIFICATION.is_dir():
        pytest.skip(f"no specification: {Path('../shared/samples')} is absent")
    lines = (SPECIFICATION / "ws_examples.jsonl").read_bytes().splitlines()
    payloads = [orjson.loads(line)["payload"] for line in lines]
    return [payload for payload in payloads if isinstance(payload, dict)]


def frame(payload: dict[str, Any]) -> bytes:
    return orjson.dumps(payload) + b"\n"


def test_the_published_frames_and_commands_pass(published: list[dict[str, Any]]) -> None:
    frames = [payload for payload in published if "type" in payload]
    commands = [payload for payload in published if "cmd" in payload]
    assert len(frames) > 40
    assert len(commands) > 20
    for payload in frames:
        check_frame(frame(payload))
    for payload in commands:
        check_command(orjson.dumps(payload))


def test_a_frame_with_a_field_too_few_or_too_many_does_not_pass(
    published: list[dict[str, Any]],
) -> None:
    deltas = [payload for payload in published if payload.get("type") == "orderbook_delta"]
    for payload in deltas:
        for name in ("clock", "delta_fp", "side"):
            broken = copy.deepcopy(payload)
            del broken["msg"][name]
            with pytest.raises(Violation, match=name):
                check_frame(frame(broken))
        for place in (payload, payload["msg"]):
            broken = copy.deepcopy(payload)
            (broken if place is payload else broken["msg"])["invented"] = 1
            with pytest.raises(Violation, match="invented"):
                check_frame(frame(broken))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("price_dollars", "0.96"),
        ("price_dollars", 0.96),
        ("delta_fp", "-54"),
        ("side", "maybe"),
        ("clock", 0),
        ("ts", "yesterday"),
        ("market_id", "FED"),
    ],
)
def test_a_value_that_the_venue_would_not_write_does_not_pass(
    published: list[dict[str, Any]], name: str, value: object
) -> None:
    payload = next(one for one in published if one.get("type") == "orderbook_delta")
    with pytest.raises(Violation):
        check_frame(frame({**payload, "msg": {**payload["msg"], name: value}}))


def test_a_frame_of_no_known_type_or_without_its_newline_does_not_pass(
    published: list[dict[str, Any]],
) -> None:
    payload = next(one for one in published if one.get("type") == "ticker")
    with pytest.raises(Violation, match="newline"):
        check_frame(orjson.dumps(payload))
    with pytest.raises(Violation, match="no type"):
        check_frame(frame({**payload, "type": "ticker_v2"}))


def test_a_level_of_a_book_is_a_price_and_a_count(published: list[dict[str, Any]]) -> None:
    payload = next(one for one in published if one.get("type") == "orderbook_snapshot")
    for level in (["0.08", "300.00"], ["0.0800", "300"], ["300.00", "0.0800"], ["0.0800"]):
        msg = {**payload["msg"], "yes_dollars_fp": [level]}
        with pytest.raises(Violation):
            check_frame(frame({**payload, "msg": msg}))


def test_replies_are_checked_by_their_path(published: list[dict[str, Any]]) -> None:
    world = World(1)
    world.step(5)
    ticker = next(iter(world.truth.listed))
    for path in ("/markets", f"/markets/{ticker}", "/portfolio/fills", "/historical/cutoff"):
        reply = answer(world.venue, path, "")
        check_reply(BASE + path, *reply)
        with pytest.raises(Violation):
            check_reply(BASE + path, 200, b"{}")
    with pytest.raises(Violation, match="no path"):
        check_reply(BASE + "/portfolio/secrets", 200, b"{}")


def test_recordings_go_before_the_specification(published: list[dict[str, Any]]) -> None:
    check_reply(BASE + "/markets", 429, b'{"error":"too many requests"}')
    check_reply(BASE + "/markets", 400, b'{"error":{"code":"bad_request","message":"bad"}}')
    with pytest.raises(Violation):
        check_reply(BASE + "/markets", 400, b'{"code":"bad_request","message":"bad"}')
    payload = next(one for one in published if one.get("type") == "orderbook_snapshot")
    check_frame(frame({**payload, "msg": {**payload["msg"], "market_id": ""}}))
    assert all(why for why, _ in [*ERROR_BODIES.values(), *FIELDS.values()])

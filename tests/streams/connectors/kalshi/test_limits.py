"""Rate limits: what the account may do, and what a request costs."""

import string
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.kalshi.limits import BASIC, DEFAULT_COSTS, Bucket, costs, read_bucket
from streams.connectors.values import FrameError

#: As the demo environment answered on 2026-07-06 (reference/connectors.md section 7).
LIMITS: dict[str, Any] = {
    "usage_tier": "basic",
    "grants": [],
    "read": {"refill_rate": 200, "bucket_capacity": 400},
    "write": {"refill_rate": 100, "bucket_capacity": 100},
}
COSTS: dict[str, Any] = {
    "default_cost": 10,
    "endpoint_costs": [
        {"method": "DELETE", "path": "/portfolio/events/orders/{order_id}", "cost": 3},
        {"method": "GET", "path": "/portfolio/orders/{order_id}", "cost": 2},
        {"method": "GET", "path": "/trade-api/v2/cfbenchmarks/:index/values", "cost": 50},
    ],
}
SEGMENT = st.text(string.ascii_letters + string.digits + ".-_$+", min_size=1, max_size=20)


def changed(value: dict[str, Any], **changes: Any) -> bytes:
    return orjson.dumps({**value, **changes})


def test_the_bucket_of_reads_is_the_account_s() -> None:
    assert read_bucket(orjson.dumps(LIMITS)) == Bucket(200, 400) == BASIC
    prime = {"refill_rate": 4800, "bucket_capacity": 9600}
    assert read_bucket(changed(LIMITS, read=prime)) == Bucket(4800, 9600)


@pytest.mark.parametrize(
    "read",
    [
        None,
        [],
        {},
        {"refill_rate": 200},
        {"refill_rate": 0, "bucket_capacity": 400},
        {"refill_rate": -1, "bucket_capacity": 400},
        {"refill_rate": 200, "bucket_capacity": "400"},
        {"refill_rate": True, "bucket_capacity": 400},
        {"refill_rate": 200.5, "bucket_capacity": 400},
    ],
)
def test_limits_in_another_form_are_refused(read: object) -> None:
    with pytest.raises(FrameError):
        read_bucket(changed(LIMITS, read=read))


@given(SEGMENT)
def test_a_request_costs_what_its_route_costs(part: str) -> None:
    found = costs(orjson.dumps(COSTS))
    assert found.of(f"/portfolio/orders/{part}") == 2
    assert found.of(f"/cfbenchmarks/{part}/values") == 50
    assert found.of(f"/portfolio/orders/{part}/{part}") == 10
    assert found.of(f"/portfolio/events/orders/{part}") == 10
    assert found.of("/portfolio/orders") == 10


def test_without_exceptions_all_cost_the_same() -> None:
    assert DEFAULT_COSTS.of("/portfolio/orders/1") == 10
    assert costs(changed(COSTS, default_cost=12)).of("/markets") == 12


@given(SEGMENT, SEGMENT)
def test_a_route_is_taken_by_its_letters(route: str, path: str) -> None:
    item = {"method": "GET", "path": f"/{route}", "cost": 0}
    found = costs(changed(COSTS, endpoint_costs=[item]))
    assert found.of(f"/{route}") == 0
    assert found.of(f"/{path}") == (0 if path == route else 10)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**63) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["read", "refill_rate", "default_cost", "endpoint_costs", "method", "path", "cost"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(JUNK.map(orjson.dumps) | st.binary(max_size=30))
def test_nothing_else_than_a_frame_error_comes_of_junk(reply: bytes) -> None:
    for read in (read_bucket, costs):
        try:
            read(reply)
        except FrameError:
            continue

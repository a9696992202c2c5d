"""Events to bytes and back: exact, and nothing but DecodeError for what is no event."""

import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from streams.events import DecodeError, Event, PriceTrade, catalogue, decode, encode
from streams.events.codec import MAX_VALUE_BYTES
from tests.strategies import decimals, events
from tests.streams.events.examples import GOOD, refusals

TRADE: dict[str, Any] = {
    "venue": "coinbase",
    "symbol": "BTC-USD",
    "trade_id": "1",
    "price": "65000.10",
    "size": "0.50",
    "side": "buy",
    "time": 1_700_000_000_000_000,
    "sequence": 1,
    "received": 1_700_000_000_000_001,
}


def headers(ce_type: str = "price.trade.v1") -> list[tuple[str, bytes | None]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"coinbase:BTC-USD:1"),
        ("ce_type", ce_type.encode()),
        ("ce_source", b"/venues/coinbase"),
    ]


def value(**changes: object) -> bytes:
    return json.dumps({**TRADE, **changes}).encode()


def test_every_event_of_the_catalogue_is_generated() -> None:
    generated: set[type[Event]] = set()

    def is_last(event: Event) -> bool:
        generated.add(type(event))
        return generated == set(catalogue.EVENTS)

    patient = settings(max_examples=10_000, database=None, phases=[Phase.generate])
    with suppress(NoSuchExample):  # what is missing is told below
        find(events, is_last, settings=patient)
    assert generated == set(catalogue.EVENTS)


@given(events)
def test_an_event_comes_back_exactly(event: Event) -> None:
    record = encode(event)
    again = decode(record.value, record.headers)
    assert type(again) is type(event)
    assert again == event
    # Decimals are equal without their trailing zeros: the bytes tell.
    assert encode(again) == record


@given(decimals())
def test_a_decimal_keeps_its_digits(size: Decimal) -> None:
    event = decode(value(size=format(size, "f")), headers())
    assert isinstance(event, PriceTrade)
    assert event.size.as_tuple() == size.as_tuple()
    assert orjson.loads(encode(event).value)["size"] == format(size, "f")


def test_the_wire_format_of_a_trade() -> None:
    record = encode(PriceTrade.model_validate(TRADE))
    assert record.topic == "price.ticks"
    assert record.key == b"coinbase:BTC-USD"
    assert record.value == (
        b'{"venue":"coinbase","symbol":"BTC-USD","trade_id":"1","price":"65000.10",'
        b'"size":"0.50","side":"buy","time":1700000000000000,"sequence":1,'
        b'"received":1700000000000001}'
    )
    assert record.headers == headers()


BAD: dict[str, list[object]] = {
    "price": [
        *(65000.1, 65000, None, True, [], {}),
        *("NaN", "Infinity", "-Infinity", "1e5", "1E5", "-1", "+1", "0", "0.00", "01", "1.", ".5"),
        *("", " 1", "1\n", "1_0", "1,5", "1" * 21, "1." + "1" * 11, "\N{ARABIC-INDIC DIGIT ONE}"),
        *("1\x00", "\x00"),
    ],
    "size": ["-0", "1e0", "NaN", 0, 1.5],
    "time": [
        *(0, -1, 1_230_767_999_999_999, 253_402_300_800_000_000, 10**30),
        *(1.7e15, "1700000000000000", True, None),
    ],
    "venue": ["Coinbase", "", "a" * 33, "coin\x00base", "coinbase\n", 1, None],
    "symbol": ["btc", "", "BTC\x00USD", "BTC USD", "A" * 49, 1],
    "trade_id": [1, "", "a\x00", "\N{LATIN SMALL LETTER E WITH ACUTE}", "1" * 65],
    "side": ["BUY", "", None, 1],
    "sequence": [-1, 2**63, "1", 1.0],
}
BAD_FIELDS = [(field, bad) for field, values in BAD.items() for bad in values]


@pytest.mark.parametrize(("field", "bad"), BAD_FIELDS)
def test_a_bad_field_is_refused(field: str, bad: object) -> None:
    with pytest.raises(DecodeError, match=field):
        decode(value(**{field: bad}), headers())


def decoded(name: str, fields: dict[str, Any]) -> Event:
    return decode(json.dumps(fields).encode(), headers(f"{name}.v1"))


@pytest.mark.parametrize("name", GOOD)
def test_a_good_event_is_taken(name: str) -> None:
    event = decoded(name, GOOD[name])
    assert event.name == name
    # What came to a published version later is not in an event of before.
    later = {field for field, one in type(event).model_fields.items() if not one.is_required()}
    assert orjson.loads(encode(event).value) == dict.fromkeys(later) | GOOD[name]


def test_every_event_but_those_of_prices_has_a_good_example() -> None:
    others = {event.name for event in catalogue.EVENTS if not event.name.startswith("price.")}
    assert set(GOOD) == {name for name in others if not name.endswith(".unparsed")}


def test_every_field_of_money_or_count_refuses_a_json_number() -> None:
    decimals_of = [
        (event.name, name)
        for event in catalogue.EVENTS
        for name, field in event.model_fields.items()
        if event.name in GOOD and "Decimal" in str(field.annotation)
    ]
    assert len(decimals_of) > 40
    for name, field in decimals_of:
        for number in (0, 1, 0.5):
            with pytest.raises(DecodeError, match=field):
                decoded(name, {**GOOD[name], field: number})


@pytest.mark.parametrize(("name", "field"), [(name, f) for name in GOOD for f in GOOD[name]])
def test_what_no_field_of_an_event_may_hold_is_refused(name: str, field: str) -> None:
    for bad in refusals(name, field):
        with pytest.raises(DecodeError, match=field):
            assert decoded(name, {**GOOD[name], field: bad}) is None, bad


@pytest.mark.parametrize(("name", "field"), [(name, f) for name in GOOD for f in GOOD[name]])
def test_a_missing_field_of_any_event_is_refused(name: str, field: str) -> None:
    rest = {key: item for key, item in GOOD[name].items() if key != field}
    with pytest.raises(DecodeError, match=field):
        decoded(name, rest)


@pytest.mark.parametrize("field", TRADE)
def test_a_missing_field_is_refused(field: str) -> None:
    rest = {name: item for name, item in TRADE.items() if name != field}
    with pytest.raises(DecodeError, match=field):
        decode(json.dumps(rest).encode(), headers())


@pytest.mark.parametrize(
    "bad",
    [
        None,
        b"",
        b"not json",
        b"{",
        b"[]",
        b"1",
        b"null",
        b'"text"',
        b"\xff\xfe",
        value() + b"x",
        value().replace(b"coinbase", b"coin\xffbase"),
        value().replace(b'"65000.10"', b"NaN"),
        value().replace(b'"65000.10"', b"Infinity"),
        value().replace(b'"65000.10"', b"6" * 5000),
        value(venue="\ud800"),
        b"[" * 100_000,
        b"x" * 10_000_000,
        value(raw="x" * 10_000_000),
        value(raw="x" * MAX_VALUE_BYTES),
    ],
    ids=lambda bad: repr(bad)[:30],
)
def test_a_bad_value_is_refused(bad: bytes | None) -> None:
    with pytest.raises(DecodeError):
        decode(bad, headers())


@pytest.mark.parametrize("missing", ["ce_specversion", "ce_id", "ce_type"])
@pytest.mark.parametrize("left", [None, b""])
def test_a_missing_header_is_refused(missing: str, left: bytes | None) -> None:
    emptied = [(name, left if name == missing else item) for name, item in headers()]
    without = [(name, item) for name, item in headers() if name != missing]
    for bad in (emptied, without):
        with pytest.raises(DecodeError, match=missing):
            decode(value(), bad)


@pytest.mark.parametrize(
    "bad", ["price.trade.v2", "price.trade", "nothing.known.v1", "price.tradé"]
)
def test_an_unknown_type_or_version_is_refused(bad: str) -> None:
    with pytest.raises(DecodeError, match="unknown event type"):
        decode(value(), headers(bad))


def test_a_type_that_is_not_utf8_is_refused() -> None:
    bad = [(name, b"\xff" if name == "ce_type" else item) for name, item in headers()]
    with pytest.raises(DecodeError, match="UTF-8"):
        decode(value(), bad)


def test_unknown_fields_are_ignored() -> None:
    assert decode(value(raw={"any": [1.5]}, more=None), headers()) == decode(value(), headers())


names = st.sampled_from(["ce_specversion", "ce_id", "ce_type", "ce_source"]) | st.text(max_size=10)
types = st.sampled_from([name.encode() for name in catalogue.BY_TYPE])
junk_headers = st.lists(st.tuples(names, st.none() | types | st.binary(max_size=20)), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.none() | st.binary(), junk_headers)
def test_any_bytes_under_any_headers(junk: bytes | None, attributes: list[Any]) -> None:
    with pytest.raises(DecodeError):
        decode(junk, attributes)


@given(st.binary(), st.sampled_from(list(catalogue.BY_TYPE)))
def test_any_bytes_under_good_headers(junk: bytes, ce_type: str) -> None:
    with pytest.raises(DecodeError):
        decode(junk, headers(ce_type))


@given(events, st.data())
def test_a_good_event_with_anything_in_one_field(event: Event, data: st.DataObject) -> None:
    record = encode(event)
    fields = orjson.loads(record.value)
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_values)
    try:
        decoded = decode(json.dumps(fields).encode(), record.headers)
    except DecodeError:
        return
    # What is taken comes back exactly.
    assert decode(encode(decoded).value, record.headers) == decoded


def _from_text_time(old: dict[str, Any]) -> dict[str, Any]:
    """As an upcaster from a version zero would be, which had times in milliseconds."""
    new = {name: item for name, item in old.items() if name != "time_ms"}
    return {**new, "time": old["time_ms"] * 1000}


@pytest.fixture
def upcasters(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "price.trade.v0": _from_text_time
    }
    monkeypatch.setattr(catalogue, "UPCASTERS", steps)


OLD = {**{k: v for k, v in TRADE.items() if k != "time"}, "time_ms": 1_700_000_000_000}


@pytest.mark.usefixtures("upcasters")
def test_an_old_version_is_upcast() -> None:
    old = decode(json.dumps(OLD).encode(), headers("price.trade.v0"))
    assert old == decode(value(), headers())


@pytest.mark.usefixtures("upcasters")
@pytest.mark.parametrize(
    "bad",
    [
        b"not json",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"{}",
        json.dumps({**OLD, "time_ms": "x"}).encode(),
        json.dumps({**OLD, "time_ms": None}).encode(),
        json.dumps({**OLD, "price": 1.5}).encode(),
    ],
)
def test_a_bad_old_version_is_refused(bad: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(bad, headers("price.trade.v0"))


@pytest.mark.usefixtures("upcasters")
@given(st.binary() | json_values.map(json.dumps).map(str.encode))
def test_anything_as_an_old_version(junk: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(junk, headers("price.trade.v0"))


@given(event=events)
def test_what_comes_through_an_upcaster_is_what_the_new_version_reads(event: Event) -> None:
    before = {kind.ce_type().replace(".v1", ".v0"): dict for kind in catalogue.EVENTS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "UPCASTERS", before)
        old = decode(event.to_json(), headers(event.ce_type().replace(".v1", ".v0")))
    assert type(old) is type(event)
    assert encode(old) == encode(event)


def test_every_upcaster_leads_to_a_version_that_is_read() -> None:
    for name in catalogue.UPCASTERS:
        stem, _, version = name.rpartition(".v")
        following = f"{stem}.v{int(version) + 1}"
        assert name not in catalogue.BY_TYPE, f"{name} would never be upcast"
        assert following in catalogue.BY_TYPE or following in catalogue.UPCASTERS, name

"""A published event version does not change, but for a new optional field."""

import copy
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import UserError
from streams.events import Event, PriceTrade, catalogue, compatibility
from streams.events.compatibility import incompatibilities, publish, published, stale
from streams.events.schema import event_schema

Schema = dict[str, Any]
TRADE = event_schema(PriceTrade)


def test_no_published_version_was_changed_incompatibly() -> None:
    current = {event.ce_type(): event_schema(event) for event in catalogue.EVENTS}
    for name, schema in published().items():
        if name in current:
            assert incompatibilities(schema, current[name]) == []
        else:
            assert name in catalogue.UPCASTERS, f"{name} can be read no more"


def test_every_event_is_published_as_it_is() -> None:
    assert stale() == [], "run `tape events publish` and commit what it writes"


def changed(**changes: Any) -> Schema:
    """The trade's schema with fields replaced; None removes one."""
    schema = copy.deepcopy(TRADE)
    for name, field in changes.items():
        if field is None:
            del schema["properties"][name]
            schema["required"].remove(name)
        else:
            schema["properties"][name] = field
    return schema


def requiring(*names: str) -> Schema:
    return {**changed(), "required": list(names)}


PRICE = TRADE["properties"]["price"]
TIME = TRADE["properties"]["time"]
SEQUENCE = TRADE["properties"]["sequence"]
OTHERS = [name for name in TRADE["required"] if name != "side"]


@pytest.mark.parametrize(
    ("current", "told"),
    [
        (changed(side=None), "value.side: the field was removed"),
        (changed(time={**TIME, "type": "string"}), "value.time: type was"),
        (changed(side={"type": "string", "enum": ["buy"]}), "value.side: enum was"),
        (changed(side={"type": "string", "enum": ["buy", "sell", "x"]}), "value.side: enum was"),
        (changed(side={"type": "string", "const": "buy"}), "value.side: const was absent"),
        (changed(price={**PRICE, "pattern": "^[0-9]+$"}), "value.price: pattern was"),
        (changed(price={"type": "string"}), "value.price: pattern was"),
        (changed(time={**TIME, "minimum": 0}), "value.time: minimum was"),
        (changed(time={**TIME, "maximum": 1}), "value.time: maximum was"),
        (changed(venue={**TRADE["properties"]["venue"], "maxLength": 3}), "value.venue: maxLength"),
        (changed(sequence=SEQUENCE["anyOf"][0]), "value.sequence: anyOf was"),
        (changed(sequence={**SEQUENCE, "default": None, "format": "x"}), "value.sequence: format"),
        (changed(side={**TRADE["properties"]["side"], "default": "buy"}), "value.side: default"),
        (requiring(*OTHERS), "value.side: was required, is optional"),
        ({**TRADE, "x-kafka-topic": "elsewhere"}, "value: x-kafka-topic was"),
        ({**TRADE, "additionalProperties": False}, "value: additionalProperties was absent"),
        (
            {**changed(raw={"type": "string"}), "required": [*TRADE["required"], "raw"]},
            "value.raw: a new field is required",
        ),
    ],
)
def test_an_incompatible_change_is_told(current: Schema, told: str) -> None:
    assert any(reason.startswith(told) for reason in incompatibilities(TRADE, current))


def test_an_optional_field_cannot_become_required() -> None:
    assert incompatibilities(requiring(*OTHERS), TRADE) == ["value.side: was optional, is required"]


@pytest.mark.parametrize(
    "current",
    [
        changed(raw={"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}),
        changed(price={**PRICE, "title": "Dollars", "description": "Said better."}),
        changed(side={"type": "string", "enum": ["sell", "buy"], "title": "Side"}),
        changed(sequence={**SEQUENCE, "anyOf": SEQUENCE["anyOf"][::-1]}),
        requiring(*reversed(TRADE["required"])),
        {**TRADE, "description": "Said better."},
    ],
)
def test_a_compatible_change_is_silent(current: Schema) -> None:
    assert incompatibilities(TRADE, current) == []


def nested(item: Schema) -> Schema:
    levels = {"type": "array", "items": {"type": "object", "properties": {"price": item}}}
    return {"type": "object", "properties": {"levels": levels}}


def test_fields_of_lists_are_compared_too() -> None:
    told = incompatibilities(nested({"type": "string"}), nested({"type": "number"}))
    assert told == ['value.levels[].price: type was "string", is "number"']
    assert incompatibilities(nested({"type": "string"}), nested({"type": "string"})) == []


fields = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "boolean"])},
    optional={"pattern": st.text(max_size=3), "minimum": st.integers(0, 3)},
)
names = st.sampled_from(["a", "b", "title", "description", "enum"])


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    properties = draw(st.dictionaries(names, fields, max_size=4))
    required = (
        draw(st.lists(st.sampled_from(sorted(properties)), unique=True)) if properties else []
    )
    return {"type": "object", "properties": properties, "required": required}


@given(schemas())
def test_a_schema_is_compatible_with_itself(schema: Schema) -> None:
    assert incompatibilities(schema, copy.deepcopy(schema)) == []


@given(schemas(), schemas())
def test_only_new_optional_fields_are_silent(old: Schema, new: Schema) -> None:
    kept = {name: field for name, field in new["properties"].items() if name in old["properties"]}
    silent = kept == old["properties"] and set(new["required"]) == set(old["required"])
    assert (incompatibilities(old, new) == []) == silent


class Dummy(Event):
    """Not in the real catalogue."""

    name: ClassVar[str] = "dummy.fact"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = "price.ticks"

    count: int

    def key(self) -> str:
        return "dummy"

    def event_id(self) -> str:
        return str(self.count)

    def source(self) -> str:
        return "/dummy"


class DummyWithMore(Dummy):
    """Compatible: one optional field more."""

    note: str | None = None


class DummyWithText(Dummy):
    """Incompatible: another type."""

    count: str  # type: ignore[assignment]


def test_publishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "dummy.fact.v1.json"
    monkeypatch.setattr(compatibility, "EVENTS", (Dummy,))
    assert publish(tmp_path) == ["dummy.fact.v1"]
    assert publish(tmp_path) == []

    monkeypatch.setattr(compatibility, "EVENTS", (DummyWithMore,))
    assert publish(tmp_path) == ["dummy.fact.v1"]
    assert "note" in orjson.loads(file.read_bytes())["properties"]

    before = file.read_bytes()
    for refused in (DummyWithText, Dummy):
        monkeypatch.setattr(compatibility, "EVENTS", (refused,))
        with pytest.raises(UserError, match=r"dummy\.fact\.v1: value\."):
            publish(tmp_path)
    assert file.read_bytes() == before

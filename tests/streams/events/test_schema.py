"""What the catalogue prints for others."""

import re
from typing import Any

import orjson
import pytest
from hypothesis import given

from streams.events import Event, PriceTrade, encode
from streams.events.catalogue import EVENTS, TOPICS
from streams.events.schema import asyncapi, event_schema
from tests.strategies import events, trades


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if "$ref" in node else []
    return own + [found for item in node.values() for found in references(item)]


def test_asyncapi_has_every_topic_and_event() -> None:
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {
        name for spec in TOPICS for name in (spec.name, spec.dead_letter_topic)
    }
    for event in EVENTS:
        assert event.ce_type() in document["channels"][event.topic]["messages"]
        message = document["components"]["messages"][event.ce_type()]
        assert message["payload"] == event_schema(event)
        assert message["headers"]["properties"]["ce_type"] == {"const": event.ce_type()}


def test_every_reference_of_asyncapi_leads_somewhere() -> None:
    document = asyncapi()
    found = references(document)
    assert found
    for reference in found:
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_a_topics_settings_are_told() -> None:
    kafka = asyncapi()["channels"]["price.ticks"]["bindings"]["kafka"]
    assert kafka["partitions"] == 4
    assert kafka["topicConfiguration"]["cleanup.policy"] == ["delete"]
    assert kafka["topicConfiguration"]["retention.ms"] == 365 * 86_400_000


@given(events)
def test_the_schema_names_the_fields_of_the_value(event: Event) -> None:
    schema = event_schema(type(event))
    fields = orjson.loads(encode(event).value)
    assert set(fields) == set(schema["properties"])
    # What came to a published version later has a default, and is in no event of before.
    later = {name for name, one in type(event).model_fields.items() if not one.is_required()}
    assert set(schema["required"]) == set(fields) - later


@given(trades)
def test_the_pattern_of_a_price_is_the_wire_format(trade: PriceTrade) -> None:
    field = event_schema(PriceTrade)["properties"]["price"]
    text = orjson.loads(encode(trade).value)["price"]
    assert re.search(field["pattern"], text)
    assert not re.search(field["not"]["pattern"], text)


@pytest.mark.parametrize("zero", ["0", "0.0", "0.0000000000"])
def test_the_schema_refuses_a_price_of_zero(zero: str) -> None:
    assert re.search(event_schema(PriceTrade)["properties"]["price"]["not"]["pattern"], zero)

"""The catalogue for others: JSON Schema of each event, AsyncAPI of all topics."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from streams.events.base import Event
from streams.events.catalogue import EVENTS, TOPICS, TopicSpec, dead_letter_spec

__all__ = ["asyncapi", "event_schema"]

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_schema(event: type[Event]) -> Schema:
    """The JSON Schema of an event's Kafka value, without references, with its topic."""
    generated = event.model_json_schema()
    definitions = generated.pop("$defs", {})
    inlined: Schema = _inline(generated, definitions)
    return {
        "$schema": _DIALECT,
        "$id": event.ce_type(),
        "x-kafka-topic": event.topic,
        **inlined,
        "title": event.ce_type(),
    }


def asyncapi() -> Schema:
    """The AsyncAPI 3.0 document: a channel per topic, a message per event."""
    specs = [spec for topic in TOPICS for spec in (topic, dead_letter_spec(topic))]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "tickertape",
            "version": version("tickertape"),
            "description": "Facts on Kafka: CloudEvents 1.0 in binary mode, values in plain JSON.",
        },
        "defaultContentType": "application/json",
        "channels": {spec.name: _channel(spec) for spec in specs},
        "operations": {
            f"send.{spec.name}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{spec.name}"},
            }
            for spec in specs
        },
        "components": {"messages": {event.ce_type(): _message(event) for event in EVENTS}},
    }


def _channel(spec: TopicSpec) -> Schema:
    settings = spec.config()
    return {
        "address": spec.name,
        "description": spec.summary,
        "messages": {
            event.ce_type(): {"$ref": f"#/components/messages/{event.ce_type()}"}
            for event in EVENTS
            # What is copied to a dead-letter topic may be no event at all.
            if event.topic == spec.name
        },
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": spec.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [settings["cleanup.policy"]],
                    "retention.ms": int(settings["retention.ms"]),
                    "retention.bytes": int(settings["retention.bytes"]),
                    "max.message.bytes": int(settings["max.message.bytes"]),
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _message(event: type[Event]) -> Schema:
    key = next(spec.key for spec in TOPICS if spec.name == event.topic)
    payload = event_schema(event)
    return {
        "name": event.ce_type(),
        "title": event.ce_type(),
        "summary": payload.get("description", ""),
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {
                "ce_specversion": {"const": "1.0"},
                "ce_id": {"type": "string", "description": "The same for the same fact."},
                "ce_type": {"const": event.ce_type()},
                "ce_source": {"type": "string", "format": "uri-reference"},
            },
            "required": ["ce_specversion", "ce_id", "ce_type", "ce_source"],
        },
        "payload": payload,
        "bindings": {
            "kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}
        },
    }


def _inline(node: Any, definitions: Schema) -> Any:
    """Puts definitions where they are referred to; the schemas of events are never recursive."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
        return _inline({**target, **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    return {key: _inline(value, definitions) for key, value in node.items()}

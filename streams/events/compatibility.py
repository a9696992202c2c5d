"""What may change in an event version that was published: next to nothing.

A published schema is a promise in both directions: what is in the log by it stays readable, and
who reads by it can read what is written now. So no field changes, and a new one is optional.
Anything else is a new version with an upcaster.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from streams.errors import UserError
from streams.events.base import Event
from streams.events.catalogue import EVENTS
from streams.events.schema import event_schema

__all__ = ["PUBLISHED", "incompatibilities", "publish", "published", "stale"]

Schema = dict[str, Any]

#: The committed schemas, one `<ce_type>.json` each.
PUBLISHED = Path(__file__).parent / "published"

#: Keywords that only explain.
_ANNOTATIONS = {"$comment", "$id", "$schema", "deprecated", "description", "examples", "title"}
#: Keywords whose order means nothing.
_SETS = {"allOf", "anyOf", "enum", "oneOf", "type"}


def incompatibilities(published: Schema, current: Schema) -> list[str]:
    """What in `current` breaks the promise of `published`, a sentence each; empty if nothing.

    Both are JSON Schemas of objects without references, as `event_schema` makes them.
    """
    return list(_compare(published, current, "value"))


def published(directory: Path = PUBLISHED) -> dict[str, Schema]:
    """The published schemas by event type."""
    return {file.stem: orjson.loads(file.read_bytes()) for file in directory.glob("*.json")}


def stale(directory: Path = PUBLISHED) -> list[str]:
    """The event types of the catalogue whose published schema is missing or differs."""
    known = published(directory)
    return [
        event.ce_type() for event in EVENTS if known.get(event.ce_type()) != event_schema(event)
    ]


def publish(directory: Path = PUBLISHED) -> list[str]:
    """Writes the schemas that are new or changed; returns their event types.

    Raises UserError, and writes nothing, when a published version changed incompatibly.
    """
    known = published(directory)
    broken = [
        f"{event.ce_type()}: {reason}"
        for event in EVENTS
        if event.ce_type() in known
        for reason in incompatibilities(known[event.ce_type()], event_schema(event))
    ]
    if broken:
        raise UserError(
            "a published event version may not change so; make a new version with an upcaster:\n"
            + "\n".join(broken)
        )
    changed = stale(directory)
    directory.mkdir(exist_ok=True)
    for event in EVENTS:
        if event.ce_type() in changed:
            _file(directory, event).write_bytes(
                orjson.dumps(event_schema(event), option=orjson.OPT_INDENT_2) + b"\n"
            )
    return changed


def _file(directory: Path, event: type[Event]) -> Path:
    return directory / f"{event.ce_type()}.json"


def _compare(old: Schema, new: Schema, where: str) -> Iterator[str]:
    yield from _compare_fields(old, new, where)
    if isinstance(old.get("items"), dict) and isinstance(new.get("items"), dict):
        yield from _compare(old["items"], new["items"], f"{where}[]")
        old, new = ({**schema, "items": None} for schema in (old, new))
    compared_apart = _ANNOTATIONS | {"properties", "required"}
    for keyword in sorted((old.keys() | new.keys()) - compared_apart):
        before, after = old.get(keyword), new.get(keyword)
        if _canonical(keyword, before) != _canonical(keyword, after):
            yield f"{where}: {keyword} was {_shown(before)}, is {_shown(after)}"


def _compare_fields(old: Schema, new: Schema, where: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    needed_before, needed_after = set(old.get("required", [])), set(new.get("required", []))
    for name in before:
        if name not in after:
            yield f"{where}.{name}: the field was removed"
            continue
        if name in needed_after - needed_before:
            yield f"{where}.{name}: was optional, is required"
        if name in needed_before - needed_after:
            yield f"{where}.{name}: was required, is optional"
        yield from _compare(before[name], after[name], f"{where}.{name}")
    for name in after:
        if name not in before and name in needed_after:
            yield f"{where}.{name}: a new field is required"


def _canonical(keyword: str, value: Any) -> Any:
    if keyword in _SETS and isinstance(value, list):
        return sorted(orjson.dumps(_bare(item), option=orjson.OPT_SORT_KEYS) for item in value)
    return _bare(value)


def _bare(value: Any) -> Any:
    """A nested schema without what only explains."""
    if isinstance(value, dict):
        kept = {key: _bare(item) for key, item in value.items() if key not in _ANNOTATIONS}
        if "properties" in value:  # its keys are fields, whatever they are called
            kept["properties"] = {name: _bare(item) for name, item in value["properties"].items()}
        return kept
    return [_bare(item) for item in value] if isinstance(value, list) else value


def _shown(value: Any) -> str:
    return "absent" if value is None else orjson.dumps(value).decode()

"""What the venue's own specifications say of a frame or a reply, with what recordings say instead.

The specifications are asyncapi.yaml and openapi.yaml 3.34.0, beside the repository and never
copied into it. They are read more strictly than they are written: a field that they do not
declare is refused, and text that stands for money, counts and times must look like it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

SPECIFICATION = Path(__file__).parents[3] / "shared" / "samples" / "kalshi-official-spec-3.34.0"

_WEBSOCKET, _REST = "asyncapi.yaml", "openapi.yaml"
_BASE = "/trade-api/v2"


_TEXT = {"type": "string"}
_ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": _TEXT, "message": _TEXT, "details": _TEXT},
    "additionalProperties": False,
}

#: Where recordings contradict the specifications, and are followed; each with the reason.
#: Of replies that are no 200, by status; 0: any other.
ERROR_BODIES: Mapping[int, tuple[str, Mapping[str, Any]]] = {
    429: (
        "recorded: the limit says `too many requests` and nothing else, without a code",
        {"const": {"error": "too many requests"}},
    ),
    0: (
        "recorded: production puts them into an object `error`, which is not specified",
        {
            "type": "object",
            "required": ["error"],
            "properties": {"error": _ERROR},
            "additionalProperties": False,
        },
    ),
}
#: The same: field of a frame, by the frame's type → why, and what it may be besides.
FIELDS: Mapping[tuple[str, str], tuple[str, Mapping[str, Any]]] = {
    ("orderbook_snapshot", "market_id"): (
        "measured: the id of a market that is unknown or expired is empty text, and no UUID",
        {"const": ""},
    ),
}

#: Name of a field → how its text looks (reference/connectors.md 5.1), which is not specified.
_TEXTS = (
    (re.compile(r".*_dollars|fee_cost|settlement_value"), re.compile(r"-?\d+\.\d{4,6}")),
    (re.compile(r".*_fp"), re.compile(r"-?\d+\.\d{2}")),
)


class Violation(AssertionError):
    """A frame or reply that is not as the venue's would be."""


def check_frame(data: bytes) -> None:
    """Raises Violation for a WebSocket frame that is none of the venue's."""
    if not data.endswith(b"\n"):
        raise Violation(f"no newline at the end of {data[-40:]!r}")
    frame = orjson.loads(data)
    kind = frame["type"]
    schemas = _frame_schemas().get(kind)
    if schemas is None:
        raise Violation(f"{kind} is no type of the venue")
    for (of_kind, name), (_, besides) in FIELDS.items():
        if kind == of_kind and Draft202012Validator(besides).is_valid(frame["msg"].get(name)):
            frame["msg"] = {**frame["msg"], name: "00000000-0000-4000-8000-000000000000"}
    _check(_validator(_WEBSOCKET, schemas), frame, kind)


def check_command(data: str | bytes) -> None:
    """Raises Violation for a command that the venue's specification does not have."""
    command = orjson.loads(data)
    names = tuple(name for name in _schemas(_WEBSOCKET) if name.endswith("CommandPayload"))
    _check(_validator(_WEBSOCKET, names), command, "command")


def check_reply(path: str, status: int, body: bytes) -> None:
    """Raises Violation for the reply to a GET of a path that the venue would not give."""
    reply = orjson.loads(body)
    if status != 200:
        _, schema = ERROR_BODIES.get(status, ERROR_BODIES[0])
        _check(Draft202012Validator(schema), reply, f"{status} of {path}")
        return
    name = _reply_schema(path)
    if name is None:
        raise Violation(f"{path} is no path of the venue")
    _check(_validator(_REST, (name,)), reply, path)


def _check(validator: Any, value: object, what: str) -> None:
    error = best_match(validator.iter_errors(value))
    if error is not None:
        place = "/".join(str(part) for part in error.absolute_path)
        raise Violation(f"{what}: {place}: {error.message}")
    for name, text in _texts(value):
        for names, looks in _TEXTS:
            if names.fullmatch(name) and not looks.fullmatch(text):
                raise Violation(f"{what}: {name} is written {text!r}")


def _texts(value: object, name: str = "") -> list[tuple[str, str]]:
    """All text in a value, with the name of the field that it is in or below.

    A level of a book is a pair of a price and a count.
    """
    match value:
        case str():
            return [(name, value)]
        case dict():
            return [found for key in value for found in _texts(value[key], key)]
        case [str(price), str(count)] if "_dollars" in name:
            return [("level_dollars", price), ("level_fp", count)]
        case list():
            return [found for one in value for found in _texts(one, name)]
        case _:
            return []


@cache
def _document(file: str) -> dict[str, Any]:
    # The same loader as yaml.safe_load's, in C: these files take seconds otherwise.
    document = yaml.load((SPECIFICATION / file).read_bytes(), Loader=yaml.CSafeLoader)
    assert isinstance(document, dict)
    return document


@cache
def _schemas(file: str) -> dict[str, Any]:
    schemas = _strict(_document(file)["components"]["schemas"])
    assert isinstance(schemas, dict)
    return schemas


@cache
def _validator(file: str, names: tuple[str, ...]) -> Any:
    """A validator for what is one of these schemas."""
    whole = {"components": {"schemas": _schemas(file)}}
    registry = Registry().with_resource(file, DRAFT202012.create_resource(whole))
    choices = [{"$ref": f"{file}#/components/schemas/{name}"} for name in names]
    schema = choices[0] if len(choices) == 1 else {"anyOf": choices}
    return Draft202012Validator(schema, registry=registry, format_checker=_FORMATS)


@cache
def _frame_schemas() -> dict[str, tuple[str, ...]]:
    """Type of frame → names of the schemas for it: `ok` has several."""
    found: dict[str, tuple[str, ...]] = {}
    for name, schema in _schemas(_WEBSOCKET).items():
        kind = schema.get("properties", {}).get("type", {}).get("const")
        if kind is not None:
            found[kind] = (*found.get(kind, ()), name)
    return found


@cache
def _reply_schema(path: str) -> str | None:
    """The schema of the reply to a GET of a path; one without names in it goes first."""
    paths = _document(_REST)["paths"]
    for template in sorted(paths, key=lambda one: one.count("{")):
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if "get" in paths[template] and re.fullmatch(_BASE + pattern, path):
            content = paths[template]["get"]["responses"]["200"]["content"]
            reference: str = content["application/json"]["schema"]["$ref"]
            return reference.rpartition("/")[2]
    return None


def _strict(schema: Any) -> Any:
    """A schema in the words of JSON Schema 2020-12, which refuses undeclared fields.

    openapi.yaml is 3.0: `nullable` stands there for a null.
    """
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(value) for name, value in schema.items() if name != "nullable"}
    if strict.get("type") == "object" and "properties" in strict:
        strict.setdefault("additionalProperties", False)
    return {"anyOf": [strict, {"type": "null"}]} if schema.get("nullable") is True else strict


_FORMATS = FormatChecker(["uuid"])


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None

"""A Picture as a document for pages, and what changed from one to the next.

A document is nested objects: every sequence of the Picture is an object keyed by what names its
members (`"price.ticks/0"`), and what is not known (None) is left out. So a change is a JSON Merge
Patch (RFC 7396): null removes, an object goes deeper, anything else replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any

from streams.monitor import model
from streams.monitor.burrow import Status
from streams.monitor.model import Picture

__all__ = ["Document", "document", "merge_patch"]

#: JSON: text, numbers, booleans, lists of text, and objects of these; without null.
Document = dict[str, Any]

#: What names a member among its like.
_KEYS: Mapping[type, Callable[[Any], str]] = {
    model.Source: lambda one: one.name,
    model.Group: lambda one: one.name,
    model.Partition: lambda one: f"{one.topic}/{one.partition}",
    model.Topic: lambda one: one.name,
    model.Feed: lambda one: f"{one.service} {one.instance}",
    model.Freshness: lambda one: f"{one.topic} {one.source}",
    model.DeadLetters: lambda one: f"{one.projection} {one.error}",
    model.Account: lambda one: one.account,
    model.Table: lambda one: f"{one.projection}.{one.name}",
    model.Building: lambda one: f"{one.projection}_{one.generation}",
    model.Disk: lambda one: one.path,
    model.Incident: lambda one: one.id,
}


def document(picture: Picture) -> Document:
    """The document of a Picture.

    Numbers have three digits after the point at most; levels are numbers, states their values,
    Burrow's statuses their names.
    """
    return _members(picture)


def merge_patch(old: Document, new: Document) -> Document:
    """What makes `new` of `old`, as a JSON Merge Patch; empty where nothing changed."""
    patch: Document = dict.fromkeys(old.keys() - new.keys())
    for name, value in new.items():
        before = old.get(name)
        if before == value:
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            value = merge_patch(before, value)  # noqa: PLW2901
        patch[name] = value
    return patch


def _members(value: Any) -> Document:
    names, get = _fields(value.__class__)
    # Most members are plain, and there are hundreds each second: these go the short way.
    return {
        name: member if member.__class__ in _PLAIN else _shown(member)
        for name, member in zip(names, get(value), strict=True)
        if member is not None
    }


_PLAIN = {str, int, bool}


@cache
def _fields(kind: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    names = tuple(field.name for field in fields(kind))
    return names, attrgetter(*names)


def _shown(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return _scalar(value)
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return _members(value)
    members = list(value)
    if members and type(members[0]) in _KEYS:
        key = _KEYS[type(members[0])]
        return {key(member): _members(member) for member in members}
    # Nothing tells an empty sequence of texts from one of objects; pages take either.
    return members or {}


def _scalar(value: str | float) -> str | float:
    if isinstance(value, Status):
        return value.name
    if isinstance(value, Enum):
        return str(value) if isinstance(value, str) else int(value)
    return round(value, 3) if isinstance(value, float) else value

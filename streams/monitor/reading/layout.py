"""Pieces of which the layouts of requests are made that aiokafka lacks."""

from __future__ import annotations

import uuid
from io import BytesIO

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.types import CompactString, TaggedFields

__all__ = ["TAGS", "TEXT", "Uuid"]

TEXT = CompactString("utf-8")
#: The last field of every structure of a flexible version.
TAGS = ("tags", TaggedFields)


class Uuid(AbstractType[str]):
    """Sixteen bytes; aiokafka has no such type."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        """Of the usual text."""
        return uuid.UUID(value).bytes

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        """The usual text."""
        return str(uuid.UUID(bytes=data.read(16)))

"""What every event has: a type, a version, a topic, a key, an identity."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """One fact. Subclasses are pure data; unknown fields are ignored, wrong types refused."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=False)

    #: `<family>.<name>`, without the version.
    name: ClassVar[str]
    version: ClassVar[int]
    topic: ClassVar[str]

    @classmethod
    def ce_type(cls) -> str:
        """The CloudEvents type: `<family>.<name>.v<N>`."""
        return f"{cls.name}.v{cls.version}"

    @abstractmethod
    def key(self) -> str:
        """The Kafka key: events of one key keep their order."""

    @abstractmethod
    def event_id(self) -> str:
        """The CloudEvents id, the same for the same fact whoever produces it."""

    @abstractmethod
    def source(self) -> str:
        """The CloudEvents source, a URI reference: `/venues/coinbase`."""

    def to_json(self) -> bytes:
        """The Kafka value: plain JSON, fields in declared order, every field present."""
        return self.model_dump_json().encode()

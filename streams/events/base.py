"""What every event has: a type, a version, a topic, a key, an identity."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import Annotated, ClassVar

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from streams.events.types import Connection, Micros, Sequence, Venue


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

    def content_id(self, subject: str, time: int) -> str:
        """An id for facts without a natural key: subject, source time, content hash.

        What differs from one delivery to the next, the receive time and the frame, is no content.
        """
        content = self.model_dump_json(exclude={"received", "raw"}).encode()
        digest = hashlib.sha256(content).hexdigest()[:16]
        return f"{subject}:{time}:{digest}"


class Unparsed(Event):
    """A frame that a connector could not read, as it came; projections dead-letter it."""

    venue: Venue
    connection: Connection
    #: The number of the frame within its connection: two identical frames are two facts.
    arrival: Sequence
    frame: Base64Bytes
    error: Annotated[str, Field(strict=True, max_length=2000)]
    received: Micros
    #: The feed as recordings name it, `kalshi-account@kalshi/prod/main`, to read the frame again.
    #: None for a REST reply, and in events that were written before there was this field.
    feed: Annotated[str, Field(strict=True, max_length=200)] | None = None

    def key(self) -> str:
        return f"{self.venue}:unparsed"

    def event_id(self) -> str:
        return f"{self.venue}:{self.connection}:{self.arrival}"

    def source(self) -> str:
        return f"/venues/{self.venue}"

"""What an archive holds of one topic: its segments, in order and without a hole. Pure.

The manifest is the truth: a file that it does not name is none of the archive's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

__all__ = ["Gap", "Manifest", "Segment", "TopicId", "manifest_name"]

Offset = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Gap(_Part):
    """Records that were lost before they were archived: offsets from `first` below `until`."""

    partition: Offset
    first: Offset
    until: Offset

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.first >= self.until:
            raise ValueError(f"nothing lies from offset {self.first} below {self.until}")
        return self


class Segment(Gap):
    """A file of consecutive records: offsets from `first` below `until`.

    `first_time` and `last_time` are the append times of its first and last record, milliseconds
    since 1970 UTC; `bytes` and `sha256` are of the file. `last_record` tells the last record from
    others (`columns.digest`).
    """

    file: str
    first_time: int
    last_time: int
    bytes: Offset
    sha256: Digest
    last_record: Digest

    @property
    def records(self) -> int:
        return self.until - self.first


class TopicId(_Part):
    """An id that the topic had, and the offset of each partition from which it holds.

    Of a partition that is not named it holds from the start.
    """

    topic_id: Annotated[str, Field(pattern=_UUID)]
    since: Mapping[int, Offset] = {}


class Manifest(_Part):
    """A topic in the archive. Every change gives a new one.

    Of each partition, segments and gaps follow each other from offset 0 on.
    """

    version: Literal[1] = 1
    topic: str
    #: The oldest first; the last one is the topic's that the archive goes on with.
    topic_ids: Annotated[tuple[TopicId, ...], Field(min_length=1, strict=False)]
    segments: Annotated[tuple[Segment, ...], Field(strict=False)] = ()
    gaps: Annotated[tuple[Gap, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _contiguous(self) -> Self:
        reached: dict[int, int] = {}
        for part in sorted(chain(self.segments, self.gaps), key=lambda one: one.first):
            end = reached.get(part.partition, 0)
            if part.first != end:
                raise ValueError(
                    f"partition {part.partition} goes on at offset {part.first}, not at {end}"
                )
            reached[part.partition] = part.until
        return self

    @property
    def partitions(self) -> list[int]:
        """The partitions of which something is kept, or known to be lost."""
        return sorted({part.partition for part in chain(self.segments, self.gaps)})

    def of(self, partition: int) -> list[Segment]:
        """A partition's segments in order."""
        found = (one for one in self.segments if one.partition == partition)
        return sorted(found, key=lambda one: one.first)

    def gaps_of(self, partition: int) -> list[Gap]:
        """What was lost of a partition, in order."""
        found = (one for one in self.gaps if one.partition == partition)
        return sorted(found, key=lambda one: one.first)

    def end(self, partition: int) -> int:
        """The offset at which a partition's archive goes on."""
        parts = chain(self.segments, self.gaps)
        return max((one.until for one in parts if one.partition == partition), default=0)

    def last(self, partition: int) -> Segment | None:
        """The segment that ends where the partition's archive does."""
        end = self.end(partition)
        return next((one for one in reversed(self.of(partition)) if one.until == end), None)

    def ids_of(self, partition: int) -> Iterator[tuple[str, int]]:
        """The topic's ids, the oldest first, each with the offset from which it holds."""
        for one in self.topic_ids:
            yield one.topic_id, one.since.get(partition, 0)

    def with_segment(self, segment: Segment) -> Manifest:
        """And this segment. Raises ValueError if it does not follow what is there."""
        return self._changed(segments=(*self.segments, segment))

    def with_gap(self, gap: Gap) -> Manifest:
        """And this gap. Raises ValueError if it does not follow what is there."""
        return self._changed(gaps=(*self.gaps, gap))

    def with_id(self, topic_id: str) -> Manifest:
        """From here on the topic has this id."""
        since = {partition: self.end(partition) for partition in self.partitions}
        ids = (*self.topic_ids, TopicId(topic_id=topic_id, since=since))
        return self._changed(topic_ids=ids)

    def dump(self) -> bytes:
        """The text of the manifest's file."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @classmethod
    def load(cls, data: bytes) -> Manifest:
        """The reverse of `dump`. Raises ValueError, in one line, for what is no manifest."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            message = str(first["msg"]).removeprefix("Value error, ")
            raise ValueError(f"{place}: {message}" if place else message) from None

    def _changed(self, **fields: object) -> Manifest:
        return Manifest(**{**dict(self), **fields})


def manifest_name(topic: str) -> str:
    """Where in the archive a topic's manifest lies."""
    return f"{topic}/manifest.json"

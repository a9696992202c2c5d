"""What a backup holds, as its manifest says. A folder without one is no backup. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = ["MANIFEST", "Backup", "Checkpoint", "Dump", "Topic"]

#: The name of its file in the backup's folder.
MANIFEST = "backup.json"

Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Dump(_Part):
    """The database's dump: a file in PostgreSQL's custom format.

    `server` is the version of the server that it is of, `migration` the newest one that it has.
    """

    file: str
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    server: str
    migration: str


class Checkpoint(_Part):
    """Where a generation stood in a partition, in the dump."""

    projection: str
    generation: int
    topic: str
    topic_id: str
    partition: Count
    next_offset: Count


class Topic(_Part):
    """Up to which offset (the one behind the last) each partition of a topic is archived."""

    topic: str
    topic_id: str
    ends: Mapping[int, Count]


class Backup(_Part):
    """A dump, and an archive that holds all that the dump was made of.

    `taken` is ISO 8601 in UTC, `tickertape` the version that took it, `archive` a folder or URL.
    """

    version: Literal[1] = 1
    taken: str
    tickertape: str
    archive: str
    database: Dump
    topics: Annotated[tuple[Topic, ...], Field(strict=False)]
    checkpoints: Annotated[tuple[Checkpoint, ...], Field(strict=False)]

    def ahead(self) -> Iterator[tuple[Checkpoint, int]]:
        """Checkpoints beyond what is archived of their topic, each with the archive's end."""
        ends = {(one.topic, one.topic_id): one.ends for one in self.topics}
        for one in self.checkpoints:
            archived = ends.get((one.topic, one.topic_id))
            end = 0 if archived is None else archived.get(one.partition, 0)
            if archived is not None and one.next_offset > end:
                yield one, end

    def dump(self) -> bytes:
        """The text of the manifest's file."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @classmethod
    def load(cls, data: bytes) -> Backup:
        """The reverse of `dump`. Raises ValueError, in one line, for what is no manifest."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None

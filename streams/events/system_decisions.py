"""The events of `system.decisions`: what an operator decided about records and tables.

Each is kept in the database in the transaction that does what it says, and sent from there: none
is lost, and none tells of what did not come about. See projections.decisions.
"""

from __future__ import annotations

from typing import Annotated, ClassVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from streams.events.base import Event
from streams.events.types import Micros, Sequence, Text

TOPIC = "system.decisions"

#: The most offsets of one event: with so many it stays far below what a topic takes.
MOST_OFFSETS = 1_000
#: And the most Kafka keys.
MOST_KEYS = 200

#: A random UUID: a decision has no natural key.
DecisionId = Annotated[
    str, Field(strict=True, pattern=r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
]
#: Who decided: a user of the operating system, or what TAPE_OPERATOR says.
Operator = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
ProjectionName = Annotated[str, Field(strict=True, pattern=r"^[a-z][a-z0-9_]{0,47}$")]
TopicName = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9._-]{1,249}$")]
#: Numbered from 1; `prices_3` is the schema of the third.
Generation = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
#: Of a projection's tables and rules.
Version = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
PartitionNumber = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Offsets = Annotated[tuple[Sequence, ...], Field(min_length=1, max_length=MOST_OFFSETS)]


class Decision(Event):
    """What all decisions share: who, when and why, about one projection."""

    topic: ClassVar[str] = TOPIC

    decision_id: DecisionId
    operator: Operator
    time: Micros
    why: Text | None
    projection: ProjectionName

    def key(self) -> str:
        return self.projection

    def event_id(self) -> str:
        return self.decision_id

    def source(self) -> str:
        return f"/operators/{quote(self.operator, safe='')}"


class DeadLetters(Decision):
    """Dead letters of one partition; the topic's id, for it may be made anew under its name."""

    of_topic: TopicName
    of_topic_id: DecisionId
    partition: PartitionNumber
    offsets: Offsets


class DeadLettersRedriven(DeadLetters):
    """Dead letters were projected after all, into this generation.

    Null: they held frames that could not be read, and what these say was appended to the log.
    """

    name: ClassVar[str] = "decision.dead_letters_redriven"
    version: ClassVar[int] = 1

    generation: Generation | None


class DeadLettersDiscarded(DeadLetters):
    """Dead letters are not wanted: they wait no more. Their bytes are kept."""

    name: ClassVar[str] = "decision.dead_letters_discarded"
    version: ClassVar[int] = 1


class Reached(BaseModel):
    """How far a generation was projected: the next offset of one partition."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=False)

    topic: TopicName
    partition: PartitionNumber
    next_offset: Sequence


class Swap(Decision):
    """The stable names show another generation, which had reached these checkpoints."""

    from_generation: Generation
    from_version: Version
    to_generation: Generation
    to_version: Version
    reached: tuple[Reached, ...]


class ProjectionRebuilt(Swap):
    """A generation was built from the log beside the current one, and took its place."""

    name: ClassVar[str] = "decision.projection_rebuilt"
    version: ClassVar[int] = 1


class ProjectionRolledBack(Swap):
    """An earlier generation is the current one again."""

    name: ClassVar[str] = "decision.projection_rolled_back"
    version: ClassVar[int] = 1


class ProjectionRepaired(Decision):
    """The rows of these Kafka keys were deleted and written anew, in place.

    Of so many keys that one event would be too large there are several.
    """

    name: ClassVar[str] = "decision.projection_repaired"
    version: ClassVar[int] = 1

    generation: Generation
    keys: Annotated[tuple[Text, ...], Field(min_length=1, max_length=MOST_KEYS)]


class GapAccepted(Decision):
    """Records that the log no longer holds are given up: the checkpoint was moved past them."""

    name: ClassVar[str] = "decision.gap_accepted"
    version: ClassVar[int] = 1

    generation: Generation
    of_topic: TopicName
    partition: PartitionNumber
    from_offset: Sequence
    to_offset: Sequence


class LogRestored(Decision):
    """A lost topic was restored from its archive: what was projected of it stands for the new one.

    Offsets below those of `reached` mean the same records under both ids.
    """

    name: ClassVar[str] = "decision.log_restored"
    version: ClassVar[int] = 1

    of_topic: TopicName
    of_topic_id: DecisionId
    to_topic_id: DecisionId
    reached: tuple[Reached, ...]

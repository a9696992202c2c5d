"""Topics on the broker: made as the catalogue says, compared with it, identified.

Every function here blocks: from a coroutine, call it by `asyncio.to_thread`.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka.admin import TopicDescription

from streams.admin import Broker, partitions_of
from streams.errors import UserError
from streams.events.catalogue import TOPICS, TopicSpec, dead_letter_spec
from streams.settings import Endpoints

__all__ = ["Difference", "MissingTopic", "TopicState"]
__all__ += ["ensure_topics", "partition_bounds", "record_counts", "topic_ids", "topic_states"]


class MissingTopic(UserError):
    """The broker answered, and does not have a topic that is needed."""


class Difference(NamedTuple):
    """A topic setting on the broker beside the catalogue's."""

    found: str
    wanted: str


@dataclass(frozen=True)
class TopicState:
    """A topic on the broker.

    `topic_id` is a UUID in text form; `differences` holds the settings that were not the
    catalogue's when it was looked at; `created` tells that it was made just then.
    """

    name: str
    topic_id: str
    partitions: int
    retention_ms: int
    differences: Mapping[str, Difference]
    created: bool = False


def ensure_topics(endpoints: Endpoints) -> list[TopicState]:
    """Creates every topic of the catalogue and its dead-letter topic; mends their settings.

    The `differences` of the returned states are those found and altered. Returns when each
    partition of a new topic has a leader.

    Raises:
        UserError: the broker is out of reach or refuses; a topic has fewer partitions than the
            catalogue (more partitions would move keys, so it is never done silently), or is
            compacted. Nothing is changed then.
    """
    broker = Broker(endpoints)
    before = topic_states(endpoints)
    for state in before:
        _check(state)
    missing = set(_specs()) - {state.name for state in before}
    broker.create([_specs()[name] for name in missing])
    for state in before:
        if state.differences:
            broker.alter(
                state.name, {key: which.wanted for key, which in state.differences.items()}
            )
    created = [_state(broker, found, created=True) for found in broker.wait_for(missing)]
    return sorted([*before, *created], key=lambda state: state.name)


def topic_states(endpoints: Endpoints) -> list[TopicState]:
    """The catalogue's topics, dead-letter topics too, that the broker has.

    Raises UserError when the broker is out of reach.
    """
    broker = Broker(endpoints)
    return [_state(broker, found) for found in broker.describe(_specs()).values()]


def topic_ids(endpoints: Endpoints, names: Collection[str]) -> dict[str, str]:
    """The broker's id of each topic, as UUID text: a topic made anew has another one.

    Raises:
        MissingTopic: a topic is not on the broker.
        UserError: the broker is out of reach.
    """
    found = Broker(endpoints).describe(names)
    missing = sorted(set(names) - set(found))
    if missing:
        raise MissingTopic(
            f"no topic {', '.join(missing)} on {endpoints.brokers}; "
            "`tape topics create` makes the topics of the catalogue"
        )
    return {name: description_id(description) for name, description in found.items()}


def record_counts(endpoints: Endpoints, names: Collection[str]) -> dict[str, int]:
    """The offsets between the start and the end of each topic's log, over all its partitions.

    Raises UserError when the broker is out of reach.
    """
    counts = dict.fromkeys(names, 0)
    for (name, _), (start, end) in partition_bounds(endpoints, names).items():
        counts[name] += end - start
    return counts


def partition_bounds(
    endpoints: Endpoints, names: Collection[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """The first offset and the one behind the last, by topic and partition, of what exists.

    Raises UserError when the broker is out of reach.
    """
    broker = Broker(endpoints)
    return broker.all_bounds(partitions_of(broker.describe(names).values()))


def _specs() -> dict[str, TopicSpec]:
    return {spec.name: spec for topic in TOPICS for spec in (topic, dead_letter_spec(topic))}


def description_id(description: TopicDescription) -> str:
    found: Any = description.topic_id  # the stubs lack its methods
    high: int = found.get_most_significant_bits()
    low: int = found.get_least_significant_bits()
    mask = 2**64 - 1  # the two halves come as signed integers
    return str(uuid.UUID(int=(high & mask) << 64 | low & mask))


def _state(broker: Broker, topic: TopicDescription, *, created: bool = False) -> TopicState:
    settings = broker.settings(topic.name)
    return TopicState(
        name=topic.name,
        topic_id=description_id(topic),
        partitions=len(topic.partitions),
        retention_ms=int(settings["retention.ms"]),
        differences={
            key: Difference(settings.get(key, "unset"), wanted)
            for key, wanted in _specs()[topic.name].config().items()
            if settings.get(key) != wanted
        },
        created=created,
    )


def _check(state: TopicState) -> None:
    wanted = _specs()[state.name].partitions
    if state.partitions < wanted:
        raise UserError(
            f"topic {state.name} has {state.partitions} partitions, the catalogue wants {wanted}; "
            "adding partitions would move keys to other partitions and break their order, so it "
            "is not done here: make the topic anew, or add them by hand while it is empty"
        )
    policy = state.differences.get("cleanup.policy")
    if policy is not None and "compact" in policy.found:
        raise UserError(
            f"topic {state.name} is compacted (cleanup.policy={policy.found}): compaction removes "
            "events and leaves gaps in the offsets; make the topic anew with cleanup.policy=delete"
        )

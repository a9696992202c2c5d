"""Requests to the broker's admin interface, each failure a sentence.

By confluent_kafka's admin client, because aiokafka stops at Metadata v5, which has no topic ids.
Every method blocks: from a coroutine, call it by `asyncio.to_thread`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import (
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from streams.errors import UserError
from streams.events.catalogue import TopicSpec
from streams.settings import Endpoints, librdkafka_config, load_settings

__all__ = ["Broker", "partitions_of"]

T = TypeVar("T")

#: How long the broker may take for one request, in seconds.
_TIMEOUT_S = 10.0
_WANTED_REPLICAS = 3


class Broker:
    """The admin requests that are needed; a failed one is a UserError that names it."""

    def __init__(self, endpoints: Endpoints, timeout_s: float = _TIMEOUT_S) -> None:
        """`timeout_s` is what the broker may take for one request."""
        # Endpoints carry aiokafka's options, empty for the embedded broker; librdkafka's, TLS by
        # file names, are made from the same settings.
        config: dict[str, Any] = librdkafka_config(load_settings()) if endpoints.kafka else {}
        # log_level 0: librdkafka prints each refused connection; errors are raised anyway.
        config |= {"bootstrap.servers": endpoints.brokers, "log_level": 0}
        self._addresses = endpoints.brokers
        self._timeout_s = timeout_s
        self._admin = AdminClient(config)

    def describe(self, names: Collection[str]) -> dict[str, TopicDescription]:
        """Those of the topics that exist."""
        asked = TopicCollection(list(names))
        found = {}
        for name, future in self._admin.describe_topics(
            asked, request_timeout=self._timeout_s
        ).items():
            topic = self._done(
                future, f"describing topic {name}", unless=[KafkaError.UNKNOWN_TOPIC_OR_PART]
            )
            if topic is not None:
                found[name] = topic
        return found

    def wait_for(self, names: Collection[str]) -> list[TopicDescription]:
        """The topics, once every partition's leader answers: the controller made them before."""
        found: list[TopicDescription] = []

        def answered() -> bool:
            found[:] = self.describe(names).values()
            try:
                self.all_bounds(partitions_of(found))
            except UserError:
                return False
            return len(found) == len(names)

        if names:
            self._until(answered, f"making the topics {', '.join(names)}")
        return found

    def settings(self, topic: str) -> dict[str, str]:
        """All settings of one topic, those of the broker's defaults too."""
        return self.all_settings([topic])[topic]

    def all_settings(self, topics: Collection[str]) -> dict[str, dict[str, str]]:
        """The same of many, in one request; without those that were deleted meanwhile."""
        if not topics:
            return {}
        asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        answers = self._admin.describe_configs(asked, request_timeout=self._timeout_s)
        found = {}
        for resource, future in answers.items():
            doing = f"reading the settings of topic {resource.name}"
            entries = self._done(future, doing, unless=[KafkaError.UNKNOWN_TOPIC_OR_PART])
            if entries is not None:
                found[resource.name] = {entry.name: entry.value for entry in entries.values()}
        return found

    def bounds(self, partition: TopicPartition) -> tuple[int, int]:
        """Start and end offset of one partition."""
        return self.all_bounds([partition])[partition.topic, partition.partition]

    def all_bounds(
        self, partitions: Collection[TopicPartition]
    ) -> dict[tuple[str, int], tuple[int, int]]:
        """Start and end offset of each partition, by topic and number, in two requests."""
        starts, ends = (
            self._offsets(partitions, which) for which in (OffsetSpec.earliest, OffsetSpec.latest)
        )
        return {place: (starts[place], ends[place]) for place in starts if place in ends}

    def topics(self) -> list[str]:
        """The names of all topics, without the broker's own."""
        try:
            found = self._admin.list_topics(timeout=self._timeout_s).topics
        except KafkaException as error:
            raise self._failure("listing the topics", error) from error
        return sorted(name for name in found if not name.startswith("__"))

    def create(
        self, specs: Collection[TopicSpec], settings: Mapping[str, str] | None = None
    ) -> None:
        """Makes the topics, on up to three replicas; `settings` go before the catalogue's."""
        if not specs:
            return
        try:
            brokers = len(self._admin.list_topics(timeout=self._timeout_s).brokers)
        except KafkaException as error:
            raise self._failure("listing the brokers", error) from error
        replicas = min(_WANTED_REPLICAS, brokers)
        topics = [
            NewTopic(
                s.name,
                s.partitions,
                replication_factor=replicas,
                config=s.config() | dict(settings or {}),
            )
            for s in specs
        ]
        for name, future in self._admin.create_topics(
            topics, operation_timeout=self._timeout_s
        ).items():
            # Another process may make it at the same moment, from the same catalogue.
            self._done(future, f"creating topic {name}", unless=[KafkaError.TOPIC_ALREADY_EXISTS])

    def alter(self, topic: str, settings: Mapping[str, str]) -> None:
        """Changes these settings of a topic and no others."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in settings.items()
        ]
        asked = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)]
        (future,) = self._admin.incremental_alter_configs(asked).values()
        doing = f"changing the settings of topic {topic}"
        self._done(future, doing)
        # The controller answers before the broker goes by the new settings.
        self._until(lambda: settings.items() <= self.settings(topic).items(), doing)

    def remove_before(self, partition: TopicPartition) -> None:
        """Removes what lies before the partition's offset: the log begins there."""
        (future,) = self._admin.delete_records(
            [partition], request_timeout=self._timeout_s
        ).values()
        self._done(future, f"removing the first records of topic {partition.topic}")

    def _offsets(
        self,
        partitions: Collection[TopicPartition],
        which: Callable[[], OffsetSpec],
    ) -> dict[tuple[str, int], int]:
        if not partitions:
            return {}
        asked = {partition: which() for partition in partitions}
        found = {}
        for one, future in self._admin.list_offsets(asked, request_timeout=self._timeout_s).items():
            doing = f"reading the offsets of topic {one.topic}"
            offset: Any = self._done(future, doing)
            found[one.topic, one.partition] = int(offset.offset)
        return found

    def _done(self, future: Future[T], doing: str, unless: Collection[int] = ()) -> T | None:
        try:
            return future.result()
        except KafkaException as error:
            if error.args[0].code() in unless:
                return None
            raise self._failure(doing, error) from error

    def _until(self, happened: Callable[[], bool], doing: str) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not happened():
            if time.monotonic() > deadline:
                raise UserError(f"{doing} takes over {self._timeout_s:.0f} s on {self._addresses}")
            time.sleep(0.05)

    def _failure(self, doing: str, error: KafkaException) -> UserError:
        return UserError(
            f"{doing} failed on the broker {self._addresses}: {error.args[0].str()}; "
            "`tape doctor` tries the connection"
        )


def partitions_of(topics: Iterable[TopicDescription]) -> list[TopicPartition]:
    """Every partition of these topics."""
    return [
        TopicPartition(topic.name, partition.id)
        for topic in topics
        for partition in topic.partitions
    ]

"""A plain connection to the brokers, for requests that no consumer and no admin client makes.

It hooks into aiokafka's client below its public surface, which is pinned for that.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import TopicPartition

from projections.base import Partition
from streams.clients import until_closed
from streams.errors import UserError
from streams.settings import Endpoints

__all__ = ["Wire", "unanswered"]

_REQUEST_TIMEOUT_MS = 5_000


class Wire:
    """One client; it follows the brokers by itself when they come and go."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self._topics: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoints: Endpoints) -> AsyncIterator[Wire]:
        """Connect. Raises UserError where no broker answers."""
        client = AIOKafkaClient(
            bootstrap_servers=endpoints.brokers,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **endpoints.kafka,
        )
        try:
            await client.bootstrap()
        except (KafkaError, OSError) as error:
            await client.close()
            raise unanswered(endpoints, error) from error
        try:
            yield cls(client)
        finally:
            await until_closed(client.close())

    async def leaders(self, partitions: Collection[Partition]) -> Mapping[int, list[Partition]]:
        """The partitions by the node that leads them; without those that nobody leads."""
        topics = {one.topic for one in partitions}
        if not topics <= self._topics:
            self._topics |= topics
            await self._client.set_topics(list(self._topics))
        found: dict[int, list[Partition]] = {}
        for one in partitions:
            node = self._client.cluster.leader_for_partition(TopicPartition(*one))
            if node is not None and node >= 0:
                found.setdefault(node, []).append(one)
        return found

    def nodes(self) -> list[int]:
        """The ids of all brokers."""
        return [broker.nodeId for broker in self._client.cluster.brokers()]

    async def send_to_any(self, request: Any) -> Any:
        """The reply of the first broker that answers. Raises as `send`, where none does."""
        nodes = self.nodes()
        random.shuffle(nodes)
        failure: Exception = KafkaConnectionError("no broker is known")
        for node in nodes:
            try:
                return await self.send(node, request)
            except (KafkaError, OSError) as error:
                failure = error
        raise failure

    def refresh(self) -> None:
        """Ask anew who leads what, in the background."""
        self._client.force_metadata_update()

    async def send(self, node: int, request: Any) -> Any:
        """The reply to a request.

        Raises aiokafka's KafkaError and OSError, and UserError where the broker is too old.
        """
        try:
            return await self._client.send(node, request)
        except NotImplementedError:
            raise UserError(
                f"broker {node} is too old to be watched: it has to be of Kafka 3.1 or newer"
            ) from None


def unanswered(endpoints: Endpoints, error: Exception) -> UserError:
    """What to say of a broker that is out of reach."""
    return UserError(
        f"the broker {endpoints.brokers} does not answer: {error};"
        " `tape doctor` tries the connection"
    )

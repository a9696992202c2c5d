"""A member of a consumer group of one partition, by Kafka's classic group protocol.

aiokafka's own consumer takes part in the same protocol, but not so that one could tell how long
the partition is ours for certain: it sends no heartbeats while a rebalance lasts, counts from the
answers, and gives the partition up before it asks for it again. Here a second connection carries
heartbeats meanwhile, and the member that has the partition claims it in its request to join, and
keeps it. To the broker, and to any tool, this is a consumer group like others.

It uses aiokafka 0.14.0 below its public surface: its client and its requests.
tests/streams/test_lease.py proves what it relies on.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.coordinator.protocol import (
    ConsumerProtocol,
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    IllegalGenerationError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
    KafkaError,
    MemberIdRequired,
    NoError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.group import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)

from streams.clients import until_closed
from streams.errors import UserError
from streams.fence import REBALANCE, SESSION, Fence, clock
from streams.settings import Endpoints

__all__ = ["PROTOCOL", "Member", "award", "claim_of", "metadata"]

log = structlog.get_logger(__name__)

#: The name of the rule by which the partition is assigned; all members must have the same.
PROTOCOL = "tickertape-lease"
NO_CLAIM = -1

_INTERVAL = 0.5
_RETRY = 0.2
#: A broker that takes longer than this for an answer is asked anew, on another connection.
_ANSWER = 2.0
_GOODBYE = 1.0
_CLAIM = struct.Struct(">i")

_AWAY = (KafkaError, OSError, TimeoutError)
#: What no waiting mends.
_REFUSALS = (
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    InvalidGroupIdError,
    InvalidSessionTimeoutError,
)


def metadata(topic: str, claim: int) -> bytes:
    """What a member says of itself when it joins: the generation in which it got the partition.

    NO_CLAIM where it does not hold it.
    """
    said = ConsumerProtocolMemberMetadata(0, [topic], _CLAIM.pack(claim))
    return bytes(said.encode())


def claim_of(said: bytes) -> int:
    """The claim in a member's metadata; NO_CLAIM where there is none."""
    data: bytes | None = ConsumerProtocolMemberMetadata.decode(said).user_data
    if data is None or len(data) != _CLAIM.size:
        return NO_CLAIM
    claim: int = _CLAIM.unpack(data)[0]
    return claim


def award(claims: Mapping[str, int]) -> str:
    """Which member gets the partition: whoever claims it, by the newest generation; else any."""
    return min(claims, key=lambda member: (-claims[member], member))


class _Coordinator:
    """The broker that keeps the group, by two connections."""

    def __init__(self, client: AIOKafkaClient, node: int) -> None:
        self._client = client
        self._node = node

    async def ask(self, request: Any) -> Any:
        """The answer to a request that is answered at once. Raises _AWAY."""
        async with asyncio.timeout(_ANSWER):
            return await self._client.send(self._node, request)

    async def wait_for(self, request: Any) -> Any:
        """The answer to one that may take a rebalance; the broker answers no other before it."""
        group = ConnectionGroup.COORDINATION
        return await self._client.send(self._node, request, group=group)


@asynccontextmanager
async def _coordinator(endpoints: Endpoints, group: str) -> AsyncIterator[_Coordinator]:
    """Finds it. Raises _AWAY."""
    client = AIOKafkaClient(
        bootstrap_servers=endpoints.brokers,
        client_id="tickertape",
        request_timeout_ms=int((REBALANCE + _ANSWER) * 1000),
        **endpoints.kafka,
    )
    try:
        async with asyncio.timeout(_ANSWER):
            await client.bootstrap()
            node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        yield _Coordinator(client, node)
    finally:
        with suppress(*_AWAY):
            async with asyncio.timeout(_GOODBYE):
                await until_closed(client.close())


class Member:
    """Takes part in `group` until cancelled, and tells its fence what the broker answers.

    `changed` is awaited after each time that the fence was told something.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        group: str,
        topic: str,
        fence: Fence,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        self._endpoints = endpoints
        self._group = group
        self._topic = topic
        self._fence = fence
        self._changed = changed
        self._id: str = JoinGroupRequest.UNKNOWN_MEMBER_ID
        #: The generation that was joined last, and the newest of which the assignment is known.
        self._joined = self._synced = NO_CLAIM
        self._must_join = True
        self._is_away = False

    async def run(self) -> None:
        """For ever, over any number of connections; cancelled, it leaves the group.

        Raises UserError: the broker refuses the member, and waiting would not mend it.
        """
        while True:
            try:
                async with _coordinator(self._endpoints, self._group) as coordinator:
                    await self._take_part(coordinator)
            except _REFUSALS as error:
                raise UserError(self._explain(error)) from None
            except _AWAY as error:
                if not self._is_away:
                    reason = f"{type(error).__name__}: {error}"
                    log.warning("a lease's group is out of reach", group=self._group, reason=reason)
                self._is_away = True
            await asyncio.sleep(_RETRY)

    async def _take_part(self, coordinator: _Coordinator) -> None:
        try:
            while True:
                if self._must_join:
                    await self._join(coordinator)
                else:
                    await self._heartbeat(coordinator)
                    if not self._must_join:
                        await asyncio.sleep(_INTERVAL)
        except asyncio.CancelledError:
            await self._leave(coordinator)
            raise

    async def _heartbeat(self, coordinator: _Coordinator) -> None:
        """The only request whose answer prolongs the holder's trust.

        The generation is that of the last answer to a join; while the next is waited for, the
        broker may be ahead of it, which says nothing.
        """
        sent = clock()
        reply = await coordinator.ask(HeartbeatRequest(self._group, self._joined, self._id))
        error = for_code(reply.error_code)
        if error is NoError:
            stable = self._joined == self._synced
            self._fence.heartbeat(sent, clock(), stable=stable)
            self._is_away = False
        elif error is RebalanceInProgressError:
            self._fence.heartbeat(sent, clock(), stable=False)
            self._must_join = True
        elif error is IllegalGenerationError:
            self._must_join = True
        elif error is UnknownMemberIdError:
            self._forget()
        else:
            raise error
        await self._changed()

    async def _join(self, coordinator: _Coordinator) -> None:
        """One try to join the generation that comes next, and to learn who gets the partition."""
        claim = self._synced if self._fence.holds(clock()) else NO_CLAIM
        reply = await self._while_beating(
            coordinator,
            JoinGroupRequest(
                self._group,
                int(SESSION * 1000),
                int(REBALANCE * 1000),
                self._id,
                None,
                ConsumerProtocol.PROTOCOL_TYPE,
                [(PROTOCOL, metadata(self._topic, claim))],
            ),
        )
        error = for_code(reply.error_code)
        if error is NoError:
            self._id, self._joined = reply.member_id, reply.generation_id
            self._fence.joined(clock())
            await self._sync(coordinator, reply)
        elif error is MemberIdRequired:  # the broker names a new member, which then asks again
            self._id = reply.member_id
        elif error is UnknownMemberIdError:
            self._forget()
            await self._changed()
        elif error is not RebalanceInProgressError:
            raise error

    async def _sync(self, coordinator: _Coordinator, joined: Any) -> None:
        """Send the assignment, where this member leads the group, and receive its own part."""
        generation = self._joined
        assignments = []
        if joined.leader_id == joined.member_id:
            claims = {member: claim_of(said) for member, *_, said in joined.members}
            winner = award(claims)
            assignments = [(member, self._assignment(member == winner)) for member in claims]
        reply = await self._while_beating(
            coordinator,
            SyncGroupRequest(self._group, generation, self._id, None, assignments),
        )
        error = for_code(reply.error_code)
        if self._joined != generation:
            return  # a heartbeat was told meanwhile that the member is none any more
        if error is NoError:
            given = ConsumerProtocolMemberAssignment.decode(reply.member_assignment)
            self._synced = generation
            self._must_join = False
            self._fence.assign(clock(), assigned=bool(given.partitions()))
            await self._changed()
        elif error is UnknownMemberIdError:
            self._forget()
            await self._changed()
        elif error not in {IllegalGenerationError, RebalanceInProgressError}:
            raise error

    async def _while_beating(self, coordinator: _Coordinator, request: Any) -> Any:
        """The answer to a request that may take a rebalance, with heartbeats until it comes."""
        answer = asyncio.create_task(coordinator.wait_for(request))
        try:
            while not (await asyncio.wait({answer}, timeout=_INTERVAL))[0]:
                if self._joined != NO_CLAIM:
                    await self._heartbeat(coordinator)
            return answer.result()
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)

    async def _leave(self, coordinator: _Coordinator) -> None:
        """Tell the broker, so that another gets the partition without waiting for the session."""
        if self._id:
            with suppress(*_AWAY):
                async with asyncio.timeout(_GOODBYE):
                    await coordinator.ask(LeaveGroupRequest(self._group, self._id))

    def _forget(self) -> None:
        """The broker does not know this member any more."""
        self._fence.drop()
        self._id = JoinGroupRequest.UNKNOWN_MEMBER_ID
        self._joined = self._synced = NO_CLAIM
        self._must_join = True

    def _assignment(self, has_partition: bool) -> bytes:
        given = [(self._topic, [0])] if has_partition else []
        return bytes(ConsumerProtocolMemberAssignment(0, given, b"").encode())

    def _explain(self, refusal: KafkaError) -> str:
        return (
            f"the broker {self._endpoints.brokers} refuses a member of the consumer group "
            f"{self._group}: {type(refusal).message}; its user needs the right READ on the group, "
            f"the broker's group.min.session.timeout.ms may be {SESSION * 1000:.0f} at most, and "
            "no other program may take part in this group"
        )

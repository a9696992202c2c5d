"""Consumer groups of either protocol: their states, who owns what, what they have committed."""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code

from projections.base import Partition
from streams.errors import UserError
from streams.monitor.reading.group_requests import (
    DescribeClassicRequest,
    DescribeRequest,
    ListRequest,
    OffsetsRequest,
)
from streams.monitor.reading.wire import Wire

__all__ = ["GroupDescription", "read_committed", "read_groups"]

_NO_ERROR, _NO_SUCH_GROUP = 0, 69
#: The type of the groups of KIP-848's protocol.
_NEWER = "consumer"


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A consumer group: its state (`stable`, `empty`), and who owns which partition.

    An owner is `client@host`. A member may own nothing. `node` is the broker that coordinates it.
    """

    state: str
    members: int
    owners: Mapping[Partition, str]
    node: int


async def read_groups(wire: Wire) -> dict[str, GroupDescription]:
    """Every consumer group, by three requests to each broker at most.

    Raises UserError where a broker refuses, aiokafka's KafkaError and OSError where one does not
    answer.
    """
    found: dict[str, GroupDescription] = {}
    for node in wire.nodes():
        reply: Any = await wire.send(node, ListRequest())
        _check(reply.error_code, f"broker {node} lists no consumer groups")
        newer = [name for name, _, _, *kind, _ in reply.groups if kind == [_NEWER]]
        classic = [name for name, *_ in reply.groups if name not in newer]
        found |= await _read_classic(wire, node, classic) if classic else {}
        found |= await _read_newer(wire, node, newer) if newer else {}
    return found


async def read_committed(
    wire: Wire, groups: Mapping[str, GroupDescription], names: Collection[str]
) -> dict[str, dict[Partition, int]]:
    """The offsets that each of these groups has committed, if any. Raises as `read_groups`."""
    by_node: dict[int, list[str]] = {}
    for name in names:
        by_node.setdefault(groups[name].node, []).append(name)
    found = {}
    for node, some in by_node.items():
        reply: Any = await wire.send(node, OffsetsRequest(some))
        for name, topics, error, _ in reply.groups:
            if error == _NO_SUCH_GROUP:
                continue
            _check(error, f"broker {node} tells no offsets of group {name}")
            offsets = {
                Partition(topic, number): offset
                for topic, partitions, _ in topics
                for number, offset, *_ in partitions
                if offset >= 0
            }
            if offsets:
                found[name] = offsets
    return found


async def _read_classic(wire: Wire, node: int, names: list[str]) -> dict[str, GroupDescription]:
    reply: Any = await wire.send(node, DescribeClassicRequest(names))
    found = {}
    for error, name, state, kind, _, members, *_ in reply.groups:
        if error == _NO_SUCH_GROUP or state == "Dead":  # deleted meanwhile
            continue
        _check(error, f"broker {node} does not describe group {name}")
        owners = {
            place: _owner(client, host)
            for _, client, host, _, assignment in members
            for place in (_places(assignment) if kind == "consumer" else [])
        }
        found[name] = GroupDescription(_plain(state), len(members), owners, node)
    return found


async def _read_newer(wire: Wire, node: int, names: list[str]) -> dict[str, GroupDescription]:
    reply: Any = await wire.send(node, DescribeRequest(names))
    found = {}
    for error, message, name, state, _, _, _, members, *_ in reply.groups:
        if error == _NO_SUCH_GROUP:
            continue
        _check(error, f"broker {node} does not describe group {name}", message)
        owners = {
            Partition(topic, number): _owner(client, host)
            for _, _, _, _, client, host, _, _, (assigned, _), *_ in members
            for _, topic, numbers, _ in assigned
            for number in numbers
        }
        found[name] = GroupDescription(_plain(state), len(members), owners, node)
    return found


def _places(assignment: bytes) -> list[Partition]:
    """Of a member; none while its group is being balanced, or where it is of a kind of its own."""
    try:
        decoded = ConsumerProtocolMemberAssignment.decode(assignment)
    except (ValueError, struct.error):
        return []
    return [Partition(topic, number) for topic, numbers in decoded.assignment for number in numbers]


def _owner(client: str, host: str) -> str:
    return f"{client}@{host.lstrip('/')}"


def _plain(state: str) -> str:
    """`PreparingRebalance` as `preparing_rebalance`."""
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in state).lstrip("_")


def _check(error: int, what: str, message: str | None = None) -> None:
    if error != _NO_ERROR:
        raise UserError(f"{what}: {message or for_code(error).__name__}")

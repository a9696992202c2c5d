"""Requests about consumer groups that aiokafka lacks.

Their layouts are those of Kafka's protocol guide.
"""

from __future__ import annotations

from aiokafka.protocol.admin import DescribeGroupsRequest_v2
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    Int16,
    Int32,
    Int64,
    Schema,
)

from streams.monitor.reading.layout import TAGS, TEXT, Uuid

__all__ = ["DescribeClassicRequest", "DescribeRequest", "ListRequest", "OffsetsRequest"]

_KINDS = ["classic", "consumer"]
#: What every version lists of a group.
_LISTED = (("group_id", TEXT), ("protocol_type", TEXT), ("group_state", TEXT))


class _ListResponseV4(Response):
    API_KEY = 16
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "groups",
            CompactArray(*_LISTED, TAGS),
        ),
        TAGS,
    )


class _ListRequestV4(RequestStruct):
    API_KEY = 16
    API_VERSION = 4
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _ListResponseV4
    SCHEMA = Schema(("states_filter", CompactArray(TEXT)), TAGS)


class _ListResponseV5(Response):
    API_KEY = 16
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "groups",
            CompactArray(*_LISTED, ("group_type", TEXT), TAGS),
        ),
        TAGS,
    )


class _ListRequestV5(RequestStruct):
    API_KEY = 16
    API_VERSION = 5
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _ListResponseV5
    SCHEMA = Schema(
        ("states_filter", CompactArray(TEXT)), ("types_filter", CompactArray(TEXT)), TAGS
    )


class ListRequest(Request[_ListRequestV4 | _ListRequestV5]):
    """The groups that a broker coordinates.

    Brokers before Kafka 3.8 know version 4, which tells no types: all are classic.
    """

    API_KEY = 16

    def build(
        self, request_struct_class: type[_ListRequestV4 | _ListRequestV5]
    ) -> _ListRequestV4 | _ListRequestV5:
        """Of all states."""
        if request_struct_class.API_VERSION < 5:
            return request_struct_class([], {})
        return request_struct_class([], _KINDS, {})


_ASSIGNMENT = Schema(
    (
        "topic_partitions",
        CompactArray(
            ("topic_id", Uuid), ("topic_name", TEXT), ("partitions", CompactArray(Int32)), TAGS
        ),
    ),
    TAGS,
)


class _DescribeResponse(Response):
    API_KEY = 69
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            CompactArray(
                ("error_code", Int16),
                ("error_message", TEXT),
                ("group_id", TEXT),
                ("group_state", TEXT),
                ("group_epoch", Int32),
                ("assignment_epoch", Int32),
                ("assignor_name", TEXT),
                (
                    "members",
                    CompactArray(
                        ("member_id", TEXT),
                        ("instance_id", TEXT),
                        ("rack_id", TEXT),
                        ("member_epoch", Int32),
                        ("client_id", TEXT),
                        ("client_host", TEXT),
                        ("subscribed_topic_names", CompactArray(TEXT)),
                        ("subscribed_topic_regex", TEXT),
                        ("assignment", _ASSIGNMENT),
                        ("target_assignment", _ASSIGNMENT),
                        TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                TAGS,
            ),
        ),
        TAGS,
    )


class _DescribeRequestV0(RequestStruct):
    API_KEY = 69
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _DescribeResponse
    SCHEMA = Schema(
        ("group_ids", CompactArray(TEXT)), ("include_authorized_operations", Boolean), TAGS
    )


class DescribeClassicRequest(Request[DescribeGroupsRequest_v2]):
    """Groups of the classic protocol; aiokafka reads version 3 by the layout of version 2."""

    API_KEY = 15

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups

    def build(
        self, request_struct_class: type[DescribeGroupsRequest_v2]
    ) -> DescribeGroupsRequest_v2:
        """Without the operations that are allowed."""
        return request_struct_class(self._groups)


class DescribeRequest(Request[_DescribeRequestV0]):
    """Groups of the newer protocol (KIP-848)."""

    API_KEY = 69

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups

    def build(self, request_struct_class: type[_DescribeRequestV0]) -> _DescribeRequestV0:
        """Without the operations that are allowed."""
        return request_struct_class(self._groups, False, {})


class _OffsetsResponse(Response):
    API_KEY = 9
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            CompactArray(
                ("group_id", TEXT),
                (
                    "topics",
                    CompactArray(
                        ("name", TEXT),
                        (
                            "partitions",
                            CompactArray(
                                ("partition_index", Int32),
                                ("committed_offset", Int64),
                                ("committed_leader_epoch", Int32),
                                ("metadata", TEXT),
                                ("error_code", Int16),
                                TAGS,
                            ),
                        ),
                        TAGS,
                    ),
                ),
                ("error_code", Int16),
                TAGS,
            ),
        ),
        TAGS,
    )


class _OffsetsRequestV8(RequestStruct):
    API_KEY = 9
    API_VERSION = 8
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _OffsetsResponse
    SCHEMA = Schema(
        (
            "groups",
            CompactArray(
                ("group_id", TEXT),
                (
                    "topics",
                    CompactArray(("name", TEXT), ("partition_indexes", CompactArray(Int32)), TAGS),
                ),
                TAGS,
            ),
        ),
        ("require_stable", Boolean),
        TAGS,
    )


class OffsetsRequest(Request[_OffsetsRequestV8]):
    """What groups have committed, of either protocol."""

    API_KEY = 9

    def __init__(self, groups: list[str]) -> None:
        self._groups = groups

    def build(self, request_struct_class: type[_OffsetsRequestV8]) -> _OffsetsRequestV8:
        """Of all partitions."""
        every_topic = None
        tags: dict[int, bytes] = {}
        asked = [(name, every_topic, tags) for name in self._groups]
        return request_struct_class(asked, False, tags)

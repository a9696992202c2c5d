"""Records of `__consumer_offsets`: as Kafka 4.3.1 wrote them, as older ones did, and rubbish."""

from __future__ import annotations

from contextlib import suppress

import pytest
from aiokafka.protocol.types import (
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    UnsignedVarInt32,
)
from hypothesis import given
from hypothesis import strategies as st

from streams.monitor.reading.commits import Committed, Undecodable, decode

#: Milliseconds, as the record's own time.
APPENDED = 1_796_061_276_327

KEY = b"\x00\x01\x00\x02g1\x00\x05plain\x00\x00\x00\x00"
VALUE = (
    b"\x00\x04\x00\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff\xff\tmeta \xe2\x98\x83"
    b"\x00\x00\x01\xa2-\x98$\xaa\x01\x00\x10\xcd]\xd3\xcd\xde\xe1J\x93\x81/g\xbe\x815\x00\x13"
)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (KEY, VALUE, Committed("g1", "plain", 0, 3, 1_796_061_275_306_000)),
        # without the topic's id, as inside a transaction
        (
            b"\x00\x01\x00\x03gtx\x00\x05plain\x00\x00\x00\x01",
            bytes.fromhex("0004 0000000000000002 ffffffff 01 000001a22d98281a 00"),
            Committed("gtx", "plain", 1, 2, 1_796_061_276_186_000),
        ),
        (
            b"\x00\x01\x00\x0bgr\xc3\xbcppe \xe2\x98\x83\x00\x05plain\x00\x00\x00\x00",
            VALUE,
            Committed("grüppe ☃", "plain", 0, 3, 1_796_061_275_306_000),
        ),
        # deleted: the time is that of the record
        (KEY, None, Committed("g1", "plain", 0, None, APPENDED * 1000)),
    ],
)
def test_commits_as_the_broker_wrote_them(
    key: bytes, value: bytes | None, expected: Committed
) -> None:
    assert decode(key, value, APPENDED) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"\x00\x02\x00\x02g1", None),
        (b"\x00\x03\x00\x04gnew", b"\x00\x00\x00\x00\x00\x02\x01\x00\x08\x93\x8b\xc0a{R\x1c\xc0"),
        (b"\x00\x07\x00\x04gnew\x00\x16w3eL1tY+Qf6LXd6EQjtYPg", None),
        (b"\x00\x7f what is to come", b"\x00\x63"),
    ],
)
def test_what_else_is_told_of_a_group_is_no_commit(key: bytes, value: bytes | None) -> None:
    assert decode(key, value, APPENDED) is None


COMMIT_KEY = Schema(
    ("version", Int16), ("group", String("utf-8")), ("topic", String("utf-8")), ("partition", Int32)
)
_HEAD = (("version", Int16), ("offset", Int64))
_EPOCH = ("leader_epoch", Int32)
_METADATA = ("metadata", String("utf-8"))
_TIME = ("commit_timestamp", Int64)
#: OffsetCommitValue.json, by version.
COMMIT_VALUES = [
    Schema(*_HEAD, _METADATA, _TIME),
    Schema(*_HEAD, _METADATA, _TIME, ("expire_timestamp", Int64)),
    Schema(*_HEAD, _METADATA, _TIME),
    Schema(*_HEAD, _EPOCH, _METADATA, _TIME),
    Schema(
        *_HEAD, _EPOCH, ("metadata", CompactString("utf-8")), _TIME, ("tagged", UnsignedVarInt32)
    ),
]

names = st.text(max_size=300).filter(lambda name: len(name.encode(errors="replace")) < 2**15)
names = names.filter(lambda name: name.isprintable())
offsets = st.integers(0, 2**63 - 1)


def value_of(version: int, offset: int, metadata: str, time_ms: int) -> bytes:
    rest: dict[int, list[object]] = {
        0: [metadata, time_ms],
        1: [metadata, time_ms, time_ms + 7],
        2: [metadata, time_ms],
        3: [5, metadata, time_ms],
        4: [5, metadata, time_ms, 0],
    }
    encoded: bytes = COMMIT_VALUES[version].encode([version, offset, *rest[version]])
    return encoded


@given(
    st.integers(0, 1),
    st.integers(0, 4),
    st.tuples(names, names, st.integers(0, 2**31 - 1)),
    offsets,
    names,
    st.integers(0, 2**43),
)
def test_commits_of_all_versions(
    key_version: int,
    version: int,
    place: tuple[str, str, int],
    offset: int,
    metadata: str,
    time_ms: int,
) -> None:
    key = COMMIT_KEY.encode([key_version, *place])
    value = value_of(version, offset, metadata, time_ms)
    assert decode(key, value, APPENDED) == Committed(*place, offset, time_ms * 1000)


def test_tagged_fields_of_any_number_and_length_are_passed_over() -> None:
    head = value_of(4, 3, "", 1000)[:-1]
    long = 300
    tagged = b"\x02\x00\x10" + bytes(16) + b"\x07" + b"\xac\x02" + bytes(long)
    assert decode(KEY, head + tagged, APPENDED) == Committed("g1", "plain", 0, 3, 1_000_000)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (None, VALUE, "no key"),
        (b"", VALUE, "2 bytes wanted at 0 of 0"),
        (b"\xff\xff" + KEY[2:], VALUE, "key of version -1"),
        (KEY[:-1], VALUE, "4 bytes wanted"),
        (KEY + b"\x00", VALUE, "1 bytes too many"),
        (b"\x00\x01\xff\xff\x00\x05plain\x00\x00\x00\x00", VALUE, "-1 bytes wanted"),
        (b"\x00\x01\x00\x01\xff\x00\x05plain\x00\x00\x00\x00", VALUE, "not UTF-8"),
        (KEY, b"", "2 bytes wanted"),
        (KEY, b"\x00\x05" + VALUE[2:], "value of version 5"),
        (KEY, b"\xff\xff" + VALUE[2:], "value of version -1"),
        (KEY, VALUE[:-1], "16 bytes wanted"),
        (KEY, VALUE + b"\x00", "1 bytes too many"),
        (KEY, VALUE[:14] + b"\x00" + VALUE[15:], "-1 bytes wanted"),
        (KEY, VALUE[:14] + b"\xff" * 8, "a length without an end"),
        (KEY, value_of(3, -1, "", 1000), "offset -1"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(
    key: bytes | None, value: bytes | None, reason: str
) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(key, value, APPENDED)


garbage = st.binary(max_size=80)


@given(
    st.none() | garbage | garbage.map(lambda rest: b"\x00\x01" + rest) | st.just(KEY),
    st.none()
    | garbage
    | st.tuples(st.integers(0, 4), garbage).map(lambda both: bytes([0, both[0]]) + both[1])
    | garbage.map(lambda rest: VALUE[:14] + rest),
)
def test_garbage_is_undecodable_or_something(key: bytes | None, value: bytes | None) -> None:
    with suppress(Undecodable):
        decode(key, value, APPENDED)


@given(st.binary(max_size=3), st.integers(0, len(VALUE)), st.integers(0, len(VALUE)))
def test_a_damaged_commit_is_undecodable_or_something(new: bytes, start: int, until: int) -> None:
    with suppress(Undecodable):
        decode(KEY, VALUE[:start] + new + VALUE[until:], APPENDED)

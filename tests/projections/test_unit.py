"""The unit of work against the real database: splits, refusals, faults, limits.

The table of the dummy projection has no key, so a record projected twice, or not at all, shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from projections import unit
from projections.base import Batch, Connection, Partition, Recorded
from projections.checkpoint import LogStart
from projections.database import connect
from projections.deadletter import Limits
from projections.errors import Fenced, Refusal
from projections.unit import Projector
from tests.projections.dummy.tally import Tally
from tests.projections.logs import (
    TICKS,
    TOPIC_ID,
    LogRecord,
    claim,
    cut,
    empty,
    log_of,
    rows,
    trade,
    unreadable,
)

pytestmark = pytest.mark.usefixtures("quick_retries")

OTHER = Partition("price.ticks", 1)
HUGE = Decimal("9" * 20)  # no numeric(20, 2) holds it
FORBIDDEN = Decimal(1000)  # a check of the table refuses it


class Watched(Tally):
    """The dummy projection, with what a test does as its write begins."""

    def __init__(self) -> None:
        self.writes: list[int] = []
        self.before_write: Callable[[Connection, int], Awaitable[None]] | None = None

    async def write(self, connection: Connection, facts: list[Recorded]) -> None:
        self.writes.append(len(facts))
        if self.before_write is not None:
            await self.before_write(connection, len(facts))
        for fact in facts:
            if getattr(fact.event, "trade_id", "") == "raises":
                raise KeyError("a fault of the projection's own code")
        await super().write(connection, facts)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_BACKOFF", (0.0, 0.01))


@asynccontextmanager
async def opened(dsn: str, projection: Tally | None = None, limits: Limits | None = None) -> Any:
    """A projector, closed at the end."""
    projector = Projector(projection or Watched(), dsn, limits)
    try:
        yield projector
    finally:
        await projector.close()


def ids(dsn: str) -> list[str]:
    return [row["trade_id"] for row in rows(dsn, "tally_trades")]


def numbers(dsn: str) -> list[int]:
    return sorted(int(name) for name in ids(dsn))


def dead(dsn: str) -> list[int]:
    return [row["offset"] for row in rows(dsn, "dead_letters", 'partition, "offset"')]


def position(dsn: str) -> tuple[int, int]:
    (row,) = rows(dsn, "checkpoints")
    return row["next_offset"], row["epoch"]


def some_log(count: int) -> list[LogRecord]:
    """Trades; every seventh cannot be read, every eleventh does not fit the table."""
    batch = log_of(
        trade(n, price=HUGE)
        if n % 11 == 5
        else trade(n, size=FORBIDDEN)
        if n % 11 == 9
        else trade(n)
        for n in range(count)
    )
    return [
        unreadable(record) if record.offset % 7 == 3 else record
        for record in batch.records
        if isinstance(record, LogRecord)
    ]


def good_of(count: int) -> list[int]:
    return [n for n in range(count) if n % 7 != 3 and n % 11 not in {5, 9}]


# Splits and repetition


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    units=st.lists(st.integers(1, 30), max_size=6),
    batches=st.lists(st.integers(1, 9), max_size=8),
    starts=st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_any_split_and_any_restart_gives_the_tables_of_one_unit(
    migrated_dsn: str, units: list[int], batches: list[int], starts: list[bool]
) -> None:
    empty(migrated_dsn, "tally_1.tally_trades")
    records = some_log(60)

    async def project() -> None:
        projector = Projector(Watched(), migrated_dsn)
        await claim(projector)
        for part, restarts in zip(cut(records, units), starts, strict=False):
            if restarts:
                await projector.close()
                projector = Projector(Watched(), migrated_dsn)
                assert await claim(projector) == part.records[0].offset
            await projector.commit(cut(part.records, batches))  # type: ignore[arg-type]
        await projector.close()

    asyncio.run(project())
    assert numbers(migrated_dsn) == good_of(60)
    assert dead(migrated_dsn) == [n for n in range(60) if n not in good_of(60)]
    assert position(migrated_dsn)[0] == 60


async def test_partitions_of_one_unit_move_together(migrated_dsn: str) -> None:
    batch = log_of([trade(1), trade(2)])
    async with opened(migrated_dsn) as projector:
        claims = await projector.claim({TICKS: LogStart(TOPIC_ID, 0), OTHER: LogStart(TOPIC_ID, 0)})
        await projector.commit([batch, Batch(OTHER, batch.records[:1])])
        assert {source: part.next_offset for source, part in projector.claims.items()} == {
            TICKS: 2,
            OTHER: 1,
        }
        assert all(part.next_offset == 0 for part in claims.values())
    assert sorted(ids(migrated_dsn)) == ["1", "1", "2"]


# Claims and the compare-and-set


async def test_a_claim_starts_at_the_log_then_goes_on_and_bumps_the_epoch(
    migrated_dsn: str,
) -> None:
    async with opened(migrated_dsn) as projector:
        assert await claim(projector, first_offset=40) == 40
        await projector.commit([log_of([trade(1)], first=40)])
    assert position(migrated_dsn) == (41, 1)
    async with opened(migrated_dsn) as projector:
        assert await claim(projector, first_offset=7) == 41
    assert position(migrated_dsn) == (41, 2)


async def test_a_worker_whose_partition_was_taken_over_writes_nothing(migrated_dsn: str) -> None:
    async with opened(migrated_dsn) as old, opened(migrated_dsn) as new:
        await claim(old)
        await claim(new)
        with pytest.raises(Fenced):
            await old.commit([log_of([trade(1)])])
        assert ids(migrated_dsn) == []
        await new.commit([log_of([trade(1)])])
    assert ids(migrated_dsn) == ["1"]
    assert position(migrated_dsn) == (1, 2)


async def test_a_wrong_offset_is_refused_and_nothing_is_written(migrated_dsn: str) -> None:
    async with opened(migrated_dsn) as projector:
        await claim(projector)
        await projector.commit([log_of([trade(1)])])
        for first in (0, 2):
            with pytest.raises(Fenced):
                await projector.commit([log_of([trade(8), trade(9)], first=first)])
    assert ids(migrated_dsn) == ["1"]
    assert position(migrated_dsn) == (1, 1)


async def test_one_wrong_partition_refuses_the_whole_unit(migrated_dsn: str) -> None:
    batch = log_of([trade(1)])
    async with opened(migrated_dsn) as both, opened(migrated_dsn) as thief:
        await both.claim({TICKS: LogStart(TOPIC_ID, 0), OTHER: LogStart(TOPIC_ID, 0)})
        await claim(thief, source=OTHER)
        with pytest.raises(Fenced):
            await both.commit([batch, Batch(OTHER, batch.records)])
    assert ids(migrated_dsn) == []
    assert {row["next_offset"] for row in rows(migrated_dsn, "checkpoints")} == {0}


async def test_a_projector_that_forgot_its_claims_during_a_unit_is_fenced(
    migrated_dsn: str,
) -> None:
    projection = Watched()
    async with opened(migrated_dsn, projection) as projector:
        await claim(projector)

        async def lose(connection: Connection, count: int) -> None:
            projector.forget()
            raise OSError("the connection was lost")

        projection.before_write = lose
        with pytest.raises(Fenced):
            await projector.commit([log_of([trade(1)])])
    assert ids(migrated_dsn) == []


async def test_a_topic_made_anew_is_refused_with_what_to_do(migrated_dsn: str) -> None:
    async with opened(migrated_dsn) as projector:
        await claim(projector)
        await projector.commit([log_of([trade(1)])])
        anew = "00000000-0000-0000-0000-000000000002"
        with pytest.raises(Refusal, match=r"price.ticks\[0\].*made anew.*`tape rebuild tally`"):
            await claim(projector, topic_id=anew)
        assert not projector.claims
    assert position(migrated_dsn) == (1, 1)


# Faults in the data


async def test_each_offender_alone_is_a_dead_letter_with_its_reason(migrated_dsn: str) -> None:
    offenders = {
        3: trade(3, price=HUGE),
        4: trade(4, size=FORBIDDEN),
        11: trade(11, trade_id="raises"),
    }
    batch = log_of(offenders.get(n, trade(n)) for n in range(20))
    records = list(batch.records)
    records[15] = unreadable(records[15])  # type: ignore[arg-type]
    async with opened(migrated_dsn) as projector:
        await claim(projector)
        await projector.commit(cut(records, [7, 7]))  # type: ignore[arg-type]
    assert numbers(migrated_dsn) == [n for n in range(20) if n not in {3, 4, 11, 15}]
    letters = {row["offset"]: row for row in rows(migrated_dsn, "dead_letters")}
    assert letters.keys() == {3, 4, 11, 15}
    assert letters[3]["error"].startswith("NumericValueOutOfRange (22003): ")
    assert letters[4]["error"].startswith("CheckViolation (23514): ")
    assert letters[11]["error"].startswith("KeyError: ")
    for offset, record in ((3, records[3]), (15, records[15])):
        letter = letters[offset]
        assert (letter["projection"], letter["topic"], letter["partition"]) == ("tally", *TICKS)
        assert str(letter["topic_id"]) == TOPIC_ID
        assert (letter["key"], letter["value"]) == (record.key, record.value)
        assert letter["appended"].timestamp() * 1000 == record.timestamp
        assert letter["copied"] is False
    assert position(migrated_dsn)[0] == 20


@pytest.mark.parametrize("offenders", [[0], [499], [999], [100, 101], [3, 500, 996]])
async def test_offenders_are_found_in_a_few_dozen_statements(
    migrated_dsn: str, offenders: list[int]
) -> None:
    projection = Watched()
    batch = log_of(trade(n, size=FORBIDDEN) if n in offenders else trade(n) for n in range(1000))
    async with opened(migrated_dsn, projection) as projector:
        await claim(projector)
        await projector.commit([batch])
    assert dead(migrated_dsn) == offenders
    assert len(ids(migrated_dsn)) == 1000 - len(offenders)
    # Halving: twice the depth for each offender, and the first try.
    assert len(projection.writes) <= 1 + 2 * 10 * len(offenders)


async def test_headers_and_bytes_are_kept_exactly(migrated_dsn: str) -> None:
    headers = [
        ("plain", b"text"),
        ("nul", b"a\x00b"),
        ("bytes", b"\xff"),
        ("none", None),
        ("n\0", b""),
    ]
    record = LogRecord(0, 1_700_000_000_123, b"\x00\xff", b"\xfe\x00", headers)
    empty_one = LogRecord(1, 1_700_000_000_123, None, None, [])
    async with opened(migrated_dsn) as projector:
        await claim(projector)
        await projector.commit([Batch(TICKS, [record, empty_one])])
    first, second = rows(migrated_dsn, "dead_letters", '"offset"')
    assert (first["key"], first["value"]) == (record.key, record.value)
    assert first["headers"] == [
        {"name": "plain", "value": "text"},
        {"name": "nul", "value_base64": "YQBi"},
        {"name": "bytes", "value_base64": "/w=="},
        {"name": "none", "value": None},
        {"name_base64": "bgA=", "value": ""},
    ]
    assert (second["key"], second["value"], second["headers"]) == (None, None, [])


# Faults of the infrastructure


async def once_per_try(
    dsn: str, fault: Callable[[Connection], Awaitable[None]], tries: int = 2
) -> Watched:
    """Projects ten trades while the first tries meet a fault; returns the projection."""
    projection = Watched()
    left = tries

    async def before(connection: Connection, count: int) -> None:
        nonlocal left
        if left:
            left -= 1
            await fault(connection)

    projection.before_write = before
    async with opened(dsn, projection) as projector:
        await claim(projector)
        await projector.commit([log_of(trade(n) for n in range(10))])
        await projector.commit([log_of([trade(10)], first=10)])
    return projection


def check_nothing_was_lost(dsn: str, projection: Watched, tries: int = 2) -> None:
    assert projection.writes == [10] * (tries + 1) + [1], "the same unit again, never halved"
    assert numbers(dsn) == list(range(11))
    assert dead(dsn) == []
    assert position(dsn) == (11, 1)


async def test_a_backend_killed_within_the_unit_is_tried_again(migrated_dsn: str) -> None:
    async def kill(connection: Connection) -> None:
        with psycopg.connect(migrated_dsn, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])

    check_nothing_was_lost(migrated_dsn, await once_per_try(migrated_dsn, kill))


async def test_a_lock_timeout_is_tried_again(migrated_dsn: str) -> None:
    with psycopg.connect(migrated_dsn) as other:
        other.execute("lock table tally_1.tally_trades in exclusive mode")

        async def wait_too_long(connection: Connection) -> None:
            await connection.execute("set local lock_timeout = 20")
            try:
                await connection.execute("lock table tally_trades in row exclusive mode")
            finally:
                other.rollback()

        projection = await once_per_try(migrated_dsn, wait_too_long, tries=1)
    check_nothing_was_lost(migrated_dsn, projection, tries=1)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("set local transaction_read_only = on", id="read only"),
        pytest.param("do $$ begin raise sqlstate '53100'; end $$", id="disk full"),
        pytest.param("do $$ begin raise sqlstate '40P01'; end $$", id="deadlock"),
        pytest.param("do $$ begin raise sqlstate '57P01'; end $$", id="shutdown"),
        pytest.param("do $$ begin raise sqlstate '58030'; end $$", id="input or output"),
        pytest.param("select * from no_such_table", id="a table is missing"),
    ],
)
async def test_a_fault_of_the_server_is_tried_again(migrated_dsn: str, statement: str) -> None:
    async def fail(connection: Connection) -> None:
        await connection.execute(statement.encode())

    check_nothing_was_lost(migrated_dsn, await once_per_try(migrated_dsn, fail))


async def outlast_if_large(connection: Connection, count: int) -> None:
    if count > 3:
        await connection.execute("select pg_sleep(60)")


async def test_a_unit_that_lasts_too_long_is_tried_again_at_half_its_size(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "TRANSACTION_TIMEOUT_MS", 150)
    projection = Watched()

    projection.before_write = outlast_if_large
    async with opened(migrated_dsn, projection) as projector:
        await claim(projector)
        await projector.commit([log_of(trade(n) for n in range(10))])
        assert projector.claims[TICKS].next_offset == 10
        await projector.commit([log_of([trade(10)], first=10)])
    assert projection.writes == [10, 5, 2, 3, 5, 2, 3, 1]
    assert numbers(migrated_dsn) == list(range(11))
    assert dead(migrated_dsn) == []


async def test_an_offender_in_a_unit_that_lasts_too_long_is_still_found(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "TRANSACTION_TIMEOUT_MS", 150)
    projection = Watched()

    projection.before_write = outlast_if_large
    async with opened(migrated_dsn, projection) as projector:
        await claim(projector)
        batch = log_of(trade(n, size=FORBIDDEN) if n == 4 else trade(n) for n in range(10))
        await projector.commit([batch])
    assert dead(migrated_dsn) == [4]
    assert numbers(migrated_dsn) == [n for n in range(10) if n != 4]


@contextmanager
def lost_replies(monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[list[int]]:
    """Cuts the connection of the unit right after so many COMMITs: only the replies are lost."""
    lost: list[int] = []

    async def connect_badly(dsn: str, name: str, settings: Any) -> Connection:
        connection = await connect(dsn, name, settings)
        begin = connection.transaction

        @asynccontextmanager
        async def transaction(*args: Any, **kwargs: Any) -> Any:
            outermost = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            async with begin(*args, **kwargs) as inner:
                yield inner
            if outermost and len(lost) < count:
                lost.append(1)
                raise psycopg.OperationalError("server closed the connection unexpectedly")

        if name.endswith("unit"):
            connection.transaction = transaction  # type: ignore[method-assign]
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(unit, "connect", connect_badly)
        yield lost


async def test_a_lost_reply_to_commit_is_recognised_as_success(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lost_replies(monkeypatch, 3) as lost:
        async with opened(migrated_dsn) as projector:
            await claim(projector)
            for first in range(0, 20, 4):
                records = some_log(20)[first : first + 4]
                await projector.commit([Batch(TICKS, records)])
    assert len(lost) == 3
    assert numbers(migrated_dsn) == good_of(20)
    assert dead(migrated_dsn) == [n for n in range(20) if n not in good_of(20)]
    assert position(migrated_dsn) == (20, 1)


async def test_a_lost_reply_followed_by_a_takeover_is_no_success(
    migrated_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there once, but who goes on is the new owner."""
    projection = Watched()
    async with opened(migrated_dsn, projection) as old, opened(migrated_dsn) as new:
        await claim(old)
        take_over = False

        async def before(connection: Connection, count: int) -> None:
            nonlocal take_over
            take_over = True

        projection.before_write = before

        async def pause(*args: Any) -> None:
            assert take_over
            assert await claim(new) == 1
            await old.close()

        with lost_replies(monkeypatch, 1):
            monkeypatch.setattr(old, "_pause", pause)
            with pytest.raises(Fenced):
                await old.commit([log_of([trade(1)])])
    assert ids(migrated_dsn) == ["1"]


# Limits


async def project_all(dsn: str, units: Sequence[Batch], limits: Limits | None = None) -> None:
    for batch in units:
        async with opened(dsn, limits=limits) as projector:  # each time a new process
            if await claim(projector) == batch.records[0].offset:
                await projector.commit([batch])


def log_with(bad: set[int], count: int) -> list[LogRecord]:
    batch = log_of(trade(n) for n in range(count))
    return [
        unreadable(record) if record.offset in bad else record
        for record in batch.records
        if isinstance(record, LogRecord)
    ]


@pytest.mark.parametrize("lengths", [[], [50, 50], [149, 1]], ids=["one unit", "halves", "last"])
async def test_a_hundred_dead_letters_in_a_row_stop_the_projection(
    migrated_dsn: str, lengths: list[int]
) -> None:
    records = log_with({*range(10, 109), *range(110, 210)}, 400)
    allowed, stopped = records[:200], records[200:]
    await project_all(migrated_dsn, cut(allowed, lengths))
    assert position(migrated_dsn)[0] == 200
    before = dead(migrated_dsn)
    for _ in range(2):
        with pytest.raises(Refusal, match=r"tally: 100 records in a row of price.ticks\[0\]"):
            await project_all(migrated_dsn, [Batch(TICKS, stopped)])
        assert position(migrated_dsn)[0] == 200
        assert dead(migrated_dsn) == before, "nothing of the unit was committed"


@pytest.mark.parametrize("length", [3000, 1000, 700, 64], ids=lambda length: f"units of {length}")
async def test_half_of_the_last_thousand_stop_the_projection(
    migrated_dsn: str, length: int
) -> None:
    bad = set(range(1000, 2000, 2))  # of 1000 to 1998: half, never two in a row
    records = log_with(bad, 3000)
    with pytest.raises(Refusal, match=r"500 of the last 1000 records of price.ticks\[0\]"):
        await project_all(migrated_dsn, cut(records, [length] * 50))
    assert position(migrated_dsn)[0] <= 1998
    assert len(dead(migrated_dsn)) < 500


@pytest.mark.parametrize("length", [3000, 700])
async def test_just_less_than_half_of_any_thousand_go_on(migrated_dsn: str, length: int) -> None:
    bad = set(range(1000, 1998, 2))
    await project_all(migrated_dsn, cut(log_with(bad, 3000), [length] * 50))
    assert position(migrated_dsn)[0] == 3000
    assert dead(migrated_dsn) == sorted(bad)


async def test_limits_can_be_raised(migrated_dsn: str) -> None:
    records = log_with(set(range(300)), 300)
    await project_all(migrated_dsn, [Batch(TICKS, records)], Limits(301, 301))
    assert len(dead(migrated_dsn)) == 300


async def test_partitions_are_counted_apart(migrated_dsn: str) -> None:
    records = log_with(set(range(99)), 99)
    async with opened(migrated_dsn) as projector:
        await projector.claim({TICKS: LogStart(TOPIC_ID, 0), OTHER: LogStart(TOPIC_ID, 0)})
        await projector.commit([Batch(TICKS, records), Batch(OTHER, records)])
    assert len(dead(migrated_dsn)) == 198

"""What was projected of a topic that was lost stands for the restored one, as far as that goes."""

from __future__ import annotations

from typing import Any

from projections.base import Connection, Partition
from projections.carrying import Ahead, Move, carry_over
from projections.database import connect
from projections.decisions import Operator

OLDER, OLD, NEW, OTHER = (f"00000000-0000-0000-0000-00000000000{number}" for number in range(4))
TOPIC = "price.ticks"
OPERATOR = Operator("tester")

CHECKPOINT = "insert into public.checkpoints values ('prices', %s, %s, %s, %s, %s, 7)"
LETTER = """
insert into public.dead_letters
    (projection, topic, topic_id, partition, "offset", headers, error, appended)
values ('prices', %s, %s, %s, %s, '[]', 'bad', now())
"""
BUILT = """
insert into public.built_dead_letters
    (projection, generation, topic, topic_id, partition, "offset", headers, error, appended)
values ('prices', 1, %s, %s, %s, %s, '[]', 'bad', now())
"""


def move(topic_id: str = OLD, **untils: int) -> Move:
    return Move(TOPIC, topic_id, NEW, {int(name[1:]): until for name, until in untils.items()})


async def rows(side: Connection, statement: str) -> list[Any]:
    return list(await (await side.execute(statement.encode())).fetchall())


async def test_checkpoints_up_to_the_archive_s_end_are_carried_over(side: Connection) -> None:
    await side.execute(
        "insert into public.generations (projection, generation, version) values ('prices', 2, 1)"
    )
    for generation, topic, topic_id, partition, offset in (
        *((1, TOPIC, OLD, 0, 10), (1, TOPIC, OLD, 1, 11), (1, TOPIC, OTHER, 2, 1)),
        *((1, TOPIC, OLD, 3, 0), (2, TOPIC, OLD, 0, 4), (2, TOPIC, OLD, 1, 12)),
        (1, "kalshi.market", OLD, 0, 1),
    ):
        await side.execute(CHECKPOINT, [generation, topic, topic_id, partition, offset])
    carried = await carry_over(side, [move(p0=10, p1=10, p2=10, p3=0)], OPERATOR)
    assert carried is not None
    assert (carried.checkpoints, carried.decisions) == (3, 1)
    assert carried.ahead == [Ahead("prices", Partition(TOPIC, 1), 11, 10)]
    found = await rows(
        side,
        "select generation, partition, topic_id::text, next_offset, epoch from public.checkpoints"
        " where topic = 'price.ticks' order by 1, 2",
    )
    assert found == [
        *((1, 0, NEW, 10, 8), (1, 1, OLD, 11, 7), (1, 2, OTHER, 1, 7), (1, 3, NEW, 0, 8)),
        *((2, 0, NEW, 4, 8), (2, 1, OLD, 12, 7)),
    ]
    again = await carry_over(side, [move(p0=10, p1=10, p2=10, p3=0)], OPERATOR)
    assert again is not None
    assert (again.checkpoints, again.decisions, again.ahead) == (0, 0, carried.ahead)


async def test_dead_letters_of_restored_records_are_carried_over(side: Connection) -> None:
    for statement in (LETTER, BUILT):
        for topic_id, offset in ((OLDER, 3), (OLD, 3), (OLD, 9), (OLD, 10), (OTHER, 5)):
            await side.execute(statement, [TOPIC, topic_id, 0, offset])
    carried = await carry_over(side, [move(p0=10), move(OLDER, p0=5)], OPERATOR)
    assert carried is not None
    assert carried.dead_letters == 4
    for table in ("public.dead_letters", "public.built_dead_letters"):
        found = await rows(side, f'select topic_id::text, "offset" from {table} order by 1, 2')
        # The one of OLDER is of the same record as OLD's: one of them is enough.
        assert found == [(OLDER, 3), (OLD, 10), (NEW, 3), (NEW, 9), (OTHER, 5)]


async def test_a_database_without_tables_has_nothing_to_carry_over(dsn: str) -> None:
    async with await connect(dsn, "test", {}) as connection:
        assert await carry_over(connection, [move(p0=1)], OPERATOR) is None

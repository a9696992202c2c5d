"""What 1,000 new fills cost when the tables hold 1,000 of them, and when they hold a million.

Units of work by the projection's own `Projector`, in this process, without Kafka.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from statistics import median

from benchmarks import table
from benchmarks.account import copies, dataset, tables
from benchmarks.account.dataset import Totals
from benchmarks.account.stories import stories
from benchmarks.account.units import Units
from benchmarks.runner import WrongRowsError
from streams.embedded.stack import StackInfo
from streams.events import Event

NEW_FILLS = 1_000
SMALL, LARGE = 1_000, 1_000_000
#: Events in a unit of work: one that goes step by step, and one that is tried at once.
UNITS = (1_000, 8)

#: The large tables are so many times these fills, and a few more.
_ORIGINAL = 20_000
#: What each worker has projected before its clock starts: it has its statements prepared then.
_WARM_FILLS = 1_000
_WARM_UNIT = 100
_FILL_UNIT = 8_000
#: Numbers of markets that nothing else has, so many for each measurement.
_FIRST_NEW = 20_000
_MARKETS = 2_000


@dataclass(frozen=True)
class Growth:
    """Seconds that 1,000 new fills took, their orders and commands too, in units of `unit` events,
    beside `held` fills."""

    held: int
    unit: int
    seconds: float


def rounds(info: StackInfo, count: int) -> Iterator[Growth]:
    """Both sizes and both units in turn, `count` times.

    Raises WrongRowsError when the tables differ from the dataset.
    """
    numbers = iter(range(_FIRST_NEW, _FIRST_NEW + count * len(UNITS) * _MARKETS, _MARKETS))
    with _database(info, "bench_million") as large:
        _fill(large, _ORIGINAL, times=LARGE // _ORIGINAL)
        for _ in range(count):
            for unit in UNITS:
                first = next(numbers)
                with _database(info, "bench_thousand") as small:
                    yield Growth(SMALL, unit, _measure(small, first, unit))
                yield Growth(LARGE, unit, _measure(large, first, unit))


def ratio(results: Sequence[Growth], unit: int) -> float:
    """The median of the large tables to that of the small ones."""
    return median_seconds(results, LARGE, unit) / median_seconds(results, SMALL, unit)


def median_seconds(results: Sequence[Growth], held: int, unit: int) -> float:
    """Of all rounds."""
    return median(one.seconds for one in results if (one.held, one.unit) == (held, unit))


@contextmanager
def _database(info: StackInfo, name: str) -> Iterator[str]:
    try:
        yield tables.fresh_database(info.dsn, name)
    finally:
        table.drop_database(info.dsn, name)


def _fill(dsn: str, fills: int, times: int) -> None:
    told = list(stories(fills))

    async def project() -> None:
        async with Units(dsn) as units:
            await units.project(list(dataset.events(told)), _FILL_UNIT)

    asyncio.run(project())
    copies.multiply(dsn, times)
    once, found = dataset.totals(told), tables.totals(dsn)
    expected = Totals(**{one.name: getattr(once, one.name) * times for one in fields(Totals)})
    if found != expected:
        raise WrongRowsError(f"the account's tables hold {found}, wanted is {expected}")


def _measure(dsn: str, first: int, unit: int) -> float:
    """Seconds for new fills in units of that size, by a worker that has projected others before:
    the thousand that small tables hold, and another thousand beside the million."""
    warm = _new(_WARM_FILLS, first)
    measured = _new(NEW_FILLS, first + _MARKETS // 2)

    async def project() -> float:
        async with Units(dsn) as units:
            await units.project(warm, _WARM_UNIT)
            copies.vacuum(dsn)
            return await units.project(measured, unit)

    return asyncio.run(project())


def _new(fills: int, first: int) -> list[Event]:
    """Fills of markets that are not settled yet, with their orders and commands."""
    told = (story._replace(settled=None) for story in stories(fills, first))
    return list(dataset.events(told))

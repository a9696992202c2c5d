"""Refused records out of the dead letters, through the projection that refused them, page by page.

In the order of their offsets within each partition. Each is done with in one transaction: so a
kill loses nothing and doubles nothing, and the next retry goes on with what still waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from projections import PROJECTIONS
from projections.base import Connection, Projection
from projections.database import connect
from projections.decisions import Operator
from projections.redrive import Outcome, Place, Redriver
from streams.reports.dead_letters import CHOSEN, IS_FRAME, Chosen
from streams.reports.reading import database_faults
from streams.settings import Endpoints

__all__ = ["Redriven", "redrive"]

#: Places in one page; the records themselves are read one by one.
_PAGE = 500
#: Reasons that are counted each by itself; a reason may quote the record.
_MOST_REASONS = 200
_OTHER = "other reasons"

_WAITING = f"""
select projection, topic_id::text, partition, "offset"
from public.dead_letters
where done is null and {CHOSEN} and not {IS_FRAME}
    and (projection, topic_id, partition, "offset")
        > (%(after_projection)s, %(after_id)s::uuid, %(after_partition)s, %(after_offset)s)
order by projection, topic_id, partition, "offset"
limit %(page)s
"""
_COUNT = f"""
select count(*) from public.dead_letters where done is null and {CHOSEN} and not {IS_FRAME}
"""
#: Before the first place.
_START = Place("", "00000000-0000-0000-0000-000000000000", -1, -1)


@dataclass
class Redriven:
    """What a redrive has done: `records` were tried, `projected` of them are done with.

    `left` and `failed` count others by reason, as of `Outcome`; `taken` were in other hands.
    """

    records: int = 0
    projected: int = 0
    left: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    taken: int = 0

    def add(self, outcome: Outcome) -> None:
        """Count one record."""
        self.records += 1
        match outcome.kind:
            case "projected":
                self.projected += 1
            case "taken":
                self.taken += 1
            case "left":
                _count(self.left, outcome.reason)
            case "failed":
                _count(self.failed, outcome.reason)


def _count(reasons: Counter[str], reason: str) -> None:
    reasons[reason if reason in reasons or len(reasons) < _MOST_REASONS else _OTHER] += 1


async def redrive(
    chosen: Chosen,
    endpoints: Endpoints,
    operator: Operator,
    limit: int,
    redriven: Redriven,
    advanced: Callable[[int], None],
    known: Mapping[str, type[Projection[Any]]] = PROJECTIONS,
) -> None:
    """Redrive the chosen records, at most `limit` of them, counting them in `redriven`.

    `advanced` is given how many there are, at first and after each. `known` are the projections of
    this program. Raises UserError: the database is out of reach; Refusal: tables are of another
    version of their projection.
    """
    with database_faults():
        async with await connect(endpoints.dsn, "dlq redrive", {}) as connection:
            parameters = chosen.parameters()
            counted = await (await connection.execute(_COUNT, parameters)).fetchone()
            records = min(counted[0], limit) if counted else 0
            advanced(records)
            redrivers = _Redrivers(endpoints.dsn, operator, known)
            try:
                place = _START
                while page := await _page(
                    connection, parameters, place, records - redriven.records
                ):
                    for place in page:
                        redriven.add(await redrivers.redrive(place))
                        advanced(records)
            finally:
                await redrivers.close()


async def _page(
    connection: Connection, parameters: Mapping[str, Any], after: Place, most: int
) -> list[Place]:
    """The next places after this one."""
    if most <= 0:
        return []
    page = {f"after_{name}": value for name, value in after._asdict().items()}
    page |= {"after_id": after.topic_id, "page": min(most, _PAGE)}
    cursor = await connection.execute(_WAITING, {**parameters, **page})
    return [Place(*row) for row in await cursor.fetchall()]


class _Redrivers:
    """A redriver of the projection that is at work; the places come ordered by projection."""

    def __init__(
        self, dsn: str, operator: Operator, known: Mapping[str, type[Projection[Any]]]
    ) -> None:
        self._dsn = dsn
        self._operator = operator
        self._known = known
        self._redriver: Redriver | None = None

    async def redrive(self, place: Place) -> Outcome:
        if place.projection not in self._known:
            return Outcome("left", f"this program has no projection {place.projection}")
        if self._redriver is None or self._redriver.projection.name != place.projection:
            await self.close()
            projection = self._known[place.projection]()
            self._redriver = Redriver(projection, self._dsn, self._operator)
        return await self._redriver.redrive(place)

    async def close(self) -> None:
        if self._redriver is not None:
            await self._redriver.close()
            self._redriver = None

"""What a test of rebuilds plays on: a topic that is filled, projected and rebuilt in this process.

The loaders too run in this process, which is quicker than to start some; tests/survival has them as
processes.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any, ClassVar

import pytest

import projections
from projections.base import Partition, Projection
from projections.builder import Builder
from projections.decisions import Operator
from projections.unit import Projector
from streams.log import LogReader
from streams.producer import Producer
from streams.rebuild import building, explain, loader, rollback, run, verify
from streams.rebuild.source import Source, find_source
from streams.settings import Endpoints
from tests.survival.account_scene import AccountScene
from tests.survival.scene import Scene
from tests.survival.worker_process import PROJECTIONS

OPERATOR = Operator("tester", "to see what happens")


class Quiet:
    """A reporter that notes the phases."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.waited: list[str] = []
        #: Called at the begin of each phase.
        self.hook: Callable[[str], None] = lambda _: None

    def phase(self, name: str) -> None:
        self.phases.append(name)
        thread = Thread(target=self.hook, args=[name])  # it may run a loop of its own
        thread.start()
        thread.join()

    def loading(self, source: Source) -> None:
        pass

    def loaded(self, counts: Mapping[Partition, int]) -> None:
        pass

    def waits(self, reason: str) -> None:
        self.waited.append(reason)


class Stage(Scene):
    """A scene whose projection works in this process. `kind` is what it projects by."""

    projection: ClassVar[str] = "prices"
    #: The archive's location, where there is one.
    archive: str | None = None

    @property
    def endpoints(self) -> Endpoints:
        return dataclasses.replace(super().endpoints, archive=self.archive)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Puts the stage's topics in the place of the catalogue's, the loader in this process."""
        self.reporter = Quiet()
        self.use(patch, PROJECTIONS[self.projection])
        patch.setattr(building, "load_all", self._load_all)

    def use(self, patch: pytest.MonkeyPatch, kind: type[Projection[Any]]) -> None:
        """Registers a projection of this kind, of the stage's topics."""
        topics = tuple(self.topics.values())
        self.kind: type[Projection[Any]] = type(kind.__name__, (kind,), {"topics": topics})
        known = {**projections.PROJECTIONS, self.projection: self.kind}
        for module in (run, verify, rollback, loader, explain):
            patch.setattr(module, "PROJECTIONS", known)

    async def _load_all(self, task: loader.Task, loaded: Any) -> None:
        async with Builder(self.kind(), self.dsn, task.generation) as builder:
            await loader.load(task, builder, self.endpoints)

    def fill(self, count: int, seed: int = 1) -> None:
        """Writes so many records of the scene's load."""
        source = self.source(seed)

        async def produce() -> None:
            async with Producer(self.endpoints) as producer:
                for _ in range(count):
                    await producer.send_record(source.draw())
                for record in source.rest():
                    await producer.send_record(record)
                await producer.flush()

        asyncio.run(produce())

    def project(self) -> None:
        """Projects live up to the end of the log, by a process that joins and leaves."""
        asyncio.run(self._project())

    async def _project(self) -> None:
        source = await find_source(self.kind(), self.endpoints)
        projector = Projector(self.kind(), self.dsn)
        claims = await projector.claim(source.starts)
        starts = {part: one.next_offset for part, one in claims.items()}
        untils = {part: until for part, (_, until) in source.bounds.items()}
        async with LogReader.open(self.endpoints) as reader:
            async for batches in reader.read(starts, untils, 700):
                await projector.commit(batches)
        await projector.close()

    def rebuild_here(self, **wishes: Any) -> run.Outcome:
        """Rebuilds and swaps in this process."""
        return asyncio.run(
            run.rebuild(
                self.projection, self.endpoints, run.Wishes(OPERATOR, **wishes), self.reporter
            )
        )

    def roll_back(self) -> run.Outcome:
        return asyncio.run(
            rollback.rollback(self.projection, self.endpoints, OPERATOR, self.reporter)
        )

    def verify_here(self) -> verify.Verified:
        return asyncio.run(verify.verify(self.projection, self.endpoints, self.reporter))

    def check(self) -> None:
        """The tables are what the log says."""
        self.verify(self.projection)

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every table's rows, sorted."""
        return {
            table: sorted(self.query(f"select t::text from {table} as t"))
            for table in self.kind.kafka_keys
        }

    def generations(self) -> list[tuple[int, bool]]:
        """Of the stage's projection: the number of each, and whether it is current."""
        return self.query(
            "select generation, is_current from generations where projection = %s"
            " order by generation",
            self.projection,
        )


class Prices(Stage):
    """Prices: trades, quotes, index values, repeats, conflicts, garbage."""

    projections = ("prices",)


class Tallied(Stage):
    """A row for each record, in a table without a key, which hides nothing that is doubled."""

    projection = "tally"
    projections = ("tally",)


class Account(AccountScene, Stage):
    """Trade lives."""

    projection = "account"

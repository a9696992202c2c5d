"""A stage for one scenario: topics, a database, workers in processes of their own, a load."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import psycopg
from confluent_kafka import TopicPartition
from psycopg import sql

from projections.base import Partition
from projections.migrations import migrate
from streams.admin import Broker
from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.events.catalogue import TOPICS, dead_letter_spec
from streams.settings import Endpoints
from tests.fold import differences, fold, read_log
from tests.processes.forked import ROOT, Forked, run
from tests.projections.registered import registered
from tests.survival import misfortunes
from tests.survival.load import Load, Market, Source
from tests.survival.tally import Tally, digest

PARTITIONS = 4
BOTH = ("prices", "tally")
#: Generous, because machines that run tests are busy.
DEADLINE = 120.0


def wait_for(what: str, happened: Callable[[], Any], seconds: float = DEADLINE) -> float:
    """Waits until `happened()`; returns the seconds that it took."""
    begin = time.monotonic()
    while not happened():
        if time.monotonic() - begin > seconds:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - begin


class WorkerProcess:
    """A worker started by a scene."""

    def __init__(self, task: dict[str, Any], log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = Forked[bytes](
                [sys.executable, "-m", "tests.survival.worker_process", json.dumps(task)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    @property
    def is_frozen(self) -> bool:
        return self.lives and psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def terminate(self, seconds: float = 30.0) -> tuple[int, float]:
        """SIGTERM, once it is handled; returns the exit status and the seconds that it took."""
        wait_for("signal handlers", lambda: "handles signals" in self.output or not self.lives)
        begin = time.monotonic()
        self.process.terminate()
        status = self.process.wait(timeout=seconds)
        return status, time.monotonic() - begin

    def wait_for_end(self, seconds: float = DEADLINE) -> int:
        return self.process.wait(timeout=seconds)


class Scene:
    """What a scenario plays on; every test has its own, all share one stack.

    This one is about prices. A kind of scene says which topics of the catalogue it replaces by its
    own, what its workers project, what its load writes and what must then be in the tables.
    """

    replaces: ClassVar[tuple[str, ...]] = ("price.ticks",)
    projections: ClassVar[tuple[str, ...]] = BOTH

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.folder = folder
        self.name = f"survival-{secrets.token_hex(4)}"
        self.topics = {topic: f"{self.name}-{topic}" for topic in self.replaces}
        self.dsn = home.dsn(self.name)
        self.workers: list[WorkerProcess] = []
        self._loads: list[Load] = []

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(self.home.brokers, {}, self.dsn, True, True)

    @property
    def topic(self) -> str:
        """The scene's topic, where there is one."""
        (topic,) = self.topics.values()
        return topic

    @property
    def partitions(self) -> list[Partition]:
        return [
            Partition(topic, number)
            for topic in self.topics.values()
            for number in range(PARTITIONS)
        ]

    def set_up(self) -> None:
        self.create_topics()
        with psycopg.connect(self.home.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(self.name)))
        asyncio.run(migrate(self.dsn, registered(Tally())))

    def tear_down(self) -> None:
        print(self.logs())  # shown where the test failed
        for worker in self.workers:
            worker.kill()
        for load in self._loads:
            load.finish()
        with psycopg.connect(self.home.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("drop database {} with (force)").format(sql.Identifier(self.name))
            )

    def create_topics(self) -> None:
        """The topics, as the catalogue makes those that they replace, and for dead letters."""
        broker = Broker(self.endpoints)
        specs = [
            dataclasses.replace(spec, name=self.topics[spec.name])
            for spec in TOPICS
            if spec.name in self.topics
        ]
        specs += [dead_letter_spec(spec) for spec in specs]
        broker.create(specs)
        broker.wait_for([spec.name for spec in specs])

    # Workers and load

    def worker(
        self,
        *projections: str,
        fail: tuple[str, str, int, str] | None = None,
        dsn: str | None = None,
        group: str | None = None,
        step_by_step: bool = False,
    ) -> WorkerProcess:
        """Starts a worker; `fail` is (projection, step, nth time, kill or freeze).

        With `step_by_step` small units are written as large ones are. In a `group` of its own it
        need not wait for the session of one that was killed to end.
        """
        task = {
            "brokers": self.home.brokers,
            "dsn": dsn or self.dsn,
            "topics": self.topics,
            "group": group or self.name,
            "projections": projections or self.projections,
            "step_by_step": step_by_step,
            "fail": dict(zip(("projection", "step", "nth", "action"), fail, strict=True))
            if fail
            else None,
        }
        worker = WorkerProcess(task, self.folder / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        return worker

    def rebuild(self, projection: str, step: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a rebuild, killed at this step; see tests.survival.rebuild_process."""
        task = {"topics": self.topics, "projection": projection, "step": step}
        settings = {"TAPE_BROKERS": self.home.brokers, "TAPE_DSN": self.dsn}
        return run(
            [sys.executable, "-m", "tests.survival.rebuild_process", json.dumps(task)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | settings,
        )

    def current(self, projection: str) -> int:
        """The number of the generation that is live."""
        [(number,)] = self.query(
            "select generation from generations where projection = %s and is_current", projection
        )
        return int(number)

    def load(self, per_second: int = 1000, seed: int = 1) -> Load:
        """Starts a load."""
        load = Load(self.endpoints, self.source(seed), per_second)
        self._loads.append(load)
        load.start()
        return load

    def source(self, seed: int) -> Source:
        """What a load writes."""
        return Market(self.topic, seed)

    # What the log and the database hold

    def ends(self) -> dict[Partition, int]:
        """The end offset of each partition."""
        broker = Broker(self.endpoints)
        return {one: broker.bounds(TopicPartition(*one))[1] for one in self.partitions}

    def query(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(query.encode(), arguments).fetchall()

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def checkpoints(self, projection: str) -> dict[Partition, int]:
        """The next offset of each partition, as far as there is a checkpoint."""
        return self._of_partitions("next_offset", projection)

    def epochs(self, projection: str) -> dict[Partition, int]:
        return self._of_partitions("epoch", projection)

    def _of_partitions(self, column: str, projection: str) -> dict[Partition, int]:
        found = self.query(
            f"select topic, partition, {column} from checkpoints"
            " join generations using (projection, generation)"
            " where projection = %s and topic = any(%s) and is_current",
            projection,
            list(self.topics.values()),
        )
        return {Partition(topic, number): value for topic, number, value in found}

    def wait_for_progress(self, *projections: str, seconds: float = DEADLINE) -> float:
        """Waits until every partition has moved from where it is now, under load."""
        before = {name: self.checkpoints(name) for name in projections or self.projections}

        def moved() -> bool:
            for name, offsets in before.items():
                now = self.checkpoints(name)
                if not all(now.get(one, 0) > offsets.get(one, 0) for one in self.partitions):
                    return False
            return True

        return wait_for("progress of every partition", moved, seconds)

    def wait_until_drained(self, *projections: str, seconds: float = DEADLINE) -> float:
        """Waits until the checkpoints are at the ends of the log, which must not grow."""
        ends = {partition: end for partition, end in self.ends().items() if end}

        def drained() -> bool:
            for name in projections or self.projections:
                at = self.checkpoints(name)
                if any(at.get(partition) != end for partition, end in ends.items()):
                    return False
            return True

        return wait_for("checkpoints at the ends of the log", drained, seconds)

    def verify(self, *projections: str) -> None:
        """Compares every table with the fold of the topic."""
        records = asyncio.run(read_log(self.home.brokers, self.topic))
        assert records, "the scenario wrote nothing"
        if "prices" in (projections or BOTH):
            found = differences(fold(records), self.dsn, self.topic)
            assert not found, "\n".join([*found, self.logs()])
        if "tally" in (projections or BOTH):
            wanted = Counter((r.partition, r.offset, digest(r.value)) for r in records)
            rows = Counter(self.query('select partition, "offset", digest from tally'))
            assert rows == wanted, f"lacks {wanted - rows!r:.500}, too many {rows - wanted!r:.500}"

    def finish(self, *loads: Load) -> None:
        """Ends the loads, lets the workers catch up, and compares."""
        for load in loads:
            load.finish()
        self.wait_until_drained()
        self.verify()

    def logs(self) -> str:
        return "\n".join(f"--- {w._log.name}\n{w.output[-2000:]}" for w in self.workers)

    # The stack's misfortunes

    def kill_postgres(self) -> None:
        """SIGKILL to the server and all of its children at once."""
        misfortunes.kill_postgres(self.home)

    def kill_kafka(self) -> None:
        """SIGKILL."""
        misfortunes.kill_kafka(self.home)

    def restart(self) -> None:
        """Starts what was killed."""
        embedded.start(self.home.path)

    @contextlib.contextmanager
    def longest_wait_for_a_lock(self) -> Iterator[list[float]]:
        """Watches the claims; the list's only item is the longest that one waited (seconds)."""
        longest = [0.0]
        with Watch(self.dsn, longest):
            yield longest


class Watch:
    """Samples pg_stat_activity in a thread of its own."""

    def __init__(self, dsn: str, longest: list[float]) -> None:
        self._dsn = dsn
        self._longest = longest
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        query = (
            b"select coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0)::float"
            b" from pg_stat_activity where datname = current_database()"
            b" and application_name like 'tickertape % claim' and wait_event_type = 'Lock'"
        )
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._done.wait(0.05):
                row = connection.execute(query).fetchone()
                self._longest[0] = max(self._longest[0], row[0] if row else 0.0)


def frozen(worker: WorkerProcess) -> None:
    wait_for("the worker froze", lambda: worker.is_frozen or not worker.lives)
    assert worker.lives, worker.output


def thaw_after_takeover(scene: Scene, projection: str, step: str) -> None:
    """What a frozen owner had not committed is written once: by the heir, or by itself after a new
    claim. It thaws when all is projected.
    """
    load = scene.load(per_second=300)
    victim = scene.worker(projection, fail=(projection, step, 5, "freeze"))
    frozen(victim)
    heir = scene.worker(projection)
    scene.wait_for_progress(projection)
    load.finish()
    scene.wait_until_drained(projection)
    held = scene.epochs(projection)
    victim.send(signal.SIGCONT)
    # Back in the group, it claims its share anew: only that moves the epochs.
    wait_for("the victim rejoined", lambda: scene.epochs(projection) != held)
    scene.wait_until_drained(projection)
    scene.verify(projection)
    assert "fenced: another worker has the partitions" in victim.output
    assert heir.lives, heir.output
    heir.kill()
    victim.kill()

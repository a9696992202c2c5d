"""A worker as a process of its own, with a place to die or to freeze.

`python -m tests.survival.worker_process TASK` from the root of the repository.

The task is one JSON object: {"brokers", "dsn", "topics", "group", "projections", "step_by_step",
"fail"}. `topics` leads from topics of the catalogue to those that take their place. With
`step_by_step` no unit goes to the server at once. `fail`, where it is set, names a step of a
projection's unit of work and what happens when it is reached for the nth time: {"projection",
"step", "nth", "action"}.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import faust
import psycopg

import streams.app
from projections import account, checkpoint, deadletter
from projections import unit as unit_of_work
from projections.account import Account
from projections.base import Connection, Projection
from projections.market import Market
from projections.prices import Prices, derived, history
from projections.unit import Projector
from streams.app import Rules
from streams.cli.running import log_to_stderr
from streams.events import catalogue
from streams.settings import Endpoints
from streams.transport import Consumer
from streams.worker import Worker
from tests.survival.tally import Tally

unit: Any = unit_of_work  # for what it does not export
ACTIONS = {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}
PROJECTIONS: dict[str, type[Projection[Any]]] = {
    "account": Account,
    "market": Market,
    "prices": Prices,
    "tally": Tally,
}


class Failpoint:
    """Kills or freezes this very process when a step is reached for the nth time."""

    def __init__(self, projection: str, step: str, nth: int, action: str) -> None:
        self._projection = projection
        self._step = step
        self._left = nth
        self._signal = ACTIONS[action]

    def reach(self, projection: str, step: str) -> None:
        if (projection, step) != (self._projection, self._step) or self._left <= 0:
            return
        self._left -= 1
        if not self._left:
            print(f"{self._signal.name} at {step} of {projection}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), self._signal)


def install(point: Failpoint) -> None:
    """Put the failpoint's steps around the parts of a unit of work, in this process only."""
    around(checkpoint, "claim", after=lambda _, name, *__: point.reach(name, "in_claim"))
    around(checkpoint, "advance", after=lambda _, name, *__: point.reach(name, "after_advance"))
    around(deadletter, "insert", after=lambda _, name, *__: point.reach(name, "after_dead_letters"))
    around(derived, "write_seconds", before=lambda *_: point.reach("prices", "before_seconds"))
    around(derived, "write_latest", before=lambda *_: point.reach("prices", "before_latest"))
    around(account, "derive", before=lambda *_: point.reach("account", "before_deriving"))
    around(Projector, "claim", after=lambda self, *_: point.reach(name_of(self), "after_claim"))
    around(Projector, "commit", before=lambda self, *_: point.reach(name_of(self), "before_unit"))
    for projection in PROJECTIONS.values():
        around(projection, "write", after=lambda self, *_: point.reach(self.name, "after_write"))
    around(
        Consumer,
        "force_commit",
        before=lambda self, *_: point.reach(
            name_of(self.ledger.projector), "before_copying_offsets"
        ),
    )
    around(
        psycopg.AsyncTransaction,
        "__aexit__",
        before=lambda transaction, *_: at_commit(point, transaction, "before_commit"),
        after=lambda transaction, *_: at_commit(point, transaction, "after_commit"),
    )
    unit.at_once = at_once(point)
    history._copy_lines = half_copy(point)


def around(
    owner: Any,
    name: str,
    before: Callable[..., None] | None = None,
    after: Callable[..., None] | None = None,
) -> None:
    """Replace the coroutine function `name` of a class or module."""
    original = getattr(owner, name)

    async def replaced(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before(*args)
        result = await original(*args, **kwargs)
        if after is not None:
            after(*args)
        return result

    setattr(owner, name, replaced)


def name_of(projector: Projector) -> str:
    return projector.projection.name


def at_commit(point: Failpoint, transaction: Any, step: str) -> None:
    """Only for the outer transaction of a unit's own connection."""
    words = name_of_session(transaction._conn).split()
    if transaction._outer_transaction and words[2:] == ["unit"]:
        point.reach(words[1], step)


def name_of_session(connection: Connection) -> str:
    return connection.info.parameter_status("application_name") or ""


def at_once(point: Failpoint) -> Callable[[Connection], Any]:
    """The failpoint before COMMIT, once the server has done all that comes before, and after."""
    original = unit.at_once

    @asynccontextmanager
    async def watched(connection: Connection) -> AsyncIterator[None]:
        name = name_of_session(connection).split()[1]
        async with original(connection):
            yield
            await (await connection.execute("select 1")).fetchone()
            point.reach(name, "before_commit")
        point.reach(name, "after_commit")

    return watched


def half_copy(point: Failpoint) -> Callable[..., Any]:
    """Writes in two halves, with the failpoint between them."""

    async def copy_rows(connection: Connection, statement: bytes, rows: bytes) -> None:
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(rows[: len(rows) // 2])
            point.reach("prices", "in_copy")
            await copy.write(rows[len(rows) // 2 :])

    return copy_rows


def announce_signal_handlers() -> None:
    """Before them, SIGTERM ends a process at once: a test that wants a clean stop waits."""
    original = faust.Worker.install_signal_handlers

    def installed(worker: Any) -> None:
        original(worker)
        print("handles signals", flush=True)

    faust.Worker.install_signal_handlers = installed


def replace_topics(topics: dict[str, str]) -> None:
    """Put a scene's topics before those of the catalogue that they take the place of."""
    own = [
        dataclasses.replace(spec, name=topics[spec.name])
        for spec in catalogue.TOPICS
        if spec.name in topics
    ]
    catalogue.TOPICS = (*own, *catalogue.TOPICS)


def main() -> int:
    log_to_stderr()
    announce_signal_handlers()
    task = json.loads(sys.argv[1])
    topics: dict[str, str] = task["topics"]
    replace_topics(topics)
    streams.app.group_name = lambda projection: f"{task['group']}-{projection}"  # type: ignore[attr-defined]
    if task["step_by_step"]:
        unit.SMALL_UNIT = 0
    if task["fail"] is not None:
        install(Failpoint(**task["fail"]))
    chosen = [
        type(name.title(), (PROJECTIONS[name],), {"topics": tuple(topics.values())})()
        for name in task["projections"]
    ]
    endpoints = Endpoints(task["brokers"], {}, task["dsn"], False, False)
    return Worker(chosen, endpoints, Rules()).run()


if __name__ == "__main__":
    sys.exit(main())

"""What a contender is: something that moves a topic into a table, in processes of its own."""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Job:
    """One run of one contender.

    `run` is unique (a name for consumer groups), `records` counts what is in the topic, `rows` what
    the table must hold in the end (less than `records` where records are repeated). `workdir` is
    fresh. The database behind `dsn` is fresh too and holds the empty table.
    """

    run: str
    brokers: str
    dsn: str
    topic: str
    records: int
    rows: int
    workdir: str

    @property
    def window_file(self) -> Path:
        """Where a contender that writes no table reports its `Window`."""
        return Path(self.workdir) / "window.json"

    def save(self) -> str:
        """Writes the job for a worker process; gives the file's path."""
        path = Path(self.workdir) / "job.json"
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        path.chmod(0o600)  # the DSN holds a password
        return str(path)

    @classmethod
    def load(cls, path: str) -> Job:
        """The job that `save` wrote."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Command:
    """A process to start; `env` is added to the runner's own environment."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


class Contender(ABC):
    """Moves a topic into the table until it is stopped.

    The runner calls, in each round: `setup`, a CHECKPOINT, then it starts `commands`, waits until
    `table` holds `Job.rows` rows, sends SIGTERM to each process group (SIGKILL after 10 s), and
    compares the table with the dataset. A process may end by itself with status 0 only when all is
    done; better, it waits for SIGTERM, so that its CPU time can be read to the end.
    """

    #: The key in live.json.
    name: ClassVar[str]
    #: The line in the printed table.
    title: ClassVar[str]
    #: The table (no view) that is filled and checked, as SQL writes it: `prices_1.price_history`.
    table: ClassVar[str] = "price_history"
    #: Whether it reads the dataset with 1 % repeats.
    repeats: ClassVar[bool] = False
    #: False: no table is looked at; it writes `Job.window_file` when it is done.
    writes: ClassVar[bool] = True

    def prepare(self, cache: Path) -> None:  # noqa: B027 (optional)
        """Fetches what it needs, once per machine, into `cache`. Not measured."""

    def setup(self, job: Job) -> None:  # noqa: B027 (optional)
        """Makes what it needs in the fresh database (casts, a schema of its own). Not measured."""

    @abstractmethod
    def commands(self, job: Job) -> Sequence[Command]:
        """The processes to start; all their CPU time and memory, children too, is its own."""


def module(name: str, *arguments: str) -> Command:
    """`python -m name arguments…` with the bench's own interpreter."""
    return Command((sys.executable, "-m", name, *arguments), {"PYTHONPATH": os.fspath(ROOT)})

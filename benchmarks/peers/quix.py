"""quixstreams with its own PostgreSQLSink, in a virtual environment of its own."""

from __future__ import annotations

import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.contender import Command, Contender, Job
from streams.errors import UserError

#: Not installed beside us: its pins of confluent-kafka and pydantic are older than ours.
REQUIREMENTS = ("quixstreams==3.28.1", "psycopg2-binary==2.9.13")


class Quixstreams(Contender):
    """quixstreams 3.28.1, upsert, committing every 5,000 records.

    Records beyond a multiple of 5,000 wait five seconds (`commit_interval`): not for `--rows`.
    """

    name: ClassVar[str] = "quixstreams"
    title: ClassVar[str] = "quixstreams PostgreSQLSink"

    def __init__(self) -> None:
        self._python = Path("python")

    def prepare(self, cache: Path) -> None:
        folder = cache / "-".join(REQUIREMENTS).replace("==", "-")
        self._python = folder / "bin" / "python"
        done = folder / "installed"
        if done.exists():
            return
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(self._python), "-m", "pip", "install", "--quiet"]
        try:
            subprocess.run([*pip, *REQUIREMENTS], check=True)
        except subprocess.CalledProcessError as fault:
            raise UserError(f"quixstreams cannot be installed: pip gave {fault}") from None
        done.touch()

    def commands(self, job: Job) -> Sequence[Command]:
        script = Path(__file__).with_name("quix_worker.py")
        return [Command((str(self._python), str(script), job.save()))]

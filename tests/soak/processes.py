"""The processes of the soak: `tape` commands that die, freeze and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Command"]

_ROOT = Path(__file__).parents[2]
#: A clean stop takes no longer. Seconds.
_STOP_WITHIN = 60.0


class Command:
    """One `tape` command, of which one process runs; its log is kept over all of them."""

    def __init__(
        self, folder: Path, *words: str, settings: Mapping[str, str], number: int = 0
    ) -> None:
        self.name = "-".join(words) + (f"-{number}" if number else "")
        self.log = folder / f"{self.name}.log"
        #: How its processes ended that nobody had ended.
        self.failures: list[int] = []
        self.starts = 0
        self._words = words
        self._environment = _inherited() | {"PYTHONPATH": str(_ROOT)} | dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it lives, frozen or not."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start a process; the one before has ended, or was let go."""
        self.starts += 1
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from streams.cli import main; main()", *self._words],
                cwd=self.log.parent,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def release(self) -> subprocess.Popen[bytes]:
        """Let go of the process, which runs on; another may be started beside it."""
        process, self._process = self._running(), None
        return process

    def keep_up(self) -> None:
        """Start it again if it ended by itself, as its supervisor would."""
        if self._process is not None and (status := self._process.poll()) is not None:
            self.failures.append(status)
            self.start()

    def kill(self) -> None:
        """SIGKILL; it stays dead."""
        process = self.release()
        process.kill()
        process.wait()

    def freeze(self) -> None:
        """SIGSTOP."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def stop(self) -> tuple[int, float]:
        """SIGTERM; returns the exit status and the seconds that it took."""
        process, began = self.release(), time.monotonic()
        process.terminate()
        return process.wait(_STOP_WITHIN), time.monotonic() - began

    def end(self) -> None:
        """SIGKILL if it still runs."""
        if self.is_running:
            self.thaw()
            self.kill()

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join([f"--- {self.name}", *text.splitlines()[-lines:]])

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} does not run"
        return self._process


def _inherited() -> dict[str, str]:
    """The environment, without the caller's own settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAPE_", "POSTGRES_"))
    }

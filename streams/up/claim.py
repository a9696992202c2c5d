"""What one `tape up` holds of a home: the right to be the only one, and the embedded stack."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.embedded import kafka, postgres, stack
from streams.embedded.home import exclusive, make_private, read_home
from streams.errors import UserError
from streams.settings import Settings

__all__ = ["embedded_stack", "only_one"]

#: Names the daemons that a `tape up` started, so that one that was killed leaves none for ever.
_MARKER = "up.stack"


@contextmanager
def only_one(home: Path) -> Iterator[Path]:
    """Be the only `tape up` of a home; gives the folder for logs.

    Raises:
        UserError: another one runs, or the folder cannot be written.
    """
    with exclusive(home):
        make_private(home / "logs")
    descriptor = os.open(home / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            raise UserError(
                f"`tape up` runs on {home} already (pid {holder or 'unknown'}); stop that one, "
                "or set TAPE_HOME to another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield home / "logs"
    finally:
        os.close(descriptor)


@contextmanager
def embedded_stack(settings: Settings) -> Iterator[None]:
    """The embedded components that the settings leave to us run while inside.

    One that this started, or that an earlier `tape up` left behind when it was killed, is stopped
    at the end; one that `tape stack start` started goes on. Raises UserError as `stack.start` does.
    """
    with_kafka, with_postgres = settings.brokers is None, settings.database_url() is None
    if not with_kafka and not with_postgres:
        yield
        return
    marker = settings.home / _MARKER
    is_ours = _is_ours(settings.home, marker)
    if is_ours:
        _write(marker, [])  # a kill while the daemons start leaves them marked as well
    try:
        info = stack.start(settings.home, with_kafka=with_kafka, with_postgres=with_postgres)
        if is_ours:
            _write(marker, [pid for pid in (info.kafka_pid, info.postgres_pid) if pid])
        yield
    finally:
        if is_ours:
            stack.stop(settings.home)
            marker.unlink(missing_ok=True)


def _is_ours(path: Path, marker: Path) -> bool:
    """Whether what runs in the home, if anything does, was started by a `tape up`."""
    home = read_home(path)
    running = {kafka.pid(home), postgres.pid(home)} - {None} if home else set()
    if not running:
        return True
    try:
        started = json.loads(marker.read_bytes())
    except (OSError, ValueError):
        return False
    # Empty: it was killed before it knew their pids.
    return not started or running <= set(started)


def _write(marker: Path, pids: list[int]) -> None:
    draft = marker.with_name(marker.name + ".new")
    draft.write_text(json.dumps(pids))
    draft.replace(marker)

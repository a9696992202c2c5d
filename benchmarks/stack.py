"""The bench's own Kafka and PostgreSQL: in a temporary home, gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.signals import uninterrupted
from streams.embedded import stack
from streams.embedded.home import read_home
from streams.embedded.stack import StackInfo

#: The same for every contender. Commit times are the clock that all are measured by.
POSTGRES_SETTINGS = {
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "fsync": "on",
    "full_page_writes": "on",
    "track_commit_timestamp": "on",
}


@contextmanager
def temporary_stack() -> Iterator[StackInfo]:
    """A started stack with `POSTGRES_SETTINGS`, stopped and removed in the end."""
    home = Path(tempfile.mkdtemp(prefix="tickertape-bench-"))
    try:
        info = stack.start(home)
        with psycopg.connect(info.dsn, autocommit=True) as connection:
            for name, value in POSTGRES_SETTINGS.items():
                query = sql.SQL("alter system set {} = {}")
                connection.execute(query.format(sql.Identifier(name), value))
        stack.stop(home)
        info = stack.start(home)
        yield info
    finally:
        with uninterrupted():
            stack.stop(home)
            state = read_home(home)
            if state is not None:  # as root the database lies elsewhere
                shutil.rmtree(state.postgres_folder, ignore_errors=True)
            shutil.rmtree(home, ignore_errors=True)

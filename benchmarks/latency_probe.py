"""Notes when rows become visible to another connection: it looks about every millisecond.

Arguments: the job's file, the table, the file to append to. A line is the Unix time of the answer,
the index of a key, and the newest `time` of the key's rows, whenever that has changed.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.contender import Job
from benchmarks.dataset import KEYS
from streams.events.types import micros_of

_PAUSE_S = 0.001


def _micros(value: int | datetime) -> int:
    """The peers' table has integers, ours has timestamps."""
    return value if isinstance(value, int) else micros_of(value)


def _probe(dsn: str, table: str, seen: str) -> None:
    # One descent of the primary key's index for each key.
    newest = [
        sql.SQL("(select max(time) from {} where venue = {} and symbol = {})").format(
            sql.SQL(table), venue, symbol
        )
        for venue, symbol in KEYS
    ]
    query = sql.SQL("select {}").format(sql.SQL(", ").join(newest))
    last: list[int | None] = [None] * len(KEYS)
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        Path(seen).open("a", buffering=1, encoding="utf-8") as out,
    ):
        while True:
            row = connection.execute(query, prepare=True).fetchone()
            at = time.time()
            assert row is not None
            lines = [
                f"{at} {key} {_micros(value)}\n"
                for key, (value, before) in enumerate(zip(row, last, strict=True))
                if value != before
            ]
            if lines:
                out.write("".join(lines))
                last = list(row)
            time.sleep(_PAUSE_S)


if __name__ == "__main__":
    _probe(Job.load(sys.argv[1]).dsn, sys.argv[2], sys.argv[3])

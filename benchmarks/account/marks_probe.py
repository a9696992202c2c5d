"""Notes when marks become visible to another connection: it looks about every millisecond.

Arguments: a ticket, the file to append to; the DSN is in the environment. A line is the Unix time
of the answer and the mark of the ticket in `active_trades`, whenever that has changed.
"""

from __future__ import annotations

import os
import sys
import time
from decimal import Decimal
from pathlib import Path

import psycopg

_PAUSE_S = 0.001
_QUERY = "select mark from active_trades where ticket_id = %s"


def _probe(dsn: str, ticket: str, seen: str) -> None:
    last: Decimal | None = None
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        Path(seen).open("a", buffering=1, encoding="utf-8") as out,
    ):
        while True:
            row = connection.execute(_QUERY, [ticket], prepare=True).fetchone()
            at = time.time()
            if row is not None and row[0] is not None and row[0] != last:
                last = row[0]
                out.write(f"{at} {last:f}\n")
            time.sleep(_PAUSE_S)


if __name__ == "__main__":
    _probe(os.environ["TAPE_DSN"], *sys.argv[1:])

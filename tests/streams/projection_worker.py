"""The worker with a projection over topics of its own.

`python -m tests.streams.projection_worker PREFIX PROJECTION BROKERS DSN`
"""

from __future__ import annotations

import sys
from typing import Any

from projections import PROJECTIONS
from projections.base import Projection
from streams.app import Rules
from streams.settings import Endpoints
from streams.worker import Worker


def own_topic(prefix: str, topic: str) -> str:
    """The test's own topic in place of one of the catalogue."""
    return f"{prefix}-{topic}"


def own_projection(prefix: str, projection: str) -> Projection[Any]:
    """A projection as it ships, but for its topics and its name: its group and its schema."""
    base = PROJECTIONS[projection]
    own = {
        "name": f"{prefix}_{projection}".replace("-", "_"),
        "topics": tuple(own_topic(prefix, topic) for topic in base.topics),
        "sql_path": base.sql_path,
    }
    made: type[Projection[Any]] = type(base.__name__, (base,), own)
    return made()


if __name__ == "__main__":
    own_prefix, name, brokers, dsn = sys.argv[1:]
    endpoints = Endpoints(brokers, {}, dsn, True, True)
    sys.exit(Worker([own_projection(own_prefix, name)], endpoints, Rules()).run())

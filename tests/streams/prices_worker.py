"""The worker with `prices` over a topic of its own: `python prices_worker.py TOPIC BROKERS DSN`."""

from __future__ import annotations

import sys
from pathlib import Path

from projections.prices import Prices
from streams.app import Rules
from streams.settings import Endpoints
from streams.worker import Worker


def prices_over(topic: str) -> type[Prices]:
    """The projection as it ships, but for its name, and so its group and its schema."""

    class Own(Prices):
        name = topic.replace("-", "_")
        topics = (topic,)

        @classmethod
        def sql_path(cls) -> Path:
            return Prices.sql_path()

    return Own


if __name__ == "__main__":
    own_topic, brokers, dsn = sys.argv[1:]
    endpoints = Endpoints(brokers, {}, dsn, True, True)
    sys.exit(Worker([prices_over(own_topic)()], endpoints, Rules()).run())

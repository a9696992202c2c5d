"""Runs the worker with the dummy projection: `python -m dummy TOPIC VERSION BROKERS DSN`."""

import sys

from streams.app import Rules
from streams.settings import Endpoints
from streams.worker import Worker

from dummy.tally import Tally

if __name__ == "__main__":
    topic, version, brokers, dsn = sys.argv[1:]
    Tally.topics = (topic,)
    Tally.version = int(version)
    sys.exit(Worker([Tally()], Endpoints(brokers, {}, dsn, False, False), Rules()).run())

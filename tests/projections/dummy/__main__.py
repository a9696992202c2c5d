"""The worker with the dummy projection: arguments NAME VERSION TOPIC BROKERS DSN."""

import sys

from streams.app import Rules
from streams.settings import Endpoints
from streams.worker import Worker
from tests.projections.dummy.tally import Tally

if __name__ == "__main__":
    Tally.name, version, topic, brokers, dsn = sys.argv[1:]
    Tally.version, Tally.topics = int(version), (topic,)
    sys.exit(Worker([Tally()], Endpoints(brokers, {}, dsn, True, True), Rules()).run())

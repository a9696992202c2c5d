"""Two hundred groups that read, each five partitions, and commit every five seconds.

Their members need not be real for that: a commit is a commit. A third of them keeps up, a third
is behind, and a third stands still, so that there are records to be dated.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

GROUPS = 200
#: Of each group.
PARTITIONS = 5
TOPICS = 20
EVERY_S = 5.0
#: Records a second, over all partitions.
_RATE = 200


def main(brokers: str) -> None:
    """Until it is killed; prints a line once every group has committed."""
    admin = AdminClient({"bootstrap.servers": brokers})
    topics = [f"watched-{number}" for number in range(TOPICS)]
    made = admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in topics])
    for future in made.values():
        future.result()
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20})
    appended = 0
    rounds = 0
    while True:
        began = time.monotonic()
        for _ in range(int(_RATE * EVERY_S)):
            place = appended % (TOPICS * PARTITIONS)
            producer.produce(topics[place % TOPICS], b"x" * 100, partition=place // TOPICS)
            appended += 1
        producer.flush()
        end = appended // (TOPICS * PARTITIONS)
        _commit(admin, topics, end)
        rounds += 1
        if rounds == 2:
            print("committing", flush=True)
        time.sleep(max(0.0, began + EVERY_S - time.monotonic()))


def _commit(admin: AdminClient, topics: list[str], end: int) -> None:
    futures: list[Future[Any]] = []
    for number in range(GROUPS):
        offset = {0: end, 1: end // 2, 2: min(end, 3)}[number % 3]
        places = [
            TopicPartition(topics[number % TOPICS], partition, offset)
            for partition in range(PARTITIONS)
        ]
        asked = [ConsumerGroupTopicPartitions(f"watched-{number}", places)]
        futures += admin.alter_consumer_group_offsets(asked).values()
    for future in futures:
        future.result()


if __name__ == "__main__":
    main(sys.argv[1])

"""What a fetch takes from which partition: the oldest records first, by append time.

Left to itself aiokafka empties what it has of one partition before it takes the next. Then one
topic is read far ahead of another, and what belongs together (a command, its order, its fills)
comes in different units of work; a projection that reckons by key does all of it more than once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult

#: So many records of one partition are taken before it is asked again which is behind.
_SLICE = 100
#: The broker may hold a fetch this long (milliseconds) while nothing is there. Not longer: until it
#: answers, a partition that was emptied meanwhile is not asked for again.
FETCH_MAX_WAIT_MS = 100
#: How long (seconds) the others wait for a partition that is behind and has nothing fetched: what
#: the broker may hold the fetch before, and time for its own.
_PATIENCE = 2.5 * FETCH_MAX_WAIT_MS / 1000

Fetched = dict[Any, list[Any]]
Fetching = Callable[..., Awaitable[Fetched]]


@dataclass
class Progress:
    """How many seeks a consumer has done, and the append time (milliseconds) up to which it has
    read each partition since the last."""

    seeks: int = 0
    reached: dict[Any, int] = field(default_factory=dict)

    def sought(self) -> None:
        """Count a seek."""
        self.seeks += 1
        self.reached = {}


async def oldest_first(
    fetch: Fetching,
    consumer: AIOKafkaConsumer,
    partitions: Collection[TopicPartition],
    timeout: float | None,
    most: int | None,
    progress: Progress,
) -> Fetched:
    """At most so many records, of the partitions that are furthest behind; all of the last seek.

    `fetch` is Faust's; it gives what aiokafka has already got, or waits for more. Once something
    was taken, no error may be raised any more, for it would be lost: the error comes again.
    """
    assert most is not None
    taken: Fetched = {}
    left, seeks = most, progress.seeks
    while left:
        unread = _unread(consumer, partitions)
        behind = min(unread, key=lambda tp: progress.reached.get(tp, 0), default=None)
        if behind is None or (taken and not _is_there(consumer, behind)):
            break
        wait = 0.0 if _is_there(consumer, behind) else _PATIENCE
        try:
            got = await _fetch(fetch, consumer, {behind}, wait, min(left, _SLICE))
        except Exception:
            if not taken:
                raise
            break
        if progress.seeks != seeks:
            taken, left, seeks = {}, most, progress.seeks
        if behind not in got:
            break
        records = got[behind]
        taken.setdefault(behind, []).extend(records)
        progress.reached[behind] = records[-1].timestamp
        left -= len(records)
    if taken:
        return taken
    got = await _fetch(fetch, consumer, partitions, timeout, _SLICE)
    progress.reached |= {tp: records[-1].timestamp for tp, records in got.items()}
    return got


async def _fetch(
    fetch: Fetching,
    consumer: AIOKafkaConsumer,
    partitions: Collection[TopicPartition],
    timeout: float | None,
    most: int,
) -> Fetched:
    _prepare(consumer)
    got = await fetch(consumer, partitions, timeout=timeout, max_records=most)
    return {tp: records for tp, records in got.items() if records}


def _unread(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> Iterable[TopicPartition]:
    """The partitions that are known to have more records."""
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None:
        return
    for tp in partitions:
        state = assignment.state_value(tp)
        if state is None or not state.has_valid_position or state.highwater is None:
            continue
        if state.position < state.highwater:
            yield tp


def _is_there(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
    return type(consumer._fetcher._records.get(tp)) is FetchResult


def _prepare(consumer: AIOKafkaConsumer) -> None:
    """Two changes of what was fetched and not taken yet.

    Its records stay the objects of the C parser: wrapping each costs more than parsing it. And it
    does not keep a partition that was emptied from being fetched again (aiokafka: for 0.1 s).
    """
    for result in consumer._fetcher._records.values():
        if type(result) is FetchResult and result._partition_records is not None:
            result._partition_records._consumer_record = _bare
            result._backoff = 0.0


def _bare(_tp: Any, record: Any) -> Any:
    return record

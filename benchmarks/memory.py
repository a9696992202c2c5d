"""Memory of one worker over a million events that all wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from benchmarks.contender import Contender
from benchmarks.processes import Sample
from benchmarks.runner import Topic, run
from streams.embedded.stack import StackInfo

RECORDS = 1_000_000


@dataclass(frozen=True)
class Memory:
    """Resident bytes of the largest process: `peak`, and the median in each quarter of the time."""

    records: int
    peak: int
    quarters: Sequence[int]


def measure(info: StackInfo, contender: Contender, topic: Topic) -> Memory:
    """Runs a contender over a topic (of `RECORDS` records), with its memory sampled.

    Flat is when the last quarter is no higher than the second: the first one holds the start.
    """
    result = run(info, contender, topic, f"{contender.name}-memory")
    return Memory(
        topic.records,
        max(sample.largest for sample in result.samples),
        _quarters(result.samples),
    )


def _quarters(samples: Sequence[Sample]) -> list[int]:
    bounds = [len(samples) * part // 4 for part in range(5)]
    return [
        int(median(sample.largest for sample in samples[low:high]))
        for low, high in pairwise(bounds)
    ]

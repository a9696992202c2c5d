"""A picture as Prometheus metrics. What is not known has no sample, rather than a zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from streams.monitor.model import Picture
from streams.monitor.telling.prometheus import expected, flow, stores

__all__ = ["PictureCollector", "metrics"]


class PictureCollector(Collector):
    """Collects the newest picture; nothing before there is one."""

    def __init__(self, latest: Callable[[], Picture | None], cluster: str) -> None:
        """`cluster` is the label `cluster_name` that kafka-lag-exporter's names have."""
        self._latest = latest
        self._cluster = cluster

    def collect(self) -> Iterable[Metric]:
        picture = self._latest()
        return metrics(picture, self._cluster) if picture is not None else []

    def describe(self) -> Iterable[Metric]:
        return []


def metrics(picture: Picture, cluster: str) -> list[Metric]:
    """All families that have a sample. Pure: the same picture gives the same."""
    found = [
        *expected.lag_exporter(picture, cluster),
        *expected.kafka_exporter(picture),
        *flow.of_groups(picture),
        *flow.of_freshness(picture),
        *flow.of_feeds(picture.feeds),
        *flow.of_health(picture),
        *stores.of_records(picture),
        *stores.of_postgres(picture),
        *stores.of_machine(picture),
    ]
    return [family for family in found if family.samples]

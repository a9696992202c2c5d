"""What the families of metrics share."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

from streams.monitor.model import Group, Partition, Picture

__all__ = ["gauge", "partitions", "single"]


def gauge(name: str, text: str, labels: list[str]) -> GaugeMetricFamily:
    """A gauge without samples yet."""
    return GaugeMetricFamily(name, text, labels=labels)


def single(name: str, text: str, value: float) -> GaugeMetricFamily:
    """A gauge without labels."""
    return GaugeMetricFamily(name, text, value=value)


def partitions(picture: Picture) -> Iterator[tuple[Group, Partition]]:
    """Every partition of every group."""
    return ((group, one) for group in picture.groups for one in group.partitions)

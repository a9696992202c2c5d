"""The names that existing dashboards and alerts expect.

Those of kafka-lag-exporter (`kafka_consumergroup_group_lag`, …) and of kafka_exporter
(`kafka_consumergroup_lag`, …).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from streams.monitor.model import Picture
from streams.monitor.telling.prometheus.families import gauge, partitions

__all__ = ["kafka_exporter", "lag_exporter"]

_EXPORTER = ["cluster_name", "group", "topic", "partition", "member_host", "consumer_id"]
_EXPORTER += ["client_id"]


def lag_exporter(picture: Picture, cluster: str) -> Iterator[Metric]:
    lag = gauge("kafka_consumergroup_group_lag", "Records that wait.", _EXPORTER)
    lag_s = gauge("kafka_consumergroup_group_lag_seconds", "Age of the first of them.", _EXPORTER)
    offset = gauge("kafka_consumergroup_group_offset", "Next offset to be read.", _EXPORTER)
    for group, one in partitions(picture):
        client, _, host = (one.owner or "").partition("@")
        labels = [cluster, group.name, one.topic, str(one.partition), host, "", client]
        lag.add_metric(labels, one.lag)
        offset.add_metric(labels, one.current)
        if one.lag_s is not None:
            lag_s.add_metric(labels, one.lag_s)
    yield from (lag, lag_s, offset)
    yield from _sums_of_groups(picture, cluster)
    latest = gauge(
        "kafka_partition_latest_offset", "End offset.", ["cluster_name", "topic", "partition"]
    )
    earliest = gauge(
        "kafka_partition_earliest_offset", "First one.", ["cluster_name", "topic", "partition"]
    )
    for place, (start, end) in _bounds(picture).items():
        latest.add_metric([cluster, *place], end)
        earliest.add_metric([cluster, *place], start)
    yield from (latest, earliest)


def _sums_of_groups(picture: Picture, cluster: str) -> Iterator[Metric]:
    labels = ["cluster_name", "group"]
    most = gauge("kafka_consumergroup_group_max_lag", "Most in one partition.", labels)
    most_s = gauge("kafka_consumergroup_group_max_lag_seconds", "Longest of them.", labels)
    total = gauge("kafka_consumergroup_group_sum_lag", "Records that wait.", labels)
    topics = gauge("kafka_consumergroup_group_topic_sum_lag", "By topic.", [*labels, "topic"])
    for group in picture.groups:
        most.add_metric(
            [cluster, group.name], max((one.lag for one in group.partitions), default=0)
        )
        total.add_metric([cluster, group.name], group.lag)
        if group.lag_s is not None:
            most_s.add_metric([cluster, group.name], group.lag_s)
        for topic in sorted({one.topic for one in group.partitions}):
            lag = sum(one.lag for one in group.partitions if one.topic == topic)
            topics.add_metric([cluster, group.name, topic], lag)
    yield from (most, most_s, total, topics)


def kafka_exporter(picture: Picture) -> Iterator[Metric]:
    labels = ["consumergroup", "topic", "partition"]
    lag = gauge("kafka_consumergroup_lag", "Records that wait.", labels)
    offset = gauge("kafka_consumergroup_current_offset", "Next offset to be read.", labels)
    members = gauge("kafka_consumergroup_members", "Members of the group.", ["consumergroup"])
    for group, one in partitions(picture):
        place = [group.name, one.topic, str(one.partition)]
        lag.add_metric(place, one.lag)
        offset.add_metric(place, one.current)
    for group in picture.groups:
        members.add_metric([group.name], group.members)
    counts = gauge("kafka_topic_partitions", "Partitions of the topic.", ["topic"])
    for topic in picture.topics:
        counts.add_metric([topic.name], topic.partitions)
    newest = gauge("kafka_topic_partition_current_offset", "End offset.", ["topic", "partition"])
    oldest = gauge("kafka_topic_partition_oldest_offset", "First one.", ["topic", "partition"])
    for one_place, (start, end) in _bounds(picture).items():
        newest.add_metric(list(one_place), end)
        oldest.add_metric(list(one_place), start)
    yield from (lag, offset, members, counts, newest, oldest)


def _bounds(picture: Picture) -> dict[tuple[str, str], tuple[int, int]]:
    return {(one.topic, str(one.partition)): (one.start, one.end) for _, one in partitions(picture)}

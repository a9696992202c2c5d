"""Our own names: lag, freshness, services and incidents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from streams.monitor.model import Feed, Picture, State
from streams.monitor.telling.prometheus.families import gauge, partitions, single

__all__ = ["of_feeds", "of_freshness", "of_groups", "of_health"]

_SECOND = 1_000_000
_PLACE = ["group", "projection", "topic", "partition"]


def of_groups(picture: Picture) -> Iterator[Metric]:
    lag_s = gauge("tape_lag_seconds", "Age of the first record that waits; 0: none.", _PLACE)
    lag = gauge("tape_lag_records", "Records that wait.", _PLACE)
    left = gauge("tape_retention_left_seconds", "Until the first may be deleted.", _PLACE)
    moved = gauge("tape_checkpoint_moved_timestamp_seconds", "When it moved last.", _PLACE)
    state = gauge("tape_partition_state", "1 for the state that it is in.", [*_PLACE, "state"])
    burrow = gauge("tape_burrow_status", "0 to 6: Burrow's constants.", _PLACE)
    for group, one in partitions(picture):
        place = [group.name, group.projection or "", one.topic, str(one.partition)]
        lag.add_metric(place, one.lag)
        burrow.add_metric(place, one.burrow)
        for each in State:
            state.add_metric([*place, each], each == one.state)
        if one.lag_s is not None:
            lag_s.add_metric(place, one.lag_s)
        if one.hours_left is not None:
            left.add_metric(place, one.hours_left * 3600)
        if one.moved is not None:
            moved.add_metric(place, one.moved / _SECOND)
    yield from (lag_s, lag, left, moved, state, burrow)
    names = ["group", "projection"]
    read = gauge("tape_consumed_records_per_second", "Records that are read.", names)
    come = gauge("tape_arriving_records_per_second", "Records that are appended.", names)
    until = gauge("tape_catch_up_seconds", "Until nothing waits, at this pace.", names)
    members = gauge("tape_group_members", "Who reads in it, by the brokers.", names)
    for group in picture.groups:
        of_group = [group.name, group.projection or ""]
        members.add_metric(of_group, group.members)
        for family, value in (
            (read, group.consumed),
            (come, group.arriving),
            (until, group.catch_up_s),
        ):
            if value is not None:
                family.add_metric(of_group, value)
    yield from (read, come, until, members)


def of_freshness(picture: Picture) -> Iterator[Metric]:
    labels = ["topic", "source"]
    age = gauge("tape_freshness_seconds", "Age of the newest event, by event time.", labels)
    limit = gauge("tape_freshness_limit_seconds", "From which on it is so.", [*labels, "severity"])
    is_open = gauge("tape_market_open", "1 while its market is open.", labels)
    for one in picture.freshness:
        place = [one.topic, one.source]
        age.add_metric(place, one.age_s)
        is_open.add_metric(place, one.is_open)
        for severity, value in (
            ("warning", one.warn_s),
            ("stale", one.stale_s),
            ("critical", one.critical_s),
        ):
            limit.add_metric([*place, severity], value)
    yield from (age, limit, is_open)


def of_feeds(feeds: Iterable[Feed]) -> Iterator[Metric]:
    # Not `instance`: that is the label by which Prometheus tells its targets apart.
    labels = ["service", "process"]
    up = gauge("tape_service_up", "1 while it works or stands by.", [*labels, "state"])
    heard = gauge("tape_service_heartbeat_timestamp_seconds", "The last one.", labels)
    frame = gauge("tape_service_last_frame_timestamp_seconds", "The last one.", labels)
    skew = gauge("tape_service_clock_skew_seconds", "This clock less the venue's.", labels)
    cpu = gauge("tape_service_cpu_ratio", "Of one core.", labels)
    memory = gauge("tape_service_memory_bytes", "Resident.", labels)
    counts = {
        name: CounterMetricFamily(f"tape_service_{name}", f"{text} since it began.", labels=labels)
        for name, text in (
            ("events", "Events that were produced"),
            ("reconnects", "Connections that were made again"),
            ("gaps", "Gaps that were found"),
            ("unparsed", "Frames that could not be read"),
        )
    }
    for one in feeds:
        place = [one.service, one.instance]
        up.add_metric([*place, one.state], one.state in ("connected", "standby"))
        heard.add_metric(place, one.heard / _SECOND)
        cpu.add_metric(place, one.cpu_percent / 100)
        memory.add_metric(place, one.memory)
        if one.last_frame is not None:
            frame.add_metric(place, one.last_frame / _SECOND)
        if one.clock_skew_s is not None:
            skew.add_metric(place, one.clock_skew_s)
        for name, family in counts.items():
            family.add_metric(place, getattr(one, name))
    yield from (up, heard, frame, skew, cpu, memory, *counts.values())


def of_health(picture: Picture) -> Iterator[Metric]:
    up = gauge("tape_source_up", "1 while it answers the monitor.", ["source"])
    read = gauge("tape_source_read_timestamp_seconds", "When it did last.", ["source"])
    for source in picture.sources:
        up.add_metric([source.name], source.is_up)
        if source.read is not None:
            read.add_metric([source.name], source.read / _SECOND)
    yield from (up, read)
    incident = gauge("tape_incident", "1 while it lasts.", ["cause", "severity"])
    for one in picture.incidents:
        incident.add_metric([one.cause, one.level.name.lower()], 1)
    yield incident
    yield single("tape_health_level", "0 ok, 1 warning, 2 critical.", picture.level)
    taken = picture.taken / _SECOND
    yield single("tape_look_timestamp_seconds", "When the monitor looked last.", taken)

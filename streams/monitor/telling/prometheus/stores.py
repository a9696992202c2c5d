"""Our own names: what the tables hold, PostgreSQL, topics, disks and the machine."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from streams.monitor.model import Picture
from streams.monitor.telling.prometheus.families import gauge, single

__all__ = ["of_machine", "of_postgres", "of_records"]


def of_records(picture: Picture) -> Iterator[Metric]:
    letters = gauge("tape_dead_letters", "Dead letters that wait.", ["projection"])
    by_projection = {one.projection: 0 for one in picture.groups if one.projection}
    for letter in picture.dead_letters:
        waiting = by_projection.get(letter.projection, 0)
        by_projection[letter.projection] = waiting + letter.waiting
    for name, waiting in by_projection.items():
        letters.add_metric([name], waiting)
    yield letters
    for name, text, value in (
        ("tape_unmatched_fills", "Fills that belong to no trade.", "unmatched_fills"),
        ("tape_position_differences", "Where the venue says otherwise.", "position_differences"),
        ("tape_cash_unexplained_dollars", "Cash that nothing explains.", "unexplained"),
        ("tape_active_trades", "Trades that are held.", "active_trades"),
        ("tape_stale_marks", "Of these, with marks that are too old.", "stale_marks"),
    ):
        family = gauge(name, text, ["account"])
        for account in picture.accounts:
            family.add_metric([account.account], float(getattr(account, value)))
        yield family


def of_postgres(picture: Picture) -> Iterator[Metric]:
    size = gauge("tape_table_bytes", "With indexes and partitions.", ["projection", "table"])
    rows = gauge("tape_table_rows", "By the server's statistics.", ["projection", "table"])
    for table in picture.tables:
        size.add_metric([table.projection, table.name], table.bytes)
        rows.add_metric([table.projection, table.name], table.rows)
    yield from (size, rows)
    if picture.database_bytes is not None:
        yield single("tape_database_bytes", "The whole database.", picture.database_bytes)
    one = picture.postgres
    if one is None:
        return
    for name, text, value in (
        ("connections", "Sessions.", one.connections),
        ("connections_limit", "How many there may be.", one.max_connections),
        ("waiting_locks", "Sessions that wait for a lock.", one.waiting_locks),
        ("blocked_seconds", "How long one of ours waits for a lock.", one.blocked_s),
        ("longest_transaction_seconds", "The oldest one.", one.longest_transaction_s),
        ("replication_slots", "Slots.", one.slots),
        ("replication_slot_bytes", "WAL that one of them holds back.", one.slots_bytes),
        ("dead_rows", "Rows to be vacuumed.", one.dead_rows),
        ("live_rows", "Rows.", one.live_rows),
    ):
        yield single(f"tape_postgres_{name}", text, value)
    if one.cache_hits is not None:
        yield single("tape_postgres_cache_hit_ratio", "Blocks found in memory.", one.cache_hits)


def of_machine(picture: Picture) -> Iterator[Metric]:
    sizes = gauge("tape_topic_bytes", "On disk, of the largest replica.", ["topic"])
    records = CounterMetricFamily(
        "tape_topic_records", "Records that were ever appended.", labels=["topic"]
    )
    for topic in picture.topics:
        records.add_metric([topic.name], topic.end)
        if topic.bytes is not None:
            sizes.add_metric([topic.name], topic.bytes)
    yield from (sizes, records)
    free = gauge("tape_disk_free_bytes", "What is left.", ["holds", "path"])
    total = gauge("tape_disk_size_bytes", "The whole file system.", ["holds", "path"])
    full = gauge("tape_disk_full_seconds", "Until it is full, at this pace.", ["holds", "path"])
    for disk in picture.disks:
        free.add_metric([disk.holds, disk.path], disk.free)
        total.add_metric([disk.holds, disk.path], disk.total)
        if disk.hours_left is not None:
            full.add_metric([disk.holds, disk.path], disk.hours_left * 3600)
    yield from (free, total, full)
    if picture.host is not None:
        yield single("tape_host_cpu_ratio", "Of all cores.", picture.host.cpu_percent / 100)
        yield single("tape_host_memory_used_bytes", "Taken.", picture.host.memory_used)
        yield single("tape_host_memory_size_bytes", "All of it.", picture.host.memory_total)

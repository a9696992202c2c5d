"""What is wrong with broker, database, disks and the machine."""

from __future__ import annotations

from collections.abc import Iterator

from streams.monitor.model import Disk, Level, Picture, Postgres
from streams.monitor.sentences import clock, span
from streams.monitor.symptoms.base import Symptom
from streams.monitor.thresholds import Thresholds

__all__ = ["of_disk", "of_host", "of_postgres", "of_stores"]


def of_stores(picture: Picture) -> Iterator[Symptom]:
    for source in picture.sources:
        if not source.is_up:
            since = source.read or picture.taken
            last = f"; last values of {clock(source.read)}" if source.read else ""
            reason = f": {source.error}" if source.error else ""
            yield Symptom(
                source.name,
                Level.CRITICAL,
                since,
                f"the {source.name} does not answer{reason}{last}",
                causes=(f"disk/{'log' if source.name == 'broker' else 'database'}",),
            )


def of_postgres(picture: Picture, thresholds: Thresholds) -> Iterator[Symptom]:
    postgres = picture.postgres
    if postgres is None:
        return
    for level, text in _complaints(postgres, thresholds):
        yield Symptom("database", level, picture.taken, text)


def _complaints(postgres: Postgres, thresholds: Thresholds) -> Iterator[tuple[Level, str]]:
    if postgres.blocked is not None and postgres.blocked_s >= thresholds.lock_warn_s:
        is_long = postgres.blocked_s >= thresholds.lock_critical_s
        yield Level.CRITICAL if is_long else Level.WARNING, f"PostgreSQL: {postgres.blocked}"
    if postgres.longest_transaction_s >= thresholds.transaction_warn_s:
        age, who = span(postgres.longest_transaction_s), postgres.longest_transaction
        yield Level.WARNING, f"PostgreSQL: {who} has a transaction open for {age}"
    if postgres.connections >= thresholds.connections_warn_part * postgres.max_connections:
        yield (
            Level.WARNING,
            f"PostgreSQL: {postgres.connections} of {postgres.max_connections} connections taken",
        )
    if postgres.slots_bytes >= thresholds.slots_warn_bytes:
        size = f"{postgres.slots_bytes / 1e9:.1f} GB"
        yield Level.WARNING, f"PostgreSQL: a replication slot holds back {size} of WAL"


def of_disk(disk: Disk, now: int, thresholds: Thresholds) -> Iterator[Symptom]:
    part = disk.free / disk.total if disk.total else 1.0
    hours = disk.hours_left
    if part < thresholds.disk_critical_part or (hours or 1e9) < thresholds.disk_critical_h:
        level = Level.CRITICAL
    elif part < thresholds.disk_warn_part or (hours or 1e9) < thresholds.disk_warn_h:
        level = Level.WARNING
    else:
        return
    pace = f", full in {span(hours * 3600)}" if hours is not None else ""
    text = f"disk of the {disk.holds} ({disk.path}): {part:.0%} free, {disk.free / 1e9:.1f} GB"
    yield Symptom(f"disk/{disk.holds}", level, now, text + pace)


def of_host(picture: Picture, thresholds: Thresholds) -> Iterator[Symptom]:
    host = picture.host
    if host is not None and host.memory_used >= thresholds.memory_warn_part * host.memory_total:
        text = f"memory: {host.memory_used / host.memory_total:.0%} of this machine is taken"
        yield Symptom("host", Level.WARNING, picture.taken, text, patience_s=10.0)

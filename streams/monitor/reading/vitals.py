"""How PostgreSQL, this machine and the disks do."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import psutil

from projections.base import Connection
from streams.monitor.model import Disk, Host, Postgres, Table
from streams.monitor.reading.log_dirs import LogDir

__all__ = ["Blocking", "Filling", "log_disks", "read_database_disk", "read_host"]
__all__ += ["read_postgres", "read_size", "read_tables"]

# One row of each, in one statement.
_VITALS = """
select activity.*, slots.*, rows.*, blocks.*
from (
    select
        count(*) filter (where backend_type = 'client backend')::integer,
        current_setting('max_connections')::integer,
        count(*) filter (where wait_event_type = 'Lock')::integer,
        coalesce(max(age), 0)::float8,
        (array_agg(coalesce(nullif(application_name, ''), 'pid ' || pid) order by age desc)
            filter (where age is not null))[1]
    from (
        select
            *,
            case when backend_type = 'client backend' and pid <> pg_backend_pid()
                then extract(epoch from clock_timestamp() - xact_start) end as age
        from pg_stat_activity
    ) as sessions
) as activity
cross join (
    select
        count(*)::integer,
        coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint
    from pg_replication_slots
    where not pg_is_in_recovery()
) as slots
cross join (
    select coalesce(sum(n_dead_tup), 0)::bigint, coalesce(sum(n_live_tup), 0)::bigint
    from pg_stat_user_tables
) as rows
cross join (
    select coalesce(blks_hit, 0)::bigint, coalesce(blks_read, 0)::bigint
    from pg_stat_database
    where datname = current_database()
) as blocks
"""

# A table that has no partitions has no tree either.
_TABLES = """
select
    g.projection,
    c.relname,
    sum(pg_total_relation_size(t.relid))::bigint,
    coalesce(sum(greatest(r.reltuples, s.n_live_tup, 0)), 0)::bigint
from public.generations as g
join pg_namespace as n on n.nspname = g.projection || '_' || g.generation
join pg_class as c on c.relnamespace = n.oid and c.relkind in ('r', 'p') and not c.relispartition
cross join lateral (
    select c.oid as relid union select relid from pg_partition_tree(c.oid)
) as t
join pg_class as r on r.oid = t.relid
left join pg_stat_user_tables as s on s.relid = t.relid
where g.is_current
group by g.projection, c.relname
order by 3 desc, 1, 2
"""

_BLOCKED = """
select
    w.application_name,
    extract(epoch from clock_timestamp() - w.state_change)::float8,
    coalesce(nullif(b.application_name, ''), 'a session'),
    b.pid
from pg_stat_activity as w
cross join lateral unnest(pg_blocking_pids(w.pid)) as by (pid)
join pg_stat_activity as b on b.pid = by.pid
where w.wait_event_type = 'Lock' and w.application_name like 'tickertape %'
order by 2 desc
limit 1
"""

_FOLDER = "select (select setting from pg_settings where name = 'data_directory')"
_LOCAL = {"", "localhost", "127.0.0.1", "::1"}
#: A holder that is not waited for, for so long, is waited for anew.
_SAME_WAIT_S = 6.0
#: How long, and how densely, the free space of a disk is remembered. Seconds.
_REMEMBERED_S = 3600.0
_RECENT_S = 60.0
_POINT_EVERY_S = 5.0
#: A pace is told of at least so many seconds, and believed for so many times as long.
_SHORTEST_S = 8.0
_CREDIBLE = 30


class Filling:
    """The pace at which a disk fills, by its last looks."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def hours_left(self, at: float, free: int) -> float | None:
        """Until nothing is free; `at` in seconds of a clock that never jumps.

        None where it does not fill, or no faster than a short burst would. The pace of the last
        minute, or of all that is remembered, tells only of a time that is not much longer.
        """
        if not self._points or at - self._points[-1][0] >= _POINT_EVERY_S:
            self._points.append((at, free))
        while at - self._points[0][0] > _REMEMBERED_S:
            self._points.popleft()
        recent = next(point for point in self._points if at - point[0] <= _RECENT_S)
        hours = [_until_full(point, at, free) for point in (self._points[0], recent)]
        return min((one for one in hours if one is not None), default=None)


def _until_full(point: tuple[float, int], at: float, free: int) -> float | None:
    since, before = point
    seconds = at - since
    if seconds < _SHORTEST_S or before <= free:
        return None
    left = free * seconds / (before - free)
    return left / 3600 if left <= _CREDIBLE * seconds else None


async def read_postgres(connection: Connection, blocking: Blocking) -> Postgres:
    """PostgreSQL's vitals; the hit ratio is that of all blocks since the statistics began."""
    found = await _row(connection, _VITALS)
    connections, most, locks, age, name, slots, slots_bytes, dead, live, hit, read = found
    blocked, blocked_s = await blocking.read(connection) if locks else (None, 0.0)
    return Postgres(
        connections=connections,
        max_connections=most,
        waiting_locks=locks,
        blocked=blocked,
        blocked_s=blocked_s,
        longest_transaction_s=age,
        longest_transaction=name,
        slots=slots,
        slots_bytes=slots_bytes,
        dead_rows=dead,
        live_rows=live,
        cache_hits=hit / (hit + read) if hit + read else None,
    )


async def read_tables(connection: Connection) -> list[Table]:
    """The tables of all current generations, the largest first; rows by the statistics."""
    rows = await (await connection.execute(_TABLES)).fetchall()
    return [Table(projection, name, size, count) for projection, name, size, count in rows]


class Blocking:
    """How long sessions of ours have been waiting for one that holds a lock.

    A unit of work gives up after some seconds and tries again, so no single wait lasts long.
    """

    def __init__(self) -> None:
        self._holder: int | None = None
        self._since = self._seen = 0.0

    def waits(self, holder: int, seconds: float, at: float) -> float:
        """Seconds that `holder` (a pid) has held up others, one of which waits for `seconds` now.

        `at` in seconds of a clock that never jumps.
        """
        if holder != self._holder or at - self._seen > _SAME_WAIT_S:
            self._holder, self._since = holder, at - seconds
        self._seen = at
        return at - self._since

    async def read(self, connection: Connection) -> tuple[str | None, float]:
        """A sentence about the session of ours that waits, if one does, and for how long."""
        row = await (await connection.execute(_BLOCKED)).fetchone()
        if row is None:
            return None, 0.0
        waiter, seconds, holder, pid = row
        waits = self.waits(pid, seconds, time.monotonic())
        return (
            f"{waiter} waits for a lock for {waits:.0f} s, which {holder} (pid {pid}) holds",
            waits,
        )


def read_host() -> Host:
    """This machine, now; the CPU since the last call."""
    memory = psutil.virtual_memory()
    return Host(
        cpu_percent=psutil.cpu_percent(),
        memory_used=memory.total - memory.available,
        memory_total=memory.total,
        load=os.getloadavg()[0],
    )


async def read_size(connection: Connection) -> int:
    """Bytes that the database takes."""
    (size,) = await _row(connection, "select pg_database_size(current_database())")
    return int(size)


def log_disks(folders: Sequence[LogDir]) -> list[Disk]:
    """The file systems of the log, as the brokers tell."""
    return [
        Disk("log", f"broker {one.node}: {one.path}", one.free, one.total, None)
        for one in folders
        if one.total > 0
    ]


async def read_database_disk(connection: Connection) -> Disk | None:
    """The file system of the database, where the server is on this machine and tells its folder."""
    if connection.info.host not in _LOCAL:
        return None
    (path,) = await _row(connection, _FOLDER)
    try:
        usage = shutil.disk_usage(path)
    except (OSError, TypeError):  # a folder that may not be looked at, or is not told
        return None
    return Disk("database", path, usage.free, usage.total, None)


async def _row(connection: Connection, query: str) -> tuple[Any, ...]:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return tuple(row)

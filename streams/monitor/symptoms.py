"""What is wrong in a picture: sentences, each about one node of the system, and its likely causes.

A node is a thing that can fail: `broker`, `database`, `disk/log`, `feed/coinbase`,
`projection/prices`, `group/…`, `source/coinbase:BTC-USD`, `marks/…`. `causes` are the nodes that
would explain the symptom, the likeliest first; see `incidents` for how one incident comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from projections import PROJECTIONS
from streams.connectors.kalshi.delivery import venue_of
from streams.connectors.kalshi.index_frames import venue_of_index
from streams.monitor.feeds import GONE
from streams.monitor.model import (
    Account,
    Disk,
    Feed,
    Freshness,
    Group,
    Level,
    Partition,
    Picture,
    Postgres,
    State,
    Trend,
)
from streams.monitor.sentences import clock, ranges, span
from streams.monitor.thresholds import Thresholds

__all__ = ["Symptom", "follows", "symptoms"]

_SECOND = 1_000_000
_STORES = ("broker", "database")
#: A group of others that has no member, and has committed nothing for so long, is no concern.
_ABANDONED_S = 3600
#: States of a feed that are as somebody wants them.
_QUIET = {"standby", "stopped"}


@dataclass(frozen=True, slots=True)
class Symptom:
    """A sentence about a node, and since when; it counts once it has lasted `patience_s`."""

    node: str
    level: Level
    since: int
    text: str
    causes: tuple[str, ...] = ()
    patience_s: float = 0.0


def symptoms(picture: Picture, thresholds: Thresholds) -> list[Symptom]:
    """All of them. Pure: the same picture gives the same."""
    return [
        *_of_stores(picture),
        *_of_postgres(picture, thresholds),
        *(one for disk in picture.disks for one in _of_disk(disk, picture.taken, thresholds)),
        *_of_host(picture, thresholds),
        *(one for feed in picture.feeds for one in _of_feed(feed, picture)),
        *(one for group in picture.groups for one in _of_group(group, picture.taken, thresholds)),
        *(one for source in picture.freshness for one in _of_source(source, picture)),
        *_of_dead_letters(picture),
        *(one for account in picture.accounts for one in _of_account(account, picture)),
    ]


def follows(service: str) -> tuple[tuple[str, str], ...]:
    """The topic and venue pairs that a feed's events belong to; none for a worker."""
    kind, _, name = service.partition("/")
    if kind != "producer":
        return ()
    feed, _, owner = name.partition("@")
    if feed == "kalshi-account":
        return (("kalshi.account", owner),)
    if owner:
        prices = (("price.ticks", venue_of_index(owner)),) if feed == "kalshi-market" else ()
        return (("kalshi.market", venue_of(owner)), *prices)
    return (("price.ticks", feed.replace("-", "_")),)


def _of_stores(picture: Picture) -> Iterator[Symptom]:
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


def _of_postgres(picture: Picture, thresholds: Thresholds) -> Iterator[Symptom]:
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


def _of_disk(disk: Disk, now: int, thresholds: Thresholds) -> Iterator[Symptom]:
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


def _of_host(picture: Picture, thresholds: Thresholds) -> Iterator[Symptom]:
    host = picture.host
    if host is not None and host.memory_used >= thresholds.memory_warn_part * host.memory_total:
        text = f"memory: {host.memory_used / host.memory_total:.0%} of this machine is taken"
        yield Symptom("host", Level.WARNING, picture.taken, text, patience_s=10.0)


def _of_feed(feed: Feed, picture: Picture) -> Iterator[Symptom]:
    if feed.state in _QUIET or (feed.state == GONE and _is_worker(feed)):
        return  # of a worker that is gone, its groups tell more
    name = feed.service.partition("/")[2]
    node = f"feed/{name}"
    since = clock(feed.since)
    detail = f": {feed.detail}" if feed.detail else ""
    if feed.state == GONE:
        age = span((picture.taken - feed.heard) / _SECOND)
        text = f"{name}: gone, no heartbeat for {age} from {feed.instance}"
        yield Symptom(node, Level.CRITICAL, feed.heard, text, causes=("broker", "host"))
    elif feed.state == "crashed":
        often = f"{feed.crash_loop} times in quick succession, last" if feed.crash_loop else ""
        text = " ".join(f"{name}: crashed {often} at {since}{detail}".split())
        yield Symptom(node, Level.CRITICAL, feed.since, text, causes=("broker",))
    elif feed.state in ("connecting", "starting"):
        age_s = (picture.taken - feed.since) / _SECOND
        text = f"{name}: {feed.state} since {since}{detail}"
        level = Level.CRITICAL if age_s >= 30.0 else Level.WARNING
        yield Symptom(node, level, feed.since, text, causes=("broker",), patience_s=5.0)
    elif feed.state == "connected" and (quiet := _silence(feed, picture)):
        age_s, limit = quiet
        level = Level.CRITICAL if age_s >= limit else Level.WARNING
        heard = feed.last_frame or feed.since
        text = f"{name}: connected, no frame for {span(age_s)}"
        yield Symptom(node, level, heard, text, causes=("broker",))


def _silence(feed: Feed, picture: Picture) -> tuple[float, float] | None:
    """Seconds without a frame and the critical limit, where that is too long for what it follows.

    A feed of markets that are closed, and an account in which nothing happens, may be silent.
    """
    followed = [
        source
        for source in picture.freshness
        if source.is_open
        and (source.topic, source.source.partition(":")[0]) in follows(feed.service)
    ]
    if not followed:
        return None
    age_s = (picture.taken - (feed.last_frame or feed.since)) / _SECOND
    warn = min(source.warn_s for source in followed)
    return (age_s, min(source.critical_s for source in followed)) if age_s >= warn else None


def _is_worker(feed: Feed) -> bool:
    return feed.service.startswith("worker/")


def _of_group(group: Group, now: int, thresholds: Thresholds) -> Iterator[Symptom]:
    if group.projection is None and _is_abandoned(group, now):
        return
    name = group.projection or group.name
    node = f"projection/{name}" if group.projection else f"group/{name}"
    causes = _STORES if group.projection else ("broker",)
    states = {one.state for one in group.partitions}
    for state in (State.LOST, State.ANEW, State.BEYOND, State.DEAD, State.STUCK, State.REWOUND):
        concerned = [one for one in group.partitions if one.state == state]
        if concerned:
            level, text = _told(name, state, concerned, is_ours=group.projection is not None)
            since = now - int(max((one.lag_s or 0.0) for one in concerned) * _SECOND)
            # A database that is away holds a worker up; it does not take its partitions.
            yield Symptom(node, level, since, text, _STORES[:1] if state == State.DEAD else causes)
    if not states & {State.DEAD, State.STUCK}:  # which say how long
        yield from _of_lag(group, name, node, causes, now, thresholds)
    yield from _of_loss(group, name, node, causes, now, thresholds)


def _is_abandoned(group: Group, now: int) -> bool:
    """Whether nobody has read for it for long: its offsets are left over."""
    newest = max((one.moved or 0 for one in group.partitions), default=0)
    return not group.members and now - newest > _ABANDONED_S * _SECOND


def _told(
    name: str, state: State, concerned: list[Partition], *, is_ours: bool
) -> tuple[Level, str]:
    where = ranges((one.topic, one.partition) for one in concerned)
    waiting = sum(one.lag for one in concerned)
    for_s = span(max((one.lag_s or 0.0) for one in concerned))
    first = concerned[0]
    match state:
        case State.STUCK:
            return (
                Level.CRITICAL,
                f"{name}: stuck in {where}, {waiting:,} records wait for {for_s}",
            )
        case State.DEAD:
            wait = f"; {waiting:,} records wait for {for_s}" if waiting else ", nothing waits"
            level = Level.CRITICAL if waiting or not is_ours else Level.WARNING
            return level, f"{name}: nobody owns {where}{wait}"
        case State.LOST:
            gone = sum(one.start - one.current for one in concerned)
            return (
                Level.CRITICAL,
                f"{name}: {gone:,} records of {where} were deleted before they were read",
            )
        case State.ANEW:
            return Level.CRITICAL, f"{name}: {first.topic} was deleted and made anew"
        case State.BEYOND:
            return (
                Level.CRITICAL,
                f"{name}: at offset {first.current} of {where}, whose log ends at {first.end}",
            )
        case _:
            return Level.WARNING, f"{name}: went back in {where}; {waiting:,} records come again"


def _of_lag(
    group: Group,
    name: str,
    node: str,
    causes: tuple[str, ...],
    now: int,
    thresholds: Thresholds,
) -> Iterator[Symptom]:
    behind = group.lag_s or 0.0
    if behind < thresholds.lag_warn_s:
        return
    level = Level.CRITICAL if behind >= thresholds.lag_critical_s else Level.WARNING
    if group.trend == Trend.RISING:
        course = ", and falls further behind"
    elif group.catch_up_s:
        course = f", caught up in {span(group.catch_up_s)}"
    else:
        course = ""
    text = f"{name}: {span(behind)} behind, {group.lag:,} records{course}"
    yield Symptom(node, level, now - int(behind * _SECOND), text, causes)


def _of_loss(
    group: Group,
    name: str,
    node: str,
    causes: tuple[str, ...],
    now: int,
    thresholds: Thresholds,
) -> Iterator[Symptom]:
    hours = min(
        (one.hours_left for one in group.partitions if one.hours_left is not None), default=None
    )
    if hours is None or hours >= thresholds.loss_warn_h:
        return
    level = Level.CRITICAL if hours < thresholds.loss_critical_h else Level.WARNING
    text = f"{name}: the first records that wait may be deleted in {span(hours * 3600)}"
    yield Symptom(node, level, now, text, causes)


def _of_source(source: Freshness, picture: Picture) -> Iterator[Symptom]:
    venue = source.source.partition(":")[0]
    followers = [one for one in picture.feeds if (source.topic, venue) in follows(one.service)]
    if source.level == Level.OK or _is_unfollowed(followers):
        return
    readers = [name for name, one in PROJECTIONS.items() if source.topic in one.topics]
    causes = (
        *_STORES,
        *(f"feed/{one.service.partition('/')[2]}" for one in followers),
        *(f"projection/{name}" for name in readers),
    )
    text = f"{source.source}: newest event {span(source.age_s)} old"
    yield Symptom(f"source/{source.source}", source.level, source.newest, text, causes)


def _is_unfollowed(followers: list[Feed]) -> bool:
    """Whether somebody stopped all feeds of it, so that nothing is expected."""
    return bool(followers) and all(one.state == "stopped" for one in followers)


def _of_dead_letters(picture: Picture) -> Iterator[Symptom]:
    by_projection: dict[str, list[tuple[int, str, int]]] = {}
    for one in picture.dead_letters:
        by_projection.setdefault(one.projection, []).append((one.waiting, one.error, one.newest))
    for name, some in by_projection.items():
        waiting, (_, error, _) = sum(count for count, _, _ in some), max(some)
        # A trade or a balance that is not right costs at once; a tick that is missing may not.
        level = Level.CRITICAL if name == "account" else Level.WARNING
        text = f"{name}: {waiting:,} dead letters, most for: {error}"
        yield Symptom(f"dead-letters/{name}", level, max(at for _, _, at in some), text)


def _of_account(account: Account, picture: Picture) -> Iterator[Symptom]:
    node, now, name = f"account/{account.account}", picture.taken, account.account
    behind = (*_STORES, "projection/account")
    if account.stale_marks:
        since = account.stale_since or now
        sources = (f"source/{one.source}" for one in picture.freshness if one.level > Level.OK)
        count = (
            "1 active trade" if account.stale_marks == 1 else f"{account.stale_marks} active trades"
        )
        text = f"marks of {count} stale since {clock(since)}"
        causes = (*_STORES, *sources, "projection/market", "projection/prices")
        yield Symptom(f"marks/{name}", Level.CRITICAL, since, text, causes)
    for number, what in (
        (account.unmatched_fills, "fills that belong to no trade"),
        (account.position_differences, "positions of which the venue says otherwise"),
    ):
        if number:
            yield Symptom(node, Level.WARNING, now, f"{name}: {number} {what}", behind, 60.0)
    if account.unexplained.strip("-0."):
        text = f"{name}: {account.unexplained} dollars of cash that nothing explains"
        yield Symptom(node, Level.WARNING, now, text, behind, 60.0)

"""What is wrong with consumer groups, ours and others."""

from __future__ import annotations

from collections.abc import Iterator

from streams.monitor.model import Group, Level, Partition, State, Trend
from streams.monitor.sentences import ranges, span
from streams.monitor.symptoms.base import SECOND, STORES, Symptom
from streams.monitor.thresholds import Thresholds

__all__ = ["of_group"]

#: A group of others that has no member, and has committed nothing for so long, is no concern.
_ABANDONED_S = 3600


def of_group(group: Group, now: int, thresholds: Thresholds) -> Iterator[Symptom]:
    if group.projection is None and _is_abandoned(group, now):
        return
    name = group.projection or group.name
    node = f"projection/{name}" if group.projection else f"group/{name}"
    causes = STORES if group.projection else ("broker",)
    states = {one.state for one in group.partitions}
    for state in (State.LOST, State.ANEW, State.BEYOND, State.DEAD, State.STUCK, State.REWOUND):
        concerned = [one for one in group.partitions if one.state == state]
        if concerned:
            level, text = _told(name, state, concerned, is_ours=group.projection is not None)
            since = now - int(max((one.lag_s or 0.0) for one in concerned) * SECOND)
            # A database that is away holds a worker up; it does not take its partitions.
            yield Symptom(node, level, since, text, STORES[:1] if state == State.DEAD else causes)
    if not states & {State.DEAD, State.STUCK}:  # which say how long
        yield from _of_lag(group, name, node, causes, now, thresholds)
    yield from _of_loss(group, name, node, causes, now, thresholds)


def _is_abandoned(group: Group, now: int) -> bool:
    """Whether nobody has read for it for long: its offsets are left over."""
    newest = max((one.moved or 0 for one in group.partitions), default=0)
    return not group.members and now - newest > _ABANDONED_S * SECOND


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
    yield Symptom(node, level, now - int(behind * SECOND), text, causes)


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

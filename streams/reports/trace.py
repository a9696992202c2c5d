"""A record's way from the venue to the tables, hop by hop.

All times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from streams.events import DecodeError, Event, decode
from streams.events.codec import TRACE_HEADER
from streams.events.types import micros_of
from streams.reports.commits import Projected
from streams.reports.trace_log import LoggedRecord

__all__ = ["Delay", "Hop", "Trace", "delays", "make_trace"]

#: Fields of events that say when something happened, the first one counts.
_EVENT_TIMES = ("time", "updated", "created", "end")
_PRECISIONS = (1_000_000, 1_000)
#: Kafka's times are milliseconds, cut off.
_BROKER_PRECISION = 1_000


@dataclass(frozen=True)
class Hop:
    """Where the record was when; `precision` is the last digit that the time has."""

    name: str
    time: int
    precision: int = 1
    #: Whether the record was there at this time at the latest, and maybe earlier.
    at_latest: bool = False


@dataclass(frozen=True)
class Delay:
    """From the hop before, microseconds; negative where clocks differ.

    `is_below_precision` says that the times are not fine enough for it, `at_most` that the later
    one is only known to be no later.
    """

    micros: int
    is_below_precision: bool
    at_most: bool

    @classmethod
    def between(cls, one: Hop, other: Hop) -> Delay:
        """From `one` to `other`."""
        micros = other.time - one.time
        below = abs(micros) < max(one.precision, other.precision)
        return cls(micros, below, other.at_latest)


@dataclass(frozen=True)
class Trace:
    """One record, its hops, and what became of it in each projection."""

    record: LoggedRecord
    ce_type: str | None
    ce_id: str | None
    traceparent: str | None
    #: Until the log has it, in order.
    hops: Sequence[Hop]
    #: When each projection that has it committed it.
    commits: Sequence[Hop]
    projected: Sequence[Projected]
    remarks: Sequence[str]

    @property
    def total(self) -> Delay | None:
        """From the first hop to the last commit; None where no commit is known."""
        if not self.commits:
            return None
        return Delay.between(self.hops[0], max(self.commits, key=lambda hop: hop.time))


def delays(trace: Trace) -> Iterator[tuple[Hop, Delay | None]]:
    """Each hop with its delay to the one before; that of each commit is to the log."""
    yield trace.hops[0], None
    for before, hop in zip(trace.hops, trace.hops[1:], strict=False):
        yield hop, Delay.between(before, hop)
    for hop in trace.commits:
        yield hop, Delay.between(trace.hops[-1], hop)


def make_trace(record: LoggedRecord, projected: Sequence[Projected]) -> Trace:
    """The trace of a record. One that is no event of the catalogue begins in the log."""
    remarks = []
    hops: list[Hop] = []
    try:
        hops += _before_the_log(decode(record.value, record.headers))
    except DecodeError as error:
        remarks.append(f"it is no event of the catalogue: {error}")
    else:
        if all(hop.name == "received" for hop in hops):
            remarks.append("the event has no time of the venue's own")
    who = "appended" if record.by_broker else "created by the producer"
    hops.append(Hop(who, record.appended * 1000, _BROKER_PRECISION))
    commits = [
        Hop(f"committed, {one.projection}", micros_of(one.commit.time), 1, not one.commit.exact)
        for one in projected
        if one.commit is not None
    ]
    return Trace(
        record=record,
        ce_type=record.attribute("ce_type"),
        ce_id=record.attribute("ce_id"),
        traceparent=record.attribute(TRACE_HEADER),
        hops=hops,
        commits=commits,
        projected=projected,
        remarks=remarks,
    )


def _before_the_log(event: Event) -> Iterator[Hop]:
    """What happened, when the venue sent the frame, and when it was received.

    An event without a time of the venue's own has that of the sending or of the receiving.
    """
    received: int | None = getattr(event, "received", None)
    sent = _sent(event)
    times = (getattr(event, name, None) for name in _EVENT_TIMES)
    time: int | None = next((one for one in times if one is not None), None)
    if time is not None and time not in {sent, received}:
        yield Hop("event", time, _precision(time))
    if sent is not None:
        yield Hop("sent by the venue", sent, 1_000)
    if received is not None:
        yield Hop("received", received)


def _precision(time: int) -> int:
    """Microseconds in the last digit that is given: seconds, milliseconds, or one."""
    return next((step for step in _PRECISIONS if time % step == 0), 1)


def _sent(event: Event) -> int | None:
    """When Kalshi queued the frame (its `sending_ts_ms`), where the event keeps the frame."""
    raw: str | None = getattr(event, "raw", None)
    if raw is None:
        return None
    try:
        frame = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    sent = frame.get("sending_ts_ms") if isinstance(frame, dict) else None
    return sent * 1000 if isinstance(sent, int) else None

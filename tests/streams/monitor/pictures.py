"""Pictures by hand: what is not said is well."""

from dataclasses import replace
from typing import Any

from streams.monitor.burrow import Status
from streams.monitor.model import Feed, Freshness, Group, Level, Partition, Picture, State, Trend

SECOND = 1_000_000
NOW = 1_796_000_000 * SECOND  # 2026-11-30 00:53:20 UTC

_PARTITION = Partition(
    topic="price.ticks",
    partition=0,
    current=100,
    start=0,
    end=100,
    lag=0,
    lag_s=0.0,
    owner="faust@10.0.0.1",
    moved=NOW - SECOND,
    hours_left=None,
    state=State.OK,
    burrow=Status.OK,
)


def partition(**fields: Any) -> Partition:
    return replace(_PARTITION, **fields)


def group(*partitions: Partition, projection: str | None = "prices", **fields: Any) -> Group:
    some = partitions or (partition(),)
    found = Group(
        name=f"tickertape-{projection}" if projection else "other",
        projection=projection,
        kafka_state="stable",
        members=1,
        partitions=some,
        lag=sum(one.lag for one in some),
        lag_s=max(one.lag_s or 0.0 for one in some),
        consumed=10.0,
        arriving=10.0,
        trend=Trend.STEADY,
        catch_up_s=0.0,
        state=some[0].state,
        burrow=Status.OK,
    )
    return replace(found, **fields)


def feed(service: str = "producer/coinbase", **fields: Any) -> Feed:
    found = Feed(
        service=service,
        instance="host/1/2",
        state="connected",
        since=NOW - 3600 * SECOND,
        detail=None,
        crash_loop=None,
        heard=NOW - SECOND,
        last_frame=NOW - SECOND,
        frames_per_second=10.0,
        usual_frames_per_second=10.0,
        events=1000,
        reconnects=0,
        gaps=0,
        unparsed=0,
        clock_skew_s=None,
        cpu_percent=1.0,
        memory=100_000_000,
    )
    return replace(found, **fields)


def source(name: str = "coinbase:BTC-USD", age_s: float = 1.0, **fields: Any) -> Freshness:
    found = Freshness(
        topic="price.ticks",
        source=name,
        newest=NOW - int(age_s * SECOND),
        age_s=age_s,
        warn_s=15.0,
        stale_s=30.0,
        critical_s=60.0,
        is_open=True,
        level=Level.OK if age_s < 15 else Level.WARNING if age_s < 60 else Level.CRITICAL,
    )
    return replace(found, **fields)


def picture(**fields: Any) -> Picture:
    return Picture(taken=NOW, **fields)

"""A picture in which everything is there, and so every metric has a sample."""

from prometheus_client import CollectorRegistry, generate_latest

from streams.monitor.model import (
    Account,
    DeadLetters,
    Disk,
    Host,
    Incident,
    Level,
    Picture,
    Postgres,
    Source,
    State,
    Table,
    Topic,
)
from streams.monitor.telling.prometheus import PictureCollector
from streams.progress import Progress, ProgressCollector
from tests.streams.monitor.pictures import NOW, SECOND, feed, group, partition, picture, source

WHOLE: Picture = picture(
    sources=[
        Source("broker", is_up=True, read=NOW, error=None),
        Source("database", is_up=False, read=NOW - 8 * SECOND, error="no answer for 2 s"),
    ],
    groups=[
        group(
            partition(state=State.STUCK, lag=7, lag_s=41.0, hours_left=1.5),
            partition(partition=1),
            catch_up_s=3.0,
        ),
        group(partition(moved=None, owner=None, lag_s=None), projection=None, members=0),
    ],
    topics=[Topic("price.ticks", partitions=4, end=1_000, rate=10.0, bytes=123_456)],
    feeds=[
        feed(clock_skew_s=-0.2),
        feed("worker/prices", state="crashed", last_frame=None, detail='a "quoted" reason\n'),
    ],
    freshness=[source(), source("kraken:BTC-USD", age_s=61.0, is_open=False)],
    dead_letters=[
        DeadLetters("prices", "not JSON", waiting=2, newest=NOW),
        DeadLetters("prices", "no price", waiting=1, newest=NOW),
    ],
    accounts=[Account("kalshi/prod/main/0", 1, 2, "-0.01", 3, 1, NOW - 40 * SECOND)],
    tables=[Table("prices", "price_history", bytes=1_000_000, rows=10_000)],
    postgres=Postgres(
        connections=12,
        max_connections=100,
        waiting_locks=1,
        blocked="a waits for b",
        blocked_s=2.5,
        longest_transaction_s=3.0,
        longest_transaction="psql",
        slots=1,
        slots_bytes=1_000,
        dead_rows=10,
        live_rows=90,
        cache_hits=0.99,
    ),
    database_bytes=2_000_000,
    host=Host(cpu_percent=25.0, memory_used=3 * 2**30, memory_total=4 * 2**30, load=0.5),
    disks=[Disk("log", "broker 1: /data", free=10, total=100, hours_left=20.0)],
    incidents=[
        Incident("i@1", "projection/prices", Level.CRITICAL, "prices: stuck", ("stuck",), NOW)
    ],
    level=Level.CRITICAL,
)


def exposition(shown: Picture = WHOLE) -> bytes:
    """The picture as `tape monitor` serves it."""
    registry = CollectorRegistry()
    registry.register(PictureCollector(lambda: shown, "tickertape"))
    return generate_latest(registry)


def of_workers() -> bytes:
    """What `tape worker` serves, of one projection that has committed something."""
    progress = Progress("prices", lambda: 4, lambda: 0.0)
    progress.committed(records=100, seconds=0.02)
    registry = CollectorRegistry()
    registry.register(ProgressCollector([progress]))
    return generate_latest(registry)

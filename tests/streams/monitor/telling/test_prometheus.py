"""What is served is what Prometheus reads, with the names that dashboards expect."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.monitor.model import (
    Account,
    DeadLetters,
    Disk,
    Host,
    Incident,
    Level,
    Picture,
    Source,
    State,
    Table,
    Topic,
)
from streams.monitor.telling.prometheus import PictureCollector
from tests.streams.monitor.pictures import NOW, SECOND, feed, group, partition, picture, source
from tests.streams.monitor.test_symptoms import postgres

FULL = picture(
    sources=[Source("broker", True, NOW, None), Source("database", False, NOW, "away")],
    groups=[
        group(
            partition(lag=40, lag_s=3.5, hours_left=2.0),
            partition(partition=1, lag=2, lag_s=0.5, state=State.STUCK),
        ),
        group(partition(lag_s=None, lag=7, owner=None), projection=None, members=0, lag_s=None),
    ],
    topics=[Topic("price.ticks", 4, 1234, 10.0, 5000)],
    feeds=[feed(clock_skew_s=-0.5, gaps=3)],
    freshness=[source(age_s=20.0)],
    dead_letters=[DeadLetters("prices", "bad", 2, NOW), DeadLetters("prices", "worse", 3, NOW)],
    accounts=[Account("kalshi/prod/main/0", 1, 2, "-0.0300", 4, 3, NOW)],
    tables=[Table("prices", "price_history", 9000, 10)],
    postgres=postgres(),
    database_bytes=12345,
    host=Host(50.0, 10, 20, 1.5),
    disks=[Disk("log", "/data", 10, 100, 2.0)],
    incidents=[Incident("feed/a@1", "feed/a", Level.CRITICAL, "a", ("a",), NOW)],
    level=Level.CRITICAL,
)


def served(seen: Picture) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Samples by name and labels, as a reader of the text finds them."""
    registry = CollectorRegistry()
    registry.register(PictureCollector(lambda: seen, "test"))
    text = generate_latest(registry).decode()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def one(name: str, **labels: str) -> float:
    """The sample that has these labels, whatever others it has."""
    [found] = [
        value for having, value in served(FULL)[name].items() if set(labels.items()) <= set(having)
    ]
    return found


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("kafka_consumergroup_group_lag", {"group": "tickertape-prices", "partition": "0"}, 40),
        (
            "kafka_consumergroup_group_lag_seconds",
            {"group": "tickertape-prices", "partition": "0"},
            3.5,
        ),
        ("kafka_consumergroup_group_max_lag", {"group": "tickertape-prices"}, 40),
        ("kafka_consumergroup_group_max_lag_seconds", {"group": "tickertape-prices"}, 3.5),
        ("kafka_consumergroup_group_sum_lag", {"group": "tickertape-prices"}, 42),
        ("kafka_consumergroup_group_topic_sum_lag", {"group": "tickertape-prices"}, 42),
        ("kafka_consumergroup_group_offset", {"group": "other"}, 100),
        ("kafka_partition_latest_offset", {"topic": "price.ticks", "partition": "0"}, 100),
        ("kafka_partition_earliest_offset", {"topic": "price.ticks", "partition": "1"}, 0),
        ("kafka_consumergroup_lag", {"consumergroup": "other", "partition": "0"}, 7),
        ("kafka_consumergroup_current_offset", {"consumergroup": "other"}, 100),
        ("tape_lag_seconds", {"projection": "prices", "partition": "1"}, 0.5),
        ("tape_partition_state", {"partition": "1", "state": "stuck"}, 1),
        ("tape_partition_state", {"partition": "1", "state": "ok"}, 0),
        ("tape_retention_left_seconds", {"partition": "0"}, 7200),
        ("tape_freshness_seconds", {"source": "coinbase:BTC-USD"}, 20),
        ("tape_freshness_limit_seconds", {"severity": "critical"}, 60),
        ("tape_service_gaps_total", {"service": "producer/coinbase"}, 3),
        ("tape_service_last_frame_timestamp_seconds", {}, NOW / SECOND - 1),
        ("tape_dead_letters", {"projection": "prices"}, 5),
        ("tape_cash_unexplained_dollars", {"account": "kalshi/prod/main/0"}, -0.03),
        ("tape_disk_full_seconds", {"holds": "log"}, 7200),
        ("tape_source_up", {"source": "database"}, 0),
        ("tape_incident", {"cause": "feed/a", "severity": "critical"}, 1),
        ("tape_health_level", {}, 2),
    ],
)
def test_a_number_is_served_under_its_name(name: str, labels: dict[str, str], value: float) -> None:
    assert one(name, **labels) == value


def test_what_is_not_known_is_not_served() -> None:
    ages = served(FULL)["kafka_consumergroup_group_lag_seconds"]
    assert not [labels for labels in ages if ("group", "other") in labels]
    assert "tape_postgres_connections" not in served(picture())


def test_before_the_first_look_nothing_is_served() -> None:
    registry = CollectorRegistry()
    registry.register(PictureCollector(lambda: None, "test"))
    assert generate_latest(registry) == b""

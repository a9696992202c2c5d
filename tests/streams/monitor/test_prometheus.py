"""A picture as Prometheus metrics: what parsers and promtool make of it, and who relies on it."""

import json
import re

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.promtool import (
    ROOT,
    alerts,
    cases_of_alerts,
    dashboards,
    expressions,
    names,
    needs_promtool,
    promtool,
    rules,
)
from tests.streams.monitor.pictures import NOW, SECOND, group, partition, picture
from tests.streams.monitor.whole import WORKER_METRICS, exposition


def families(text: bytes) -> list[Metric]:
    return list(text_string_to_metric_families(text.decode()))


def samples(text: bytes) -> dict[tuple[str, str], float]:
    """Values by name and labels, these as JSON."""
    found = [one for family in families(text) for one in family.samples]
    by_labels = {(one.name, json.dumps(one.labels, sort_keys=True)): one.value for one in found}
    assert len(by_labels) == len(found), "one series twice"
    return by_labels


def value(text: bytes, name: str, **labels: str) -> float:
    return samples(text)[name, json.dumps(labels, sort_keys=True)]


def labels_by_name() -> dict[str, set[str]]:
    found = families(exposition())
    return {one.name: set(one.labels) for family in found for one in family.samples}


def test_a_parser_reads_every_metric_back() -> None:
    text = exposition()
    place = {"group": "tickertape-prices", "projection": "prices", "topic": "price.ticks"}
    assert value(text, "tape_lag_seconds", **place, partition="0") == 41.0
    assert value(text, "tape_partition_state", **place, partition="0", state="stuck") == 1
    assert value(text, "tape_partition_state", **place, partition="0", state="ok") == 0
    assert value(text, "tape_retention_left_seconds", **place, partition="0") == 5400
    assert value(text, "tape_dead_letters", projection="prices") == 3
    assert value(text, "tape_cash_unexplained_dollars", account="kalshi/prod/main/0") == -0.01
    assert value(text, "tape_look_timestamp_seconds") == NOW / SECOND
    assert value(text, "tape_health_level") == 2


def test_every_metric_says_what_it_is() -> None:
    for family in families(exposition()):
        assert family.documentation.endswith("."), family.name
        assert family.type in {"gauge", "counter"}, family.name


def test_what_is_not_known_has_no_sample() -> None:
    unknown = group(partition(lag_s=None, moved=None), lag_s=None, consumed=None, catch_up_s=None)
    found = {name for name, _ in samples(exposition(picture(groups=[unknown])))}
    assert "tape_lag_records" in found
    assert not found & {"tape_lag_seconds", "kafka_consumergroup_group_lag_seconds"}
    assert not found & {"tape_checkpoint_moved_timestamp_seconds", "tape_catch_up_seconds"}
    assert not found & {"tape_database_bytes", "tape_postgres_connections", "tape_host_cpu_ratio"}


def test_no_label_is_one_that_prometheus_sets_itself() -> None:
    for name, labels in labels_by_name().items():
        assert not labels & {"instance", "job"}, name


@needs_promtool
def test_promtool_has_nothing_to_say_against_the_names() -> None:
    assert not promtool("check", "metrics", given=exposition()).strip()


def test_both_families_of_names_that_dashboards_expect_are_there() -> None:
    found = labels_by_name()
    of_partition = {"cluster_name", "group", "topic", "partition", "member_host", "consumer_id"}
    of_partition |= {"client_id"}
    for name in ("lag", "lag_seconds", "offset"):
        assert found[f"kafka_consumergroup_group_{name}"] == of_partition
    for name in ("max_lag", "max_lag_seconds", "sum_lag"):
        assert found[f"kafka_consumergroup_group_{name}"] == {"cluster_name", "group"}
    assert found["kafka_partition_latest_offset"] == {"cluster_name", "topic", "partition"}
    for name in ("lag", "current_offset"):
        assert found[f"kafka_consumergroup_{name}"] == {"consumergroup", "topic", "partition"}


def test_alerts_and_dashboards_name_metrics_that_there_are() -> None:
    known = {*labels_by_name(), *WORKER_METRICS}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for rule in rules():
        texts = [rule["expr"], *rule.get("annotations", {}).values()]
        assert names(" ".join(texts)) <= known | recorded, rule.get("alert")
    for file, dashboard in dashboards().items():
        assert names(" ".join(expressions(dashboard))) <= known | recorded, file


def test_alerts_are_tried_with_the_labels_that_the_monitor_gives() -> None:
    known = labels_by_name()
    for series in (one["series"] for test in cases_of_alerts() for one in test["input_series"]):
        name, _, labels = series.partition("{")
        given = set(re.findall(r'(\w+)="', labels)) - {"instance"}
        # An empty label is none: a group of others is of no projection.
        assert known[name] - given <= {"projection"}, series
        assert given <= known[name], series


def test_the_page_on_monitoring_explains_every_metric_and_every_alert() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    missing = {name for name in labels_by_name() if f"`{name}`" not in page}
    missing |= {name for name, _ in alerts() if f"`{name}`" not in page}
    of_workers = {re.sub("_(bucket|count|sum)$", "", name) for name in WORKER_METRICS}
    assert not missing | {name for name in of_workers if f"`{name}`" not in page}
    of_rules = {rule["record"] for rule in rules() if "record" in rule}
    tool = "kafka_exporter"
    assert names(page) <= {*labels_by_name(), *of_workers, *of_rules, tool}

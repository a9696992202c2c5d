"""The names of metrics: what parsers and promtool make of them, and who relies on them."""

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
from tests.streams.monitor.telling.whole import exposition, of_workers


def families(text: bytes) -> list[Metric]:
    return list(text_string_to_metric_families(text.decode()))


def labels_by_name(text: bytes = exposition()) -> dict[str, set[str]]:
    return {one.name: set(one.labels) for family in families(text) for one in family.samples}


WORKERS = labels_by_name(of_workers())


def test_no_series_is_there_twice() -> None:
    series = [
        (one.name, tuple(sorted(one.labels.items())))
        for text in (exposition(), of_workers())
        for family in families(text)
        for one in family.samples
    ]
    assert len(set(series)) == len(series)


def test_every_metric_says_what_it_is() -> None:
    for family in [*families(exposition()), *families(of_workers())]:
        assert family.documentation.endswith("."), family.name
        assert family.type in {"gauge", "counter", "histogram"}, family.name


def test_no_label_is_one_that_prometheus_sets_itself() -> None:
    for name, labels in {**labels_by_name(), **WORKERS}.items():
        assert not labels & {"instance", "job"}, name


@needs_promtool
def test_promtool_has_nothing_to_say_against_the_names() -> None:
    for text in (exposition(), of_workers()):
        assert not promtool("check", "metrics", given=text).strip()


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
    known = {*labels_by_name(), *WORKERS}
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
    own = {re.sub("_(bucket|count|sum)$", "", name) for name in WORKERS}
    assert not missing | {name for name in own if f"`{name}`" not in page}
    of_rules = {rule["record"] for rule in rules() if "record" in rule}
    tool = "kafka_exporter"
    assert names(page) <= {*labels_by_name(), *own, *of_rules, tool}

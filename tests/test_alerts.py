"""The alert rules: Prometheus takes them, each fires at its threshold, and these are ours."""

from typing import Any

import pytest

from streams.monitor.symptoms import groups
from streams.monitor.thresholds import Thresholds
from tests.promtool import PROMETHEUS, alerts, cases_of_alerts, needs_promtool, promtool, rules

OURS = Thresholds()


@needs_promtool
def test_prometheus_takes_its_settings_and_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert "SUCCESS" in promtool("check", "rules", PROMETHEUS / "alerts.yml")


@needs_promtool
def test_each_alert_fires_when_it_should_with_these_words() -> None:
    assert "SUCCESS" in promtool("test", "rules", PROMETHEUS / "alerts_test.yml")


def checks() -> list[dict[str, Any]]:
    return [check for test in cases_of_alerts() for check in test["alert_rule_test"]]


def severities(check: dict[str, Any]) -> set[str]:
    return {one["exp_labels"]["severity"] for one in check["exp_alerts"]}


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_is_tried_where_it_fires_and_where_it_does_not(alert: tuple[str, str]) -> None:
    name, severity = alert
    tried = [severities(check) for check in checks() if check["alertname"] == name]
    assert any(severity in fired for fired in tried)
    assert any(severity not in fired for fired in tried)


def test_each_alert_says_what_is_wrong_and_what_to_do_next() -> None:
    for name, rule in alerts().items():
        assert name[1] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}, name
        assert "`" in rule["annotations"]["description"], f"{name}: no command"


@pytest.mark.parametrize(
    ("alert", "severity", "comparison"),
    [
        ("TapeLag", "warning", f">= {OURS.lag_warn_s:g}"),
        ("TapeLag", "critical", f">= {OURS.lag_critical_s:g}"),
        ("TapeRetentionLoss", "warning", f"< {OURS.loss_warn_h:g} * 3600"),
        ("TapeRetentionLoss", "critical", f"< {OURS.loss_critical_h:g} * 3600"),
        ("TapeDiskFull", "warning", f"< {OURS.disk_warn_h:g} * 3600"),
        ("TapeDiskFull", "critical", f"< {OURS.disk_critical_h:g} * 3600"),
        ("TapeDiskSpace", "warning", f"< {OURS.disk_warn_part:g}"),
        ("TapeDiskSpace", "critical", f"< {OURS.disk_critical_part:g}"),
        ("TapePostgresBlocked", "warning", f">= {OURS.lock_warn_s:g}"),
        ("TapePostgresBlocked", "critical", f">= {OURS.lock_critical_s:g}"),
        ("TapePostgresLongTransaction", "warning", f">= {OURS.transaction_warn_s:g}"),
        ("TapePostgresConnections", "warning", f">= {OURS.connections_warn_part:g}"),
        ("TapePostgresReplicationSlot", "warning", f">= {OURS.slots_warn_bytes:g}"),
        ("TapeMemory", "warning", f">= {OURS.memory_warn_part:g}"),
    ],
)
def test_thresholds_are_those_of_the_monitor(alert: str, severity: str, comparison: str) -> None:
    expression: str = alerts()[alert, severity]["expr"]
    compared = [line.strip() for line in expression.splitlines() if "unless" not in line]
    assert any(line.endswith(f" {comparison}") for line in compared), expression


def test_every_threshold_of_the_monitor_has_an_alert() -> None:
    fields = {name for name in OURS.__dataclass_fields__ if name != "stale_s"}
    with_both = {"lag", "loss", "disk", "lock"}
    assert {name.partition("_")[0] for name in fields if "critical" in name} == with_both
    assert len(fields) == 14, "a new threshold: give it an alert, and a line above"


def test_a_group_of_others_is_left_over_for_the_monitor_and_the_rules_alike() -> None:
    (rule,) = (one for one in rules() if one.get("record") == "tape:group_abandoned")
    assert f"time() - {groups._ABANDONED_S}" in rule["expr"]


def test_limits_of_freshness_come_with_the_metrics() -> None:
    for severity in ("warning", "critical"):
        expression = alerts()["TapeStale", severity]["expr"]
        assert f'tape_freshness_limit_seconds{{severity="{severity}"}}' in expression
        assert "tape_market_open" in expression

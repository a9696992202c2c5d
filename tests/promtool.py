"""Prometheus' own judge of rules, settings and expressions; and what our rules and boards name."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed; Debian's package prometheus has it",
)


def promtool(*arguments: str | Path, given: bytes | None = None) -> str:
    """What it says; fails the test where it finds a fault."""
    command = ["promtool", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


@cache
def rules() -> list[dict[str, Any]]:
    """All rules of alerts.yml."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@cache
def cases_of_alerts() -> list[dict[str, Any]]:
    """The groups of series and checks of alerts_test.yml."""
    tests: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())[
        "tests"
    ]
    return tests


def alerts() -> dict[tuple[str, str], dict[str, Any]]:
    """The alert rules by name and severity."""
    found = [rule for rule in rules() if "alert" in rule]
    by_name = {(rule["alert"], rule["labels"]["severity"]): rule for rule in found}
    assert len(by_name) == len(found), "two rules of one name and severity"
    return by_name


def dashboards() -> dict[str, dict[str, Any]]:
    """The dashboards by the names of their files."""
    return {file.name: json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard: dict[str, Any]) -> list[str]:
    """What its panels and its variables ask Prometheus for."""
    of_panels = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    variables = dashboard["templating"]["list"]
    return of_panels + [one["definition"] for one in variables if one["type"] == "query"]


def names(text: str) -> set[str]:
    """The metrics of ours, of Kafka, and of rules, that an expression or a sentence names."""
    without_labels = re.sub(r"\{\w+(=|!=|=~|!~)[^}]*\}", "", text)
    return set(re.findall(r"\b(?:tape|kafka)[_:][a-z_]+\b", without_labels))

"""The Grafana dashboards: complete, told apart, with expressions that Prometheus takes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.monitor.thresholds import Thresholds
from tests.promtool import ROOT, dashboards, expressions, needs_promtool, panels, promtool

PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
OURS = Thresholds()
_PRICES, _MARKETS = OURS.fresh("price.ticks", ""), OURS.fresh("kalshi.market", "")
_DAY, _SOON = OURS.loss_warn_h * 3600, OURS.loss_critical_h * 3600


def test_each_has_an_identity_of_its_own() -> None:
    uids = [dashboard["uid"] for dashboard in dashboards().values()]
    assert len(uids) == 3
    assert len(set(uids)) == 3
    assert all(re.fullmatch(r"tickertape-[a-z-]{1,29}", uid) for uid in uids)  # at most 40


@pytest.mark.parametrize("file", dashboards())
def test_panels_are_told_apart_and_do_not_overlap(file: str) -> None:
    shown = dashboards()[file]["panels"]
    numbers = [panel["id"] for panel in shown]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in shown:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + i, at["y"] + k) for i in range(at["w"]) for k in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("file", dashboards())
def test_each_panel_says_what_it_shows_in_which_unit_and_from_where(file: str) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    variables = [one["name"] for one in dashboards()[file]["templating"]["list"]]
    assert variables[0] == "datasource"
    for panel in panels(dashboards()[file]):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in panel["targets"])


@needs_promtool
def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    asked = [
        one.replace("$__rate_interval", "1m")
        for dashboard in dashboards().values()
        for one in expressions(dashboard)
        if not one.startswith("label_values(")  # Grafana's own
    ]
    # There is no command for an expression; a rule is one.
    recorded = [
        {"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", file)


@pytest.mark.parametrize(
    ("file", "title", "limits"),
    [
        ("overview.json", "Furthest behind", [OURS.lag_warn_s, OURS.lag_critical_s]),
        ("overview.json", "Behind, in seconds", [OURS.lag_warn_s, OURS.lag_critical_s]),
        ("consumer-lag.json", "Behind, in seconds", [OURS.lag_warn_s, OURS.lag_critical_s]),
        ("consumer-lag.json", "Seconds by partition", [OURS.lag_warn_s, OURS.lag_critical_s]),
        ("overview.json", "Age of the newest event: price.ticks", list(_PRICES)),
        ("overview.json", "Age of the newest event: kalshi.market", list(_MARKETS)),
        ("consumer-lag.json", "Until retention may delete what waits", [_SOON, _DAY]),
        ("stores.json", "Connections", [OURS.connections_warn_part]),
        ("stores.json", "Held up by a lock", [OURS.lock_warn_s, OURS.lock_critical_s]),
        ("stores.json", "Oldest transaction", [OURS.transaction_warn_s]),
        ("stores.json", "WAL held back by a replication slot", [OURS.slots_warn_bytes]),
        ("stores.json", "Free space", [OURS.disk_critical_part, OURS.disk_warn_part]),
        (
            "stores.json",
            "Until a disk is full",
            [OURS.disk_critical_h * 3600, OURS.disk_warn_h * 3600],
        ),
        ("stores.json", "Memory of the machine", [OURS.memory_warn_part]),
    ],
)
def test_lines_are_drawn_where_the_monitor_warns(
    file: str, title: str, limits: list[float]
) -> None:
    (panel,) = (one for one in panels(dashboards()[file]) if one["title"] == title)
    steps: list[dict[str, Any]] = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, *limits]


def test_grafana_finds_the_source_and_the_dashboards() -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    sources = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text())
    (source,) = sources["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in composed
    provided = yaml.safe_load((PROVISIONING / "dashboards" / "tickertape.yml").read_text())
    (provider,) = provided["providers"]
    mounted = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{mounted}:ro" in composed["grafana"]["volumes"]
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == scraped["global"]["scrape_interval"]

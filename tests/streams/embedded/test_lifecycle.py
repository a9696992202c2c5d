"""The stack comes up with its data, whatever happened to its processes before."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streams.embedded import kafka, postgres, stack
from streams.embedded.daemon import Stopped
from streams.embedded.home import SYSTEM_FOLDER, Home
from streams.embedded.stack import StackInfo

pytestmark = pytest.mark.long


def append(brokers: str, topic: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    for created in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        created.result()
    producer = Producer({"bootstrap.servers": brokers, "message.max.bytes": 16_000_000})
    failures: list[object] = []
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error))
    producer.flush()
    assert failures == [None]


def read_first(brokers: str, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(20)
    consumer.close()
    assert message is not None
    value: bytes | None = message.value()
    return value


def keep_row(dsn: str, value: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table if not exists kept (value text)")
        connection.execute("insert into kept values (%s)", [value])


def rows(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {value for (value,) in connection.execute("select value from kept")}


def kill(info: StackInfo) -> None:
    for pid in (info.kafka_pid, info.postgres_pid):
        assert pid is not None
        process = psutil.Process(pid)
        process.kill()
        process.wait(10)


def test_a_second_start_adopts_what_runs(module_home: Home) -> None:
    assert stack.start(module_home.path) == stack.start(module_home.path)


def test_two_starts_at_once_give_one_stack(module_home: Home) -> None:
    stack.stop(module_home.path)
    code = "import sys; from pathlib import Path; from streams.embedded import stack; "
    code += "i = stack.start(Path(sys.argv[1])); print(i.kafka_pid, i.postgres_pid)"
    command = [sys.executable, "-c", code, str(module_home.path)]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(
            lambda _: subprocess.run(command, check=True, capture_output=True).stdout, range(2)
        )
    assert one == other
    info = stack.running(module_home.path)
    assert one.decode().split() == [str(info.kafka_pid), str(info.postgres_pid)]


def test_events_and_rows_are_there_after_a_clean_stop(module_home: Home) -> None:
    info = stack.start(module_home.path)
    append(info.brokers, "stopped", b"event")
    keep_row(info.dsn, "stopped")
    ends = stack.stop(module_home.path)
    assert ends == {"kafka": Stopped.CLEANLY, "postgres": Stopped.CLEANLY}
    assert [one.usable for one in stack.status(module_home.path)] == [False, False]
    assert stack.start(module_home.path).brokers == info.brokers
    assert read_first(info.brokers, "stopped") == b"event"
    assert "stopped" in rows(info.dsn)


def test_events_and_rows_are_there_after_a_kill_of_both(module_home: Home) -> None:
    info = stack.start(module_home.path)
    append(info.brokers, "killed", b"event")
    keep_row(info.dsn, "killed")
    kill(info)
    again = stack.start(module_home.path)
    assert (again.kafka_pid, again.postgres_pid) != (info.kafka_pid, info.postgres_pid)
    assert read_first(info.brokers, "killed") == b"event"
    assert "killed" in rows(info.dsn)


def test_what_still_runs_stays_when_the_rest_is_restarted(module_home: Home) -> None:
    info = stack.start(module_home.path)
    assert info.kafka_pid is not None
    os.kill(info.kafka_pid, signal.SIGKILL)
    psutil.Process(info.kafka_pid).wait(10)
    again = stack.start(module_home.path)
    assert again.postgres_pid == info.postgres_pid
    assert again.kafka_pid != info.kafka_pid


def test_a_pid_that_now_is_another_program_s_is_left_alone(module_home: Home) -> None:
    kill(stack.start(module_home.path))
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        (module_home.kafka_folder / "kafka.pid").write_text(f"{bystander.pid}\n")
        lock_file = module_home.postgres_data / "postmaster.pid"
        _, rest = lock_file.read_text().split("\n", 1)
        lock_file.write_text(f"{bystander.pid}\n{rest}")
        info = stack.start(module_home.path)
        assert bystander.pid not in (info.kafka_pid, info.postgres_pid)
        stack.stop(module_home.path)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_broker_whose_pid_file_is_lost_is_still_found(module_home: Home) -> None:
    info = stack.start(module_home.path)
    (module_home.kafka_folder / "kafka.pid").unlink()
    assert kafka.pid(module_home) == info.kafka_pid


def test_a_frozen_server_is_killed_in_the_end_and_it_is_told(module_home: Home) -> None:
    info = stack.start(module_home.path)
    for component, pid in ((kafka, info.kafka_pid), (postgres, info.postgres_pid)):
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert component.stop(module_home, deadline_s=0.2) is Stopped.KILLED
        assert component.pid(module_home) is None
        assert component.stop(module_home) is Stopped.NOT_RUNNING


def test_the_stack_outlives_the_process_that_started_it(module_home: Home) -> None:
    stack.stop(module_home.path)
    code = "import os, sys; from pathlib import Path; from streams.embedded import stack; "
    code += "stack.start(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    starter = subprocess.run([sys.executable, "-c", code, module_home.path], check=False)
    assert starter.returncode == -signal.SIGKILL
    left = stack.running(module_home.path)
    for pid in (left.kafka_pid, left.postgres_pid):
        assert pid is not None
        assert os.getsid(pid) == pid  # Ctrl-C in the starter's terminal does not reach it
    assert stack.start(module_home.path) == left


def test_a_value_of_ten_megabytes_can_be_appended(module_home: Home) -> None:
    info = stack.start(module_home.path)
    append(info.brokers, "large", b"x" * 10_000_000)


def test_the_database_takes_only_the_password_and_only_on_loopback(module_home: Home) -> None:
    info = stack.start(module_home.path)
    with psycopg.connect(info.dsn) as connection:
        connection.execute("set role tape")
        query = "select setting from pg_settings where name = any(%s) order by name"
        names = ["listen_addresses", "unix_socket_directories", "fsync", "full_page_writes"]
        settings = [value for (value,) in connection.execute(query, [names])]
        rules = connection.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
        locale = "select datlocprovider, pg_encoding_to_char(encoding) from pg_database"
        assert connection.execute(f"{locale} where datname = current_database()").fetchone() == (
            "b",
            "UTF8",
        )
    assert settings == ["on", "on", "127.0.0.1", ""]
    assert rules == [("scram-sha-256",)]


def test_a_home_below_a_private_folder_works_and_changes_no_permissions(
    tmp_path: Path, own_home: Home
) -> None:
    tmp_path.chmod(0o700)
    before = [stat.S_IMODE(part.stat().st_mode) for part in tmp_path.parents]
    stack.start(own_home.path, with_kafka=False)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert [stat.S_IMODE(part.stat().st_mode) for part in tmp_path.parents] == before
    assert stat.S_IMODE(own_home.postgres_data.stat().st_mode) == 0o700
    if os.geteuid() == 0:
        assert own_home.postgres_data.is_relative_to(SYSTEM_FOLDER)
        assert own_home.postgres_data.stat().st_uid != 0


def test_a_home_that_was_removed_under_its_stack_is_made_anew(own_home: Home) -> None:
    old = stack.start(own_home.path, with_kafka=False)
    shutil.rmtree(own_home.path)
    new = stack.start(own_home.path, with_kafka=False)
    assert old.postgres_pid is not None
    assert new.postgres_pid != old.postgres_pid
    assert not psutil.pid_exists(old.postgres_pid) or (
        psutil.Process(old.postgres_pid).status() == psutil.STATUS_ZOMBIE
    )
    keep_row(new.dsn, "new")

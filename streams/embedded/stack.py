"""The embedded stack as a whole: start, stop, status."""

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from streams.embedded import daemon, kafka, postgres
from streams.embedded.binaries import folder_for_server
from streams.embedded.daemon import Stopped
from streams.embedded.home import MARK, Home, check_space, exclusive, open_home, read_home
from streams.errors import UserError

__all__ = ["ComponentStatus", "StackInfo", "running", "start", "status", "stop"]

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class StackInfo:
    """A started stack: `brokers` is `host:port`, `dsn` a URL with its password.

    A pid is None for a component that was not asked for.
    """

    home: Home
    brokers: str
    dsn: str = field(repr=False)
    kafka_pid: int | None
    postgres_pid: int | None


@dataclass(frozen=True)
class ComponentStatus:
    """One component: `address` is None before the first start, `pid` while it does not run."""

    name: str
    address: str | None
    pid: int | None
    usable: bool
    log: Path | None


def start(path: Path, *, with_kafka: bool = True, with_postgres: bool = True) -> StackInfo:
    """Starts what is missing of the stack in the state folder `path`, and adopts what runs.

    Returns when both answer clients. Processes of one home wait for each other.

    Raises:
        UserError: a component cannot be started; what this call had started is stopped again.
    """
    with exclusive(path):
        is_new = read_home(path) is None
        home = open_home(path)
        if is_new:
            _end_leftovers(home)
        starts: list[Callable[[Home], int]] = []
        if with_kafka:
            starts.append(kafka.start)
            check_space(home.path)
        if with_postgres:
            starts.append(postgres.start)
            check_space(folder_for_server(home))
        ran_before = {kafka.stop: kafka.pid(home), postgres.stop: postgres.pid(home)}
        try:
            pids = _concurrently(starts, home)
        except BaseException:
            for end, before in ran_before.items():
                if before is None:
                    end(home)
            raise
    started = dict(zip(starts, pids, strict=True))
    return StackInfo(
        home=home,
        brokers=home.brokers,
        dsn=home.dsn(),
        kafka_pid=started.get(kafka.start),
        postgres_pid=started.get(postgres.start),
    )


def stop(path: Path) -> dict[str, Stopped]:
    """Stops the stack in the state folder `path`; tells how each component ended.

    Raises:
        UserError: the settings file is garbled, or a process belongs to another user.
    """
    if read_home(path) is None:
        return {"kafka": Stopped.NOT_RUNNING, "postgres": Stopped.NOT_RUNNING}
    with exclusive(path):
        home = open_home(path)
        ends = _concurrently([kafka.stop, postgres.stop], home)
    return dict(zip(("kafka", "postgres"), ends, strict=True))


def status(path: Path) -> list[ComponentStatus]:
    """What runs of the stack in the state folder `path`, each component tried by a request.

    Raises:
        UserError: the settings file is garbled.
    """
    home = read_home(path)
    if home is None:
        return [ComponentStatus(name, None, None, False, None) for name in ("kafka", "postgres")]
    kafka_pid, postgres_pid = kafka.pid(home), postgres.pid(home)
    database = f"127.0.0.1:{home.remembered.postgres_port}"
    return [
        ComponentStatus(
            "kafka",
            home.brokers,
            kafka_pid,
            kafka_pid is not None and kafka.is_usable(home),
            home.kafka_log,
        ),
        ComponentStatus(
            "postgres",
            database,
            postgres_pid,
            postgres_pid is not None and postgres.is_usable(home),
            home.postgres_log,
        ),
    ]


def running(path: Path, *, with_kafka: bool = True, with_postgres: bool = True) -> StackInfo:
    """The stack that runs in the state folder `path`, found without a request to it.

    Raises:
        UserError: a component that was asked for is not running.
    """
    home = read_home(path)
    kafka_pid = kafka.pid(home) if home and with_kafka else None
    postgres_pid = postgres.pid(home) if home and with_postgres else None
    missing = (with_kafka and kafka_pid is None) or (with_postgres and postgres_pid is None)
    if home is None or missing:
        raise UserError("the embedded stack is not running; run `tape stack start`")
    return StackInfo(home, home.brokers, home.dsn(), kafka_pid, postgres_pid)


def _concurrently(actions: Sequence[Callable[[Home], _Result]], home: Home) -> list[_Result]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda action: action(home), actions))


def _end_leftovers(home: Home) -> None:
    """Ends the daemons of an earlier home at the same path, which was removed under them."""
    place = f":{home.path}"

    def is_leftover(argument: str) -> bool:
        setting = argument.removeprefix("-D")
        return setting.startswith(MARK) and setting.endswith(place) and setting != home.mark

    for pid in daemon.find(is_leftover):
        daemon.stop(pid, signal.SIGINT, deadline_s=10)

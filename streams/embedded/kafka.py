"""Apache Kafka as one KRaft node, broker and controller, on loopback."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from streams.embedded import daemon, jars
from streams.embedded.daemon import Stopped
from streams.embedded.home import Home, check_port
from streams.errors import UserError

__all__ = ["is_usable", "pid", "start", "stop"]

_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 30.0

# 16 MiB lets a value of 10 MB through, headers and batch included.
_LARGEST_BATCH = 16 * 1024 * 1024

_PROPERTIES = """\
# Written at every start; changes here are lost.
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{kafka_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{kafka_port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={log_dirs}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# After a kill, the broker's old registration must expire before it may register again.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
message.max.bytes={largest_batch}
replica.fetch.max.bytes={largest_batch}
log.segment.bytes=268435456
log.retention.check.interval.ms=300000
"""

_JVM = [
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseG1GC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    # Kafka 4.3 still uses what Java 25 warns of.
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
]


def start(home: Home) -> int:
    """Starts the broker, or adopts the one that runs; gives its pid once it answers clients.

    Raises:
        UserError: no Java, no jars, a port that is taken, a damaged log folder, or a broker that
            does not come up.
    """
    running = pid(home)
    if running is None:
        running = _launch(home)
    daemon.wait_until_usable(
        "Kafka", running, home.kafka_log, lambda: is_usable(home), _START_DEADLINE_S
    )
    return running


def stop(home: Home, deadline_s: float = _STOP_DEADLINE_S) -> Stopped:
    """Stops the broker by SIGTERM, and by SIGKILL after `deadline_s` seconds.

    Raises:
        UserError: the broker belongs to another user.
    """
    running = pid(home)
    outcome = Stopped.NOT_RUNNING
    if running is not None:
        outcome = daemon.stop(running, signal.SIGTERM, deadline_s)
    _pid_file(home).unlink(missing_ok=True)
    return outcome


def pid(home: Home) -> int | None:
    """The pid of the living broker of this home, or None."""
    mark = _mark(home)
    try:
        remembered = int(_pid_file(home).read_text(encoding="ascii"))
    except (OSError, ValueError):
        remembered = None
    if remembered is not None and daemon.ours(remembered, mark):
        return remembered
    # Its starter may have been killed before it wrote the file.
    return next(iter(daemon.find(mark.__eq__)), None)


def is_usable(home: Home, timeout_s: float = 2.0) -> bool:
    """Whether the broker answers a metadata request, naming itself as registered."""
    # Imported here: the command line's help needs no Kafka client.
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    if not _listens(home):
        return False
    # The client prints each refused connection unless it is told that only emergencies matter.
    client = AdminClient({"bootstrap.servers": home.brokers, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False


def _launch(home: Home) -> int:
    java, path = jars.java(), jars.classpath(home)
    for name in ("kafka_port", "controller_port"):
        check_port(home, name)
    data = home.kafka_folder / "data"
    if data.exists():
        _check_data(home, data)
    else:
        _format(home, java, path)
    properties = home.kafka_folder / "server.properties"
    _write_properties(home, properties, data.name)
    started = daemon.launch(
        [java, *_JVM, _mark(home), "-cp", path, "kafka.Kafka", properties.name],
        cwd=home.kafka_folder,
        log=home.kafka_log,
    )
    _pid_file(home).write_text(f"{started}\n", encoding="ascii")
    return started


def _format(home: Home, java: Path, path: str) -> None:
    """Makes the log folder, under another name until it is whole: a kill leaves no half."""
    draft = home.kafka_folder / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    properties = home.kafka_folder / "format.properties"
    _write_properties(home, properties, draft.name)
    command: list[str | Path] = [java, "-XX:TieredStopAtLevel=1", "-cp", path]
    command += ["kafka.tools.StorageTool", "format"]
    command += ["-t", home.remembered.cluster_id, "-c", properties.name]
    done = subprocess.run(
        command, cwd=home.kafka_folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UserError(f"formatting Kafka's log folder {draft} failed: {done.stderr.strip()}")
    properties.unlink()
    draft.rename(home.kafka_folder / "data")


def _check_data(home: Home, data: Path) -> None:
    remedy = (
        f"put the right folder back, or move {data} away to begin with an empty log "
        "(every event in it is then gone)"
    )
    try:
        text = (data / "meta.properties").read_text(encoding="latin-1")
    except OSError as fault:
        raise UserError(
            f"Kafka's log folder {data} is damaged: meta.properties cannot be read "
            f"({fault.strerror}); {remedy}"
        ) from None
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    found, wanted = values.get("cluster.id"), home.remembered.cluster_id
    if found != wanted:
        raise UserError(
            f"Kafka's log folder {data} belongs to cluster {found}, but {home.settings_file} "
            f"names {wanted}; {remedy}"
        )


def _write_properties(home: Home, file: Path, log_dirs: str) -> None:
    # log_dirs is relative to the working directory: a home with a comma or a backslash in its
    # path would need quoting that properties files do not have.
    file.write_text(
        _PROPERTIES.format(
            kafka_port=home.remembered.kafka_port,
            controller_port=home.remembered.controller_port,
            log_dirs=log_dirs,
            largest_batch=_LARGEST_BATCH,
        ),
        encoding="ascii",
    )


def _listens(home: Home) -> bool:
    """Cheaper than a client that is refused and backs off."""
    try:
        socket.create_connection(("127.0.0.1", home.remembered.kafka_port), timeout=1).close()
    except OSError:
        return False
    return True


def _mark(home: Home) -> str:
    return f"-D{home.mark}"


def _pid_file(home: Home) -> Path:
    return home.kafka_folder / "kafka.pid"

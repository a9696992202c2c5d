"""Debezium's JDBC sink on Kafka Connect standalone: two tasks, UNNEST, upsert."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.contender import Command, Contender, Job
from benchmarks.peers.connect_jars import jars
from benchmarks.table import PRIMARY_KEY
from streams.embedded.jars import java

JVM = ("-Xms1g", "-Xmx1g", "-XX:+UseParallelGC")

#: Our decimals are JSON strings, and the UNNEST writer types its arrays from the schema.
CASTS = """
create cast (text as numeric) with inout as assignment;
create cast (varchar as numeric) with inout as assignment;
"""

_TYPES = {"time": "int64", "sequence": "int64", "received": "int64"}
_FIELDS = (
    *("venue", "symbol", "trade_id", "price", "size", "side"),
    *_TYPES,
)
SCHEMA = {
    "type": "struct",
    "name": "price.trade",
    "optional": False,
    "fields": [
        {"field": name, "type": _TYPES.get(name, "string"), "optional": name == "sequence"}
        for name in _FIELDS
    ],
}

_LOGGING = """\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


class Debezium(Contender):
    """Debezium JDBC sink 3.6.0 on Kafka Connect 4.3.1, at its best settings."""

    name: ClassVar[str] = "debezium"
    title: ClassVar[str] = "Debezium JDBC sink, 2 tasks"

    def __init__(self) -> None:
        self._jars: list[Path] = []

    def prepare(self, cache: Path) -> None:
        self._jars = jars()

    def setup(self, job: Job) -> None:
        with psycopg.connect(job.dsn, autocommit=True) as connection:
            connection.execute(CASTS)

    def commands(self, job: Job) -> Sequence[Command]:
        workdir = Path(job.workdir)
        worker = _write(workdir / "worker.properties", _worker(job))
        sink = _write(workdir / "sink.properties", _sink(job))
        logging = workdir / "log4j2.properties"
        logging.write_text(_LOGGING, encoding="utf-8")
        classpath = os.pathsep.join(map(str, self._jars))
        main = "org.apache.kafka.connect.cli.ConnectStandalone"
        options = (f"-Dlog4j2.configurationFile={logging}", "-cp", classpath)
        return [Command((str(java()), *JVM, *options, main, worker, sink))]


def _worker(job: Job) -> dict[str, str]:
    return {
        "bootstrap.servers": job.brokers,
        "listeners": f"http://127.0.0.1:{_free_port()}",
        "offset.storage.file.filename": str(Path(job.workdir) / "offsets"),
        "plugin.discovery": "service_load",
        "connector.client.config.override.policy": "All",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
        "value.converter.schema.content": json.dumps(SCHEMA),
        # The default would guess a type for each header.
        "header.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
    }


def _sink(job: Job) -> dict[str, str]:
    place = conninfo_to_dict(job.dsn)
    return {
        "name": job.run,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "2",
        "topics": job.topic,
        "connection.url": f"jdbc:postgresql://{place['host']}:{place['port']}/{place['dbname']}",
        "connection.username": str(place["user"]),
        "connection.password": str(place["password"]),
        "connection.pool.min_size": "1",
        "insert.mode": "upsert",
        "primary.key.mode": "record_value",
        "primary.key.fields": ",".join(PRIMARY_KEY),
        "schema.evolution": "none",
        "collection.name.format": "price_history",
        "batch.size": "5000",
        "use.reduction.buffer": "true",
        "dialect.postgres.unnest.insert.enabled": "true",
        "consumer.override.auto.offset.reset": "earliest",
        "consumer.override.max.poll.records": "5000",
        "consumer.override.max.partition.fetch.bytes": "16777216",
        "consumer.override.fetch.max.bytes": "67108864",
        "consumer.override.fetch.min.bytes": "1048576",
        "consumer.override.fetch.max.wait.ms": "100",
    }


def _write(path: Path, properties: Mapping[str, str]) -> str:
    path.touch(mode=0o600)  # one of them holds the password
    lines = [f"{name}={value}\n" for name, value in properties.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])

"""Kafka Connect and Debezium's JDBC sink from Maven Central, by the exact list in connect.lock."""

from __future__ import annotations

import warnings
from pathlib import Path

from streams.errors import UserError


def jars() -> list[Path]:
    """The jars of the lock file, downloaded (75 MB) where Maven's local repository lacks them.

    Raises:
        UserError: one of them cannot be had.
    """
    with warnings.catch_warnings():
        # platformdirs warns where XDG_RUNTIME_DIR is unset, as in containers.
        warnings.simplefilter("ignore")
        from jgo.maven import MavenContext

    maven = MavenContext()
    found = []
    lock = Path(__file__).with_name("connect.lock").read_text(encoding="utf-8")
    for line in lock.splitlines():
        if line.startswith("#"):
            continue
        group, artifact, version = line.split(":")
        try:
            jar = maven.project(group, artifact).at_version(version).artifact().resolve()
        except Exception as fault:  # jgo declares none; its HTTP faults come as they are
            raise UserError(f"{line} cannot be fetched from Maven Central: {fault}") from None
        found.append(Path(jar))
    return found

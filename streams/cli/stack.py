"""`tape stack`: the embedded Kafka and PostgreSQL."""

import json
import shlex
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    help="The embedded Kafka and PostgreSQL: start, stop, look at them.", no_args_is_help=True
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def start() -> None:
    """Start what is missing of the stack, and adopt what already runs.

    Example: TAPE_HOME=~/tape-test tape stack start
    """
    from streams.embedded import stack
    from streams.settings import load_settings

    home = load_settings().home
    info = stack.start(home)
    print(f"Kafka listens on {info.brokers} (pid {info.kafka_pid})")
    port = info.home.remembered.postgres_port
    print(f"PostgreSQL listens on 127.0.0.1:{port} (pid {info.postgres_pid})")
    print(f'State and logs are in {home}; for other tools: eval "$(tape stack env)"')


@app.command()
def stop() -> None:
    """Stop the stack cleanly; its data stays.

    Example: tape stack stop
    """
    from streams.embedded import stack
    from streams.settings import load_settings

    for name, outcome in stack.stop(load_settings().home).items():
        print(f"{name} {outcome}")


@app.command()
def status(as_json: _AsJson = False) -> None:
    """Tell what runs, where, and whether it answers; exit status 1 if something does not.

    Example: tape stack status --json
    """
    from streams.embedded import stack
    from streams.settings import load_settings

    home = load_settings().home
    components = stack.status(home)
    if as_json:
        rows = {
            one.name: {
                "address": one.address,
                "pid": one.pid,
                "usable": one.usable,
                "log": str(one.log) if one.log else None,
            }
            for one in components
        }
        print(json.dumps({"home": str(home), "components": rows}, indent=2))
    else:
        for one in components:
            state = "is not running"
            if one.pid is not None:
                verb = "answers" if one.usable else "does not answer"
                state = f"{verb} on {one.address} (pid {one.pid}, log {one.log})"
            print(f"{one.name} {state}")
    if not all(one.usable for one in components):
        raise typer.Exit(1)


@app.command()
def env() -> None:
    """Print the running stack's addresses as shell exports; the DSN holds the password.

    Example: eval "$(tape stack env)" && psql "$TAPE_DSN"
    """
    from streams.embedded import stack
    from streams.settings import load_settings

    info = stack.running(load_settings().home)
    print(f"export TAPE_BROKERS={shlex.quote(info.brokers)}")
    print(f"export TAPE_DSN={shlex.quote(info.dsn)}")

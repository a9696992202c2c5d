"""The command `tape`: one module a group of commands, registered below."""

import sys

import typer

from streams.cli import db, doctor, events, produce, record, replay, stack, topics, up, worker
from streams.errors import Refusal, UserError

__all__ = ["app", "main"]

app = typer.Typer(
    name="tape",
    help="Records what happens on trading venues: Kafka topics in, PostgreSQL tables out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(stack.app, name="stack")
app.add_typer(db.app, name="db")
app.add_typer(topics.app, name="topics")
app.add_typer(events.app, name="events")
app.command(name="doctor")(doctor.doctor)
app.command(name="up")(up.up)
app.command(name="worker")(worker.worker)
app.command(name="produce")(produce.produce)
app.command(name="record")(record.record)
app.command(name="replay")(replay.replay)


def main() -> None:
    """Runs the command line; a user's mistake ends it with a message and status 2, not a traceback.

    A refusal ends it with status 75, Ctrl-C with 130.
    """
    try:
        app()
    except UserError as error:
        print(f"tape: {error}", file=sys.stderr)
        sys.exit(75 if isinstance(error, Refusal) else 2)
    except KeyboardInterrupt:
        sys.exit(130)

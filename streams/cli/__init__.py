"""The command `tape`: one module a group of commands, registered below."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from streams.cli import (
    archive,
    backfill,
    backup,
    book,
    console,
    db,
    dlq,
    doctor,
    events,
    expire,
    explain,
    health,
    lag,
    monitor,
    pnl,
    produce,
    rebuild,
    record,
    replay,
    restore,
    simulate,
    stack,
    topics,
    trace,
    trade,
    up,
    verify,
    wait,
    worker,
)
from streams.errors import UserError

__all__ = ["app", "main"]

app = typer.Typer(
    name="tape",
    help="Records what happens on trading venues: Kafka topics in, PostgreSQL tables out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tape {version('tickertape')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.add_typer(stack.app, name="stack")
app.add_typer(db.app, name="db")
app.add_typer(topics.app, name="topics")
app.add_typer(events.app, name="events")
app.add_typer(trade.app, name="trade")
app.add_typer(backfill.app, name="backfill")
app.add_typer(dlq.app, name="dlq")
app.add_typer(archive.app, name="archive")
app.add_typer(restore.app, name="restore")
app.command(name="backup")(backup.backup)
app.command(name="doctor")(doctor.doctor)
app.command(name="up")(up.up)
app.command(name="worker")(worker.worker)
app.command(name="produce")(produce.produce)
app.command(name="record")(record.record)
app.command(name="replay")(replay.replay)
app.command(name="rebuild")(rebuild.rebuild)
app.command(name="rollback")(rebuild.rollback)
app.command(name="verify")(verify.verify)
app.command(name="explain")(explain.explain)
app.command(name="at")(explain.at)
app.command(name="expire")(expire.expire)
app.command(name="simulate")(simulate.simulate)
app.command(name="pnl")(pnl.pnl)
app.command(name="book")(book.book)
app.command(name="console")(console.console)
app.command(name="trace")(trace.trace)
app.command(name="wait")(wait.wait)
app.command(name="lag")(lag.lag)
app.command(name="health")(health.health)
app.command(name="monitor")(monitor.monitor)


def main() -> None:
    """Runs the command line; a user's mistake ends it with a message and status 2, not a traceback.

    A refusal ends it with status 75, Ctrl-C with 130.
    """
    try:
        app()
    except UserError as error:
        print(f"tape: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from projections.errors import Refusal  # with it come database and data frame libraries

        if not isinstance(error, Refusal):
            raise
        print(f"tape: {error}", file=sys.stderr)
        sys.exit(75)

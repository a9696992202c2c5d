"""`tape up`: everything at once, from a venue to the tables."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.running import parse_duration

__all__ = ["up"]


def up(
    duration: Annotated[
        str | None, typer.Option("--for", help="How long (30s, 5m); without it, until Ctrl-C.")
    ] = None,
    venue: Annotated[
        str, typer.Option(help="simulated (needs no network), coinbase, binance.")
    ] = "simulated",
    workers: Annotated[
        int, typer.Option(min=1, max=16, help="Worker processes; they share the partitions.")
    ] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Show nothing but a summary at the end, as JSON.")
    ] = False,
) -> None:
    """Run a venue through Kafka into PostgreSQL, and show how it goes.

    Starts the embedded Kafka and PostgreSQL (unless TAPE_BROKERS and TAPE_DSN name others), makes
    tables and topics, and runs the producer, the workers and the expirer until Ctrl-C; with the
    simulated venue also `tape simulate`: markets, and an account that trades there, a new one for
    each run. Whatever was killed before is taken up where it stopped. A process that dies is
    started again, one that someone stopped is not. The exit status is 1 if a process did not stop
    cleanly or is in a crash loop, and 75 if a worker refused to go on.

    Example: tape up --for 30s
    """
    seconds = None if duration is None else parse_duration(duration)

    from streams.connectors.live import feeds_of
    from streams.up import run

    feeds_of([venue])
    summary = run.up(run.Plan(venue, workers, seconds), quiet=as_json)
    print(summary.as_json() if as_json else summary.as_text())
    if summary.complaints:
        raise typer.Exit(1)

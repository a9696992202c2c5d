"""`tape console`: a web page of what is behind, since when, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.running import log_to_stderr, until_stopped

__all__ = ["console"]


def console(
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Where it listens.")] = 8321,
    host: Annotated[
        str, typer.Option(help="Another address than this machine's own needs TAPE_CONSOLE_TOKEN.")
    ] = "127.0.0.1",
    allow_actions: Annotated[
        bool, typer.Option("--allow-actions", help="Dead letters may be retried and discarded.")
    ] = False,
) -> None:
    """Serve the console, until Ctrl-C: lag, freshness, incidents, trades, prices, dead letters.

    It only reads, unless --allow-actions is given.

    Examples:

        tape console

        tape console --allow-actions --port 9000
    """
    import uvloop

    from streams.console.observing import pictures
    from streams.console.run import Plan, serve
    from streams.settings import endpoints, load_settings

    log_to_stderr()
    settings = load_settings()
    plan = Plan(host, port, allow_actions)
    serving = serve(plan, endpoints(settings), settings, pictures, lambda: _tell(plan.address))
    uvloop.run(until_stopped(serving, None))


def _tell(address: str) -> None:
    print(f"console: {address}", flush=True)

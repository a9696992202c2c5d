"""`tape monitor`: watches all the time, serves metrics, and alerts."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from streams.cli.running import log_to_stderr, parse_duration, until_stopped

__all__ = ["monitor"]


def monitor(
    port: Annotated[int, typer.Option(help="For /metrics, /live and /ready.")] = 9109,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    every: Annotated[str, typer.Option(help="How often to look.")] = "2s",
    cluster: Annotated[str, typer.Option(help="The label cluster_name of metrics.")] = "tickertape",
    duration: Annotated[
        str | None, typer.Option("--for", help="How long (30s, 5m); without it, until Ctrl-C.")
    ] = None,
) -> None:
    """Watch lag, freshness and health; tell of incidents; serve Prometheus metrics.

    Incidents go into the topic system.health, and, if TAPE_ALERT_URL is set,
    to that webhook. TAPE_DEAD_MAN_URL gets a sign of life each minute. Run
    several if you like: one of them tells.

    Examples:

        tape monitor

        tape monitor --host 0.0.0.0 --every 5s
    """
    log_to_stderr()
    seconds = None if duration is None else parse_duration(duration)
    asyncio.run(_monitor(host, port, parse_duration(every), cluster, seconds))


async def _monitor(host: str, port: int, every: float, cluster: str, seconds: float | None) -> None:
    from streams.monitor.run import Options, monitor
    from streams.monitor.thresholds import thresholds_of
    from streams.settings import endpoints, load_settings

    settings = load_settings()
    alert, dead_man = settings.alert_url, settings.dead_man_url
    options = Options(
        host,
        port,
        every,
        cluster,
        alert.get_secret_value() if alert else None,
        dead_man.get_secret_value() if dead_man else None,
    )

    def say(listening: int) -> None:
        print(f"metrics on http://{host}:{listening}/metrics", flush=True)

    work = monitor(endpoints(settings), thresholds_of(settings), options, say)
    await until_stopped(work, seconds)

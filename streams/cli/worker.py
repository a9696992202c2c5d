"""`tape worker`: project topics into tables."""

from __future__ import annotations

from typing import Annotated

import typer


def worker(
    projections: Annotated[
        list[str] | None, typer.Argument(help="Which projections; all of them when none is named.")
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve /metrics, /live and /ready on this port.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Projects topics into tables until it is stopped.

    Start it as often as you like: workers share the partitions. SIGTERM lets it finish the unit of
    work under way. Exit status 75 says that it refused to go on, and why.

    Examples:

        tape worker

        tape worker prices --metrics-port 9108
    """
    import sys

    from projections import PROJECTIONS
    from projections.deadletter import Limits
    from streams.app import Rules
    from streams.cli.running import log_to_stderr
    from streams.errors import UserError
    from streams.settings import endpoints, load_settings
    from streams.topics import topic_ids
    from streams.worker import Worker

    names = projections or list(PROJECTIONS)
    unknown = [name for name in names if name not in PROJECTIONS]
    if unknown:
        raise UserError(
            f"there is no projection {', '.join(unknown)}; there are: {', '.join(PROJECTIONS)}"
        )
    log_to_stderr()
    settings = load_settings()
    chosen = [PROJECTIONS[name]() for name in names]
    reach = endpoints(settings)
    topic_ids(reach, sorted({topic for projection in chosen for topic in projection.topics}))
    limits = Limits(settings.dead_letters_in_a_row, settings.dead_letters_of_last_thousand)
    metrics = None if metrics_port is None else (metrics_host, metrics_port)
    rules = Rules(limits, settings.history_days, metrics)
    sys.exit(Worker(chosen, reach, rules).run())

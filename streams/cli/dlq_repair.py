"""`tape dlq retry` and `tape dlq discard`: what becomes of dead letters."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import dlq_choice as choice
from streams.cli.bars import bar
from streams.cli.dlq_choice import MOST, AsJson, endpoints_of
from streams.cli.running import log_to_stderr
from streams.errors import UserError

if TYPE_CHECKING:
    from projections.decisions import Operator
    from streams.redrive import Redriven
    from streams.reports.dead_letters import Chosen
    from streams.retry import Retried
    from streams.settings import Endpoints

__all__ = ["discard", "retry"]


def retry(
    place: choice.Place = None,
    topic: choice.Topic = None,
    projection: choice.Projection = None,
    error: choice.Error = None,
    since: choice.Since = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="At most so many.")] = MOST,
    why: Annotated[str | None, typer.Option(help="Kept with the decision.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try dead letters again.

    Frames that could not be read go through the parser; what they say goes to the topics of its
    events. Records go through the projection that refused them, into its tables. What succeeds is
    done with; to do it twice changes no table. What is of no use out of its place is left: of order
    books, of quotes that newer ones followed. Exit status 1: something was refused again. It stays
    listed.

    Examples:

        tape dlq retry --projection prices --why "mended in 0.2"

        tape dlq retry "price.ticks[0]@4041"
    """
    log_to_stderr()
    chosen = choice.choose(topic, projection, error, since, place)
    retried, redriven = asyncio.run(_retry(chosen, limit, why))
    if as_json:
        print(json.dumps({**vars(retried), "refused": vars(redriven)}, indent=2))
    else:
        from streams.cli.dlq_tables import print_retried

        print_retried(retried, redriven)
    if retried.unread or redriven.failed:
        raise typer.Exit(1)


async def _retry(chosen: Chosen, limit: int, why: str | None) -> tuple[Retried, Redriven]:
    from streams import redrive, retry

    endpoints, operator = endpoints_of(), _operator(why)
    retried, redriven = retry.Retried(), redrive.Redriven()
    try:
        with bar("frames") as moved:
            await retry.retry(
                chosen,
                endpoints,
                operator,
                limit,
                retried,
                lambda frames: moved(retried.frames, frames),
            )
        if limit > retried.frames:
            with bar("records") as moved:
                await redrive.redrive(
                    chosen,
                    endpoints,
                    operator,
                    limit - retried.frames,
                    redriven,
                    lambda records: moved(redriven.records, records),
                )
    finally:
        if retried.read or redriven.projected:
            await _tell(endpoints)
    return retried, redriven


def discard(
    why: Annotated[str, typer.Option(help="Kept with the decision.")],
    place: choice.Place = None,
    topic: choice.Topic = None,
    projection: choice.Projection = None,
    error: choice.Error = None,
    since: choice.Since = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask about more than one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Have dead letters wait no more. Their bytes are kept: list --all and show have them.

    Examples:

        tape dlq discard "price.ticks[0]@4041" --why "a record made by hand"

        tape dlq discard --error "order book" --why "snapshots came" --yes
    """
    from streams.discard import count_waiting
    from streams.reports.reading import reading

    log_to_stderr()
    chosen = choice.choose(topic, projection, error, since, place)
    operator = _operator(why)
    endpoints = endpoints_of()
    with reading(endpoints.dsn) as connection:
        waiting = count_waiting(connection, chosen)
    if waiting > 1 and not yes:
        _confirm(waiting)
    discarded = asyncio.run(_discard(chosen, endpoints, operator, waiting))
    if as_json:
        print(json.dumps({"discarded": discarded}))
    else:
        from streams.cli.dlq_tables import counted

        letters = counted(discarded, "dead letter", "dead letters")
        print(f"{letters} discarded; nothing is deleted" if discarded else "none waits")


def _confirm(waiting: int) -> None:
    if not sys.stdin.isatty():
        raise UserError(f"{waiting:,} dead letters would be discarded: say --yes if you mean them")
    if not typer.confirm(f"Discard {waiting:,} dead letters?", err=True):
        raise typer.Exit(1)


async def _discard(chosen: Chosen, endpoints: Endpoints, operator: Operator, most: int) -> int:
    from streams.discard import discard

    try:
        with bar("dead letters") as moved:
            return await discard(
                chosen, endpoints, operator, most, lambda discarded: moved(discarded, most)
            )
    finally:
        await _tell(endpoints)


def _operator(why: str | None) -> Operator:
    from streams.decisions import operator_of
    from streams.settings import load_settings

    return operator_of(load_settings(), why)


async def _tell(endpoints: Endpoints) -> None:
    """Send what was decided, now; where that fails a worker does it later, or the next command."""
    from streams.decisions import send_decisions
    from streams.reports.reading import database_faults

    try:
        with database_faults():
            await send_decisions(endpoints)
    except UserError as error:
        print(f"tape: what was decided is sent later, for now: {error}", file=sys.stderr)

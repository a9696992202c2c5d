"""`tape rebuild`: tables made anew from the log."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.building import Display, all_projections, known_projections, tell_decisions
from streams.cli.repair import repair
from streams.errors import UserError
from streams.live import replaying

if TYPE_CHECKING:
    from streams.rebuild.run import Outcome

__all__ = ["rebuild", "rollback"]


_Why = Annotated[str | None, typer.Option(help="Why, for the record in system.decisions.")]


def rebuild(
    projections: Annotated[
        list[str] | None, typer.Argument(help="Which: account, health, market, prices.")
    ] = None,
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Keep the replaced tables, for `tape rollback`.")
    ] = False,
    accept_dead_letters: Annotated[
        bool,
        typer.Option(
            "--accept-dead-letters",
            help="Swap although more records could not be projected than live.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="KAFKA_KEY",
            help="Repair the rows of this key in place; several times.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="OFFSET|TIME",
            help="The same for all keys of records since price.ticks[0]@12, or a time in UTC.",
        ),
    ] = None,
    accept_gap: Annotated[
        bool,
        typer.Option(
            "--accept-gap", help="Repair although the log may lack records that rows were made of."
        ),
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Drop what unfinished rebuilds left, and do no more.")
    ] = False,
    why: _Why = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Make a projection's tables anew from the log, and swap them in.

    Workers go on, and readers see the old rows until the swap and the new ones
    after it. Whatever goes wrong, the live tables stay as they are; to run it
    again starts anew.

    With --only or --from the live tables are repaired in place: the rows of the
    affected Kafka keys are deleted and made anew in one transaction, without a
    swap, while workers wait.

    Examples:

        tape rebuild prices

        tape rebuild account market --keep-old

        tape rebuild prices --only coinbase:BTC-USD

        tape rebuild account --from 'kalshi.account[2]@1500'

        tape rebuild --clean
    """
    replaying()
    chosen = known_projections(projections or [])
    if clean:
        _clean(chosen, as_json)
        return
    if only or since is not None:
        if len(chosen) != 1:
            raise UserError("keys belong to one projection: name it, and no other")
        if keep_old or accept_dead_letters or clean:
            raise UserError("a repair in place has no swap: it takes --accept-gap and --json only")
        repair(chosen[0], only or [], since, why, accept_gap=accept_gap, as_json=as_json)
        return
    if not chosen:
        raise UserError(f"name what to rebuild; there are: {', '.join(all_projections())}")
    from streams.decisions import operator_of
    from streams.rebuild.run import Wishes
    from streams.settings import load_settings

    settings = load_settings()
    operator = operator_of(settings, why)
    wishes = Wishes(operator, keep_old, accept_dead_letters, accept_gap, settings.history_days)
    outcomes = []
    for name in chosen:
        outcomes.append(asyncio.run(_rebuild(name, wishes)))
        if not as_json:
            _print(outcomes[-1])
    if as_json:
        print(json.dumps([asdict(one) for one in outcomes], indent=2))


def rollback(
    projection: Annotated[str, typer.Argument(help="Which: account, health, market or prices.")],
    why: _Why = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Swap back to the tables that `tape rebuild --keep-old` replaced.

    They catch up with the log first, from where they stood. It takes the release
    whose version they are of; the tables that are live now are kept in turn.

    Example: tape rollback prices
    """
    replaying()
    [name] = known_projections([projection])
    outcome = asyncio.run(_rollback(name, why))
    if as_json:
        print(json.dumps(asdict(outcome), indent=2))
    else:
        _print(outcome)


async def _rollback(name: str, why: str | None) -> Outcome:
    from streams.decisions import operator_of
    from streams.rebuild.rollback import rollback as run
    from streams.settings import endpoints, load_settings

    settings = load_settings()
    at = endpoints(settings)
    with Display(name) as display:
        outcome = await run(name, at, operator_of(settings, why), display)
    tell_decisions()
    return outcome


async def _rebuild(name: str, wishes: Any) -> Outcome:
    from streams.rebuild.run import rebuild as run
    from streams.settings import endpoints, load_settings

    at = endpoints(load_settings())
    with Display(name) as display:
        outcome = await run(name, at, wishes, display)
    tell_decisions()
    return outcome


def _clean(chosen: list[str], as_json: bool) -> None:
    from streams.rebuild.alone import alone, clean
    from streams.rebuild.faults import explaining
    from streams.settings import endpoints, load_settings

    dsn = endpoints(load_settings(), with_kafka=False).dsn

    async def run() -> tuple[list[str], list[str]]:
        dropped, stay = [], []
        for name in chosen or all_projections():
            with explaining(name):
                async with alone(name, dsn) as connection:
                    done, reasons = await clean(connection, name)
            dropped += [one.schema for one in done]
            stay += reasons
        return dropped, stay

    dropped, stay = asyncio.run(run())
    if as_json:
        print(json.dumps({"dropped": dropped, "stay": stay}))
    else:
        for line in (*(f"dropped {schema}" for schema in dropped), *stay):
            print(line)
        if not dropped and not stay:
            print("nothing was left over")
    if stay:
        raise typer.Exit(1)


def _print(outcome: Outcome) -> None:
    rate = outcome.records / outcome.seconds
    print(
        f"{outcome.projection}: generation {outcome.generation} took the place of"
        f" {outcome.replaced}; {outcome.records:,} records in {outcome.seconds:.1f} s"
        f" ({rate:,.0f}/s), readers held up for {outcome.lockout * 1000:.0f} ms"
    )
    if outcome.left is not None:
        print(f"  {outcome.left}")

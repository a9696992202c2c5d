"""`tape dlq`: dead letters, looked at, tried again, discarded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from streams.cli import dlq_choice as choice
from streams.cli import dlq_repair
from streams.cli.dlq_choice import MOST, AsJson, endpoints_of
from streams.errors import UserError

__all__ = ["app"]

app = typer.Typer(
    help="Dead letters: frames that could not be read, and records that a projection refused.",
    no_args_is_help=True,
)


@app.command(name="list")
def list_(
    topic: choice.Topic = None,
    projection: choice.Projection = None,
    error: choice.Error = None,
    since: choice.Since = None,
    with_done: Annotated[bool, typer.Option("--all", help="Those too that are done.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the dead letters that wait, the newest first. Times are Eastern.

    Examples:

        tape dlq list

        tape dlq list --topic kalshi.account --error "not JSON" --limit 1000 --json
    """
    from streams.cli.dlq_tables import as_text, print_list
    from streams.reports.dead_letters import read_dead_letters
    from streams.reports.reading import reading
    from streams.reports.text import as_json as to_json

    chosen = choice.choose(topic, projection, error, since)
    with reading(endpoints_of(with_kafka=False).dsn) as connection:
        found = read_dead_letters(connection, chosen, limit, with_done=with_done)
    if as_json:
        listed = [{**one, "key": as_text(one["key"])} for one in found.listed]
        counts = {"frames": found.frames, "records": found.records, "done": found.done}
        print(to_json({"dead_letters": listed, **counts}))
    else:
        print_list(found, with_done=with_done)


@app.command()
def show(
    place: Annotated[str, typer.Argument(help="As list shows it: price.ticks[0]@4041.")],
    as_json: AsJson = False,
) -> None:
    """Show all of a dead letter: headers, key, value, why, and what became of it.

    Several projections may have refused the record, each for a reason of its own.

    Example: tape dlq show "price.ticks[0]@4041"
    """
    from streams.cli.dlq_tables import print_record
    from streams.reports.dead_letters import read_records
    from streams.reports.reading import reading
    from streams.reports.text import as_json as to_json

    chosen = choice.choose(None, None, None, None, place)
    with reading(endpoints_of(with_kafka=False).dsn) as connection:
        found = read_records(connection, chosen)
    if not found:
        raise UserError(f"{place} is no dead letter; `tape dlq list --all` shows what is")
    if as_json:
        shown = [_exactly(one) for one in found]
        print(to_json({"dead_letters": shown}))
        return
    for number, one in enumerate(found):
        if number:
            print()
        print_record(one)


def _exactly(one: dict[str, Any]) -> dict[str, Any]:
    from streams.cli.dlq_tables import value_fields

    rest = {name: value for name, value in one.items() if name not in {"key", "value"}}
    return {**rest, **value_fields("key", one["key"]), **value_fields("value", one["value"])}


app.command()(dlq_repair.retry)
app.command()(dlq_repair.discard)

"""`tape pnl`: what the closed trades earned."""

from __future__ import annotations

import csv
import sys
from contextlib import nullcontext
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.errors import UserError

if TYPE_CHECKING:
    from streams.reports.pnl import Report

__all__ = ["pnl"]


def pnl(
    by: Annotated[
        str, typer.Option(help="A line for each day, series, strategy, market or trade.")
    ] = "day",
    account: Annotated[
        str | None, typer.Option(help="Such as kalshi/demo/main/0; without it, TAPE_ACCOUNT.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="The first day, as 2025-08-01.")] = None,
    until: Annotated[str | None, typer.Option(help="The last day, as 2025-08-31.")] = None,
    to_csv: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE", help="Write CSV to a file, - for standard output."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Sum up an account's closed trades.

    A trade counts on the day it was closed, in New York. A series is the
    ticker before its first dash, a market the whole ticker. Cost and proceeds
    are before fees. Figures in CSV and JSON are exact; CSV has no totals line.
    For a tax return take a year --by trade.

    Examples:

        tape pnl --by strategy --since 2025-08-01

        tape pnl --by trade --since 2025-01-01 --until 2025-12-31 --csv 2025.csv
    """
    from streams.cli.pnl_tables import print_report
    from streams.reports.pnl import Span, read_pnl
    from streams.reports.reading import reading
    from streams.reports.text import as_json as to_json
    from streams.settings import endpoints, load_settings

    if to_csv is not None and as_json:
        raise UserError("--csv and --json cannot both be given")
    settings = load_settings()
    span = Span(settings.account if account is None else account, _day(since), _day(until))
    with reading(endpoints(settings, with_kafka=False).dsn) as connection:
        report = read_pnl(connection, span, by)
    if to_csv is not None:
        _write_csv(to_csv, report)
    elif as_json:
        found = {"lines": report.lines, "total": report.total}
        print(to_json({**asdict(span), "by": by, **found}))
    elif not report.lines:
        print(f"no closed trades of {span.account} in this time")
    else:
        print_report(report, by)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{text!r} is no date; write it as 2025-08-31") from None


def _write_csv(path: str, report: Report) -> None:
    there = path == "-"
    try:
        with nullcontext(sys.stdout) if there else Path(path).open("w", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(report.columns)
            for line in report.lines:
                writer.writerow([_csv_value(line[name]) for name in report.columns])
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    if not there:
        print(f"{len(report.lines):,} lines written to {path}")


def _csv_value(value: Any) -> Any:
    from streams.events.tickers import EASTERN
    from streams.reports.text import plain

    if isinstance(value, datetime):  # with its offset, so it is exact as well
        return value.astimezone(EASTERN).isoformat()
    return plain(value) if isinstance(value, Decimal) else value

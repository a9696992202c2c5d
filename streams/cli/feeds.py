"""What commands that connect to venues have in common: which symbols and series they follow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import UserError

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["Series", "Symbols", "chosen"]

Symbols = Annotated[
    list[str] | None,
    typer.Option(help="A spot symbol, BTC-USD; may be given several times. See TAPE_SYMBOLS."),
]
Series = Annotated[
    list[str] | None,
    typer.Option(help="A Kalshi series, KXBTCD; may be given several times."),
]


def chosen(symbols: list[str] | None, series: list[str] | None) -> Settings:
    """The settings in force, with these in place of theirs.

    Raises UserError for what is no symbol or no series.
    """
    from streams.events.types import SYMBOL, TICKER
    from streams.settings import load_settings

    given: dict[str, tuple[str, ...]] = {}
    if symbols:
        given["symbols"] = _names(symbols, SYMBOL, "symbol; write it as BTC-USD")
    if series:
        given["kalshi_series"] = _names(series, TICKER, "series; write it as KXBTCD")
    return load_settings(**given)


def _names(names: list[str], pattern: str, wanted: str) -> tuple[str, ...]:
    for name in names:
        if re.fullmatch(pattern, name) is None:
            raise UserError(f"{name!r} is no {wanted}")
    return tuple(dict.fromkeys(names))

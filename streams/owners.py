"""Owners: whose connection to a venue it is, as `VENUE/MODE/ACCOUNT` (`kalshi/prod/main`)."""

from __future__ import annotations

__all__ = ["venue_of", "venue_of_index"]

#: Who makes the index that Kalshi hands on.
_INDEX = "cfbenchmarks"


def venue_of(owner: str) -> str:
    """The venue of an account's market data: `kalshi`, or `kalshi_demo`, where the same tickers
    trade at other prices."""
    venue, mode, *_ = owner.split("/")
    return venue if mode == "prod" else f"{venue}_{mode}"


def venue_of_index(owner: str) -> str:
    """Whose index it is, whoever hands it on; a simulated venue has one of its own.

    `owner` is the account (`kalshi/prod/main`) by whose connection it came.
    """
    venue = owner.partition("/")[0]
    return venue if venue == "simulated" else _INDEX

"""Commands of a WebSocket client, read; and the codes of the errors that answer bad ones. Pure.

Source: asyncapi.yaml 3.34.0, error codes and command payloads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from streams.simulated.kalshi.venue.messages import Channel

__all__ = ["ERRORS", "Command", "CommandError", "Selection"]
__all__ += ["command", "parse", "selection", "texts", "the_sid"]

ERRORS: Mapping[int, str] = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    9: "Authentication required",
    10: "Channel error",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    18: "Command timeout",
    24: "Index IDs required",
    25: "Subscription buffer overflow",
    26: "Subscription market limit exceeded",
    27: "Too many requests",
}


class CommandError(Exception):
    """A command, or a part of one, that the venue refuses. Nothing changed by it."""

    def __init__(self, code: int) -> None:
        super().__init__(ERRORS[code])
        self.code = code


@dataclass(frozen=True)
class Command:
    """One command; `number` is the client's, None where it gave none."""

    name: str
    number: int | None
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Selection:
    """The markets that a command names, in its order: by ticker, or by the venue's id."""

    names: tuple[str, ...]
    by_id: bool


def parse(data: str | bytes) -> tuple[int | None, Any]:
    """The number and the JSON object of a message. Raises CommandError where it is none."""
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise CommandError(1) from error
    if not isinstance(message, dict):
        raise CommandError(1)
    number = message.get("id")
    # A number of zero is none.
    return (number if type(number) is int and number > 0 else None), message


def command(number: int | None, message: Mapping[str, Any]) -> Command:
    """The command of a message. Raises CommandError."""
    name = message.get("cmd")
    if name not in ("subscribe", "unsubscribe", "update_subscription", "list_subscriptions"):
        raise CommandError(5)
    params = message.get("params")
    if name != "list_subscriptions" and not isinstance(params, dict):
        raise CommandError(2)
    return Command(name, number, params or {})


def texts(params: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The list of text of that name; empty where it is not given. Raises CommandError."""
    given = params.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise CommandError(11)
    return tuple(dict.fromkeys(given))


def selection(params: Mapping[str, Any], channel: Channel) -> Selection | None:
    """The markets that a command names for a channel; None where it names none.

    Only the channel ticker takes ids. Raises CommandError.
    """
    singles, lists = ("market_ticker", "market_id"), ("market_tickers", "market_ids")
    given = [name for name in (*singles, *lists) if name in params]
    if len(given) > 1:
        raise CommandError(11)
    if not given:
        return None
    name = given[0]
    by_id = name.startswith("market_id")
    if by_id and channel != "ticker":
        raise CommandError(11)
    names = texts({name: [params[name]]} if name in singles else params, name)
    return Selection(names, by_id) if names else None


def the_sid(params: Mapping[str, Any]) -> int:
    """The one subscription that an update is about. Raises CommandError."""
    given = [params["sid"]] if "sid" in params else params.get("sids")
    if not isinstance(given, list) or len(given) != 1 or ("sid" in params and "sids" in params):
        raise CommandError(12)
    if type(given[0]) is not int:
        raise CommandError(11)
    return given[0]

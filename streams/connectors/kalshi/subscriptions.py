"""The commands of one connection, their answers, and the numbers of what each subscription sends.

Rules (reference/connectors.md sections 2 and 4, after asyncapi.yaml and recordings): `seq` counts
for each `sid` from 1, over all its markets; `ok` and `unsubscribed` use a number up, `subscribed`
does not. Answers come in any order, and one command may have several. To subscribe again to a
channel adds markets to its subscription. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import orjson

from streams.connectors.base import ConnectorError
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, shown

__all__ = ["ANSWERS", "MARKETS", "Place", "Subscriptions"]

#: Types of frames that answer commands.
ANSWERS = frozenset({"subscribed", "unsubscribed", "ok", "error"})
#: So many markets in one command.
MARKETS = 200
#: A command that is not answered within this ends the connection. Microseconds.
_ANSWER_WITHIN = 10_000_000
#: Without a frame for this long, the venue is asked for a sign of life. Microseconds.
_PROBE_AFTER = 10_000_000


class Place(NamedTuple):
    """Where a numbered frame stands: as expected, a repeat, or after a gap."""

    order: Literal["next", "repeat", "gap"]
    expected: int
    got: int


class Subscriptions:
    """What was asked for on one connection, and what has come of it."""

    def __init__(self) -> None:
        #: Subscription → channel.
        self.channels: dict[int, str] = {}
        self._commands = 0
        self._waiting: dict[int, tuple[int, str]] = {}
        self._seqs: dict[int, int] = {}

    def subscribe(self, now: int, *channels: str, **params: object) -> str:
        """The command that subscribes to channels."""
        return self._command(now, "subscribe", {"channels": channels, **params})

    def update(self, now: int, channel: str, action: str, tickers: Sequence[str]) -> list[str]:
        """The commands that add, delete or ask for snapshots of markets; none before the channel's
        subscription is acknowledged."""
        sid = self.sid_of(channel)
        if sid is None:
            return []
        parts = [tickers[start : start + MARKETS] for start in range(0, len(tickers), MARKETS)]
        return [
            self._command(
                now,
                "update_subscription",
                {"sids": [sid], "action": action, "market_tickers": part},
            )
            for part in parts
        ]

    def probe(self, now: int, heard: int) -> str | None:
        """The command that asks for a sign of life, where nothing was heard for long.

        Raises ConnectorError where a command was not answered in time.
        """
        for asked, name in self._waiting.values():
            if now - asked > _ANSWER_WITHIN:
                raise ConnectorError(f"the venue did not answer a command ({name}) in time")
        if self._waiting or now - heard < _PROBE_AFTER:
            return None
        return self._command(now, "list_subscriptions", None)

    def sid_of(self, channel: str) -> int | None:
        """The subscription of a channel, once it is acknowledged."""
        return next((sid for sid, name in self.channels.items() if name == channel), None)

    def channel_of(self, frame: Item) -> str | None:
        """The channel of the subscription that a frame names, if it names one of ours."""
        sid = frame.get("sid")
        return self.channels.get(sid) if type(sid) is int else None

    def is_next(self, frame: Item) -> bool:
        """Whether the frame has no number, or the one that is expected; takes no note of it."""
        seq = frame.get("seq")
        if seq is None:
            return True
        sid = frame.get("sid")
        return type(sid) is int and type(seq) is int and seq == self._seqs.get(sid, 0) + 1

    def place(self, frame: Item) -> Place | None:
        """Where the frame stands; None where it has no number. Raises FrameError."""
        seq = frame.get("seq")
        if seq is None:
            return None
        sid = frame.get("sid")
        if type(seq) is not int or type(sid) is not int or seq < 1:
            raise FrameError(f"no numbers of a subscription: sid {shown(sid)}, seq {shown(seq)}")
        expected = self._seqs.get(sid, 0) + 1
        if seq < expected:
            return Place("repeat", expected, seq)
        self._seqs[sid] = seq
        return Place("next" if seq == expected else "gap", expected, seq)

    def answered(self, frame: Item) -> None:
        """Take an answer, or the end of a subscription by the venue.

        Raises ConnectorError for an error: a new connection subscribes anew, and tells the gap.
        """
        number = frame.get("id")
        asked = self._waiting.pop(number, None) if isinstance(number, int) else None
        match frame.get("type"):
            case "subscribed":
                self._subscribed(frame)
            case "error":
                raise ConnectorError(self._refusal(frame, asked))

    def _subscribed(self, frame: Item) -> None:
        msg = frame.get("msg")
        sid = msg.get("sid") if isinstance(msg, dict) else None
        if type(sid) is not int or not isinstance(msg, dict):
            raise FrameError(f"msg: no sid: {shown(msg)}")
        self.channels[sid] = str(msg.get("channel"))

    def _refusal(self, frame: Item, asked: tuple[int, str] | None) -> str:
        msg = frame.get("msg")
        detail: Mapping[str, Any] = msg if isinstance(msg, dict) else {}
        what = f" to {asked[1]}" if asked else ""
        reason = f"error {shown(detail.get('code'))}, {shown(detail.get('msg'))}"
        return f"the venue answered{what} with {reason}"

    def _command(self, now: int, name: str, params: object) -> str:
        self._commands += 1
        command: dict[str, object] = {"id": self._commands, "cmd": name}
        if params is not None:
            command["params"] = params
        self._waiting[self._commands] = now, name
        return orjson.dumps(command).decode()

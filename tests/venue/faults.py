"""What goes wrong on the way from the fake venue to its clients: by script, or by seeded chances.

    faults = Faults(seed=7)
    faults.at_frame(3, "orderbook_delta", "skip")      # the third delta, of all connections
    faults.at_reply(1, "/portfolio/fills", "503", times=5)
    faults.at_upgrade(2, "429")
    faults.at_command(1, "subscribe", 18)
    faults.chances["repeat"] = 0.01                    # of any frame

What was inflicted is in `inflicted`. Frames are counted by their type, replies by path, upgrades
and commands as they are, over all connections; 1 is the next one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import orjson

from streams.simulated.kalshi.venue.line import Act, Cut, End, Line, Manner, Send, Stall, Wait
from streams.simulated.kalshi.venue.query import Reply
from streams.simulated.kalshi.venue.rest import BASE
from streams.simulated.kalshi.venue.session import Frame

#: skip: the number is used up, the frame is not sent. reorder: after the next of its type.
#: disconnect: instead of the frame; half: in the middle of it. stall: frames stop and pings are
#: not answered; stall_answering: pings are. delay: half a second, with all behind it.
#: overflow, channel_error: the subscription ends by error 25 or 10.
FrameFault = Literal[
    "skip",
    "repeat",
    "reorder",
    "garbage",
    "huge",
    "delay",
    "drip",
    "half",
    "disconnect",
    "stall",
    "stall_answering",
    "overflow",
    "channel_error",
]
#: never: no reply, and the connection stays. html: a proxy's page with status 200.
ReplyFault = Literal[
    "429", "500", "502", "503", "504", "html", "half", "drip", "disconnect", "never"
]
UpgradeFault = Literal["429", "500", "503", "disconnect", "never"]
Fault = FrameFault | ReplyFault | UpgradeFault | int

_HUGE = 5_000_000
_DELAY = 0.5
_PAGE = b"<html><body><h1>Bad Gateway</h1></body></html>"
_MANNERS: dict[str, Manner] = {
    "half": "half",
    "drip": "drip",
    "disconnect": "cut",
    "never": "never",
}
_ACTS: dict[str, tuple[Act, ...]] = {
    "skip": (),
    "disconnect": (Cut(),),
    "stall": (Stall(deaf=True),),
    "stall_answering": (Stall(deaf=False),),
    "overflow": (End(25),),
    "channel_error": (End(10),),
}


class Inflicted(NamedTuple):
    """A fault that happened: to which frame, reply, upgrade or command of its kind."""

    kind: str
    number: int
    fault: Fault


@dataclass
class Faults(Line):
    """A line with faults. A script goes before chances, which are per frame or reply."""

    seed: int = 0
    chances: dict[FrameFault, float] = field(default_factory=dict)
    reply_chances: dict[ReplyFault, float] = field(default_factory=dict)
    #: Nothing goes wrong, and nothing is counted, while this holds.
    calm: bool = False

    def __post_init__(self) -> None:
        self.inflicted: list[Inflicted] = []
        self._random = random.Random(self.seed)
        self._script: dict[tuple[str, int], Fault] = {}
        self._counts: Counter[str] = Counter()
        self._held: dict[tuple[int, str], bytes] = {}

    def at_frame(self, number: int, kind: str, fault: FrameFault, times: int = 1) -> None:
        """Inflict a fault on frames of a type, from the `number`th on."""
        self._plan(f"frame {kind}", number, fault, times)

    def at_reply(self, number: int, path: str, fault: ReplyFault, times: int = 1) -> None:
        """Inflict a fault on replies to a path below the base, `*` for all, from the `number`th."""
        self._plan(f"reply {path}", number, fault, times)

    def at_upgrade(self, number: int, fault: UpgradeFault, times: int = 1) -> None:
        """Refuse upgrades to a WebSocket, from the `number`th on."""
        self._plan("upgrade", number, fault, times)

    def at_command(self, number: int, name: str, code: int, times: int = 1) -> None:
        """Answer commands by an error of this code, from the `number`th of its name on."""
        self._plan(f"command {name}", number, code, times)

    def upgrade(self, connection: int) -> Reply | Manner | None:
        """The line's: see `Line`."""
        fault = self._draw("upgrade")
        if fault is None:
            return None
        name = str(fault)
        return _MANNERS[name] if name in _MANNERS else _error(int(name))

    def command(self, connection: int, data: str | bytes) -> int | None:
        """The line's: see `Line`."""
        try:
            name = orjson.loads(data)["cmd"]
        except (ValueError, TypeError, KeyError):
            return None
        code = self._draw(f"command {name}")
        return code if isinstance(code, int) else None

    def frame(self, connection: int, frame: Frame) -> Sequence[Act]:
        """The line's: see `Line`."""
        fault = self._draw(f"frame {frame.kind}", self.chances)
        series = connection, frame.kind
        if fault == "reorder" and series not in self._held:
            self._held[series] = frame.data
            return ()
        acts = self._acts(str(fault), frame)
        if series in self._held:
            acts = (*acts, Send(self._held.pop(series)))
        return acts

    def reply(self, path: str, reply: Reply) -> tuple[Reply, Manner]:
        """The line's: see `Line`."""
        fault = self._draw("reply *") or self._draw(
            f"reply {path.removeprefix(BASE)}", self.reply_chances
        )
        match fault:
            case None:
                return reply, "whole"
            case "html":
                return Reply(200, _PAGE), "whole"
            case str() if fault in _MANNERS:
                return reply, _MANNERS[fault]
            case _:
                return _error(int(fault)), "whole"

    def _acts(self, fault: str, frame: Frame) -> tuple[Act, ...]:
        data = frame.data
        acts: dict[str, Callable[[], tuple[Act, ...]]] = {
            "repeat": lambda: (Send(data), Send(data)),
            "garbage": lambda: (Send(self._garbage(data)),),
            "huge": lambda: (Send(_huge(data)),),
            "delay": lambda: (Wait(_DELAY), Send(data)),
            "drip": lambda: (Send(data, "drip"),),
            "half": lambda: (Send(data, "half"),),
        }
        return acts[fault]() if fault in acts else _ACTS.get(fault, (Send(data),))

    def _garbage(self, data: bytes) -> bytes:
        """Never JSON: a wrong price that can be read would be another fault."""
        place = self._random.randrange(1, len(data) - 2)
        return data[:place] if self._random.random() < 0.5 else b"\x01" + data[place:]

    def _plan(self, kind: str, number: int, fault: Fault, times: int) -> None:
        for at in range(number, number + times):
            self._script[kind, self._counts[kind] + at] = fault

    def _draw(
        self, kind: str, chances: dict[FrameFault, float] | dict[ReplyFault, float] | None = None
    ) -> Fault | None:
        if self.calm:
            return None
        self._counts[kind] += 1
        number = self._counts[kind]
        fault = self._script.pop((kind, number), None) or self._by_chance(chances or {})
        if fault is not None:
            self.inflicted.append(Inflicted(kind, number, fault))
        return fault

    def _by_chance(
        self, chances: dict[FrameFault, float] | dict[ReplyFault, float]
    ) -> Fault | None:
        drawn = self._random.random()
        for fault, chance in chances.items():
            if drawn < chance:
                return fault
            drawn -= chance
        return None


def _error(status: int) -> Reply:
    if status == 429:
        return Reply(429, b'{"error":"too many requests"}')
    if status == 502:
        return Reply(502, _PAGE)
    body = {"error": {"code": "internal_server_error", "message": "internal server error"}}
    return Reply(status, orjson.dumps(body))


def _huge(data: bytes) -> bytes:
    """The same frame with a field of five megabytes."""
    return data.rstrip().removesuffix(b"}") + b',"padding":"' + b"x" * _HUGE + b'"}\n'

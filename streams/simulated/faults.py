"""What can go wrong on the way to a client: by seeded probabilities, or on command. Pure."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Delivery", "Fault", "Faults", "FaultyLine"]

Fault = Literal["drop", "delay", "repeat", "reorder", "garble", "disconnect"]


@dataclass
class Delivery:
    """What to do for one frame: wait `delay` seconds, send `frames`, then perhaps hang up."""

    frames: list[bytes]
    delay: float = 0.0
    disconnect: bool = False


@dataclass
class Faults:
    """The faults of a venue. Each has a probability per frame; their sum is at most 1.

    `order` demands faults for the next frames of a type, which come before any chance.
    """

    seed: int = 0
    chances: dict[Fault, float] = field(default_factory=dict)
    #: How long a delayed frame, and all behind it, is held up, seconds.
    delay_seconds: float = 0.2

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._ordered: dict[str, deque[Fault]] = {}

    def order(self, fault: Fault, frame_type: str, count: int = 1) -> None:
        """Inflict a fault on the next `count` frames of a type (`match`, `ticker`, …)."""
        self._ordered.setdefault(frame_type, deque()).extend([fault] * count)

    def draw(self, frame_type: str) -> Fault | None:
        """The fault of the next frame of this type, if any."""
        if ordered := self._ordered.get(frame_type):
            return ordered.popleft()
        drawn = self.random.random()
        for fault, chance in self.chances.items():
            if drawn < chance:
                return fault
            drawn -= chance
        return None


class FaultyLine:
    """The way to one client, which suffers the venue's faults."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._held: dict[tuple[str, str], bytes] = {}

    def deliver(self, frame: bytes, frame_type: str, product: str) -> Delivery:
        """What becomes of a frame. A reordered one comes after the next of its type and product."""
        series = frame_type, product
        match self._faults.draw(frame_type):
            case "drop":
                delivery = Delivery([])
            case "delay":
                delivery = Delivery([frame], delay=self._faults.delay_seconds)
            case "repeat":
                delivery = Delivery([frame, frame])
            case "garble":
                delivery = Delivery([self._garbled(frame)])
            case "disconnect":
                return Delivery([], disconnect=True)
            case "reorder" if series not in self._held:
                self._held[series] = frame
                return Delivery([])
            case _:
                delivery = Delivery([frame])
        if held := self._held.pop(series, None):
            delivery.frames.append(held)
        return delivery

    def _garbled(self, frame: bytes) -> bytes:
        """Never readable any more: a wrong price that looks right would be another fault."""
        place = self._faults.random.randrange(1, len(frame))
        if self._faults.random.random() < 0.5:
            return frame[:place]
        return frame[: place - 1] + b"\xff\x00" + frame[place + 1 :]

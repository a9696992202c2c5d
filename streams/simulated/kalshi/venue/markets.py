"""One market as the venue knows it: its life, its book, what was quoted and traded. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from streams.events.types import Side
from streams.simulated.kalshi.changes import Quote, Resolved, Settled
from streams.simulated.kalshi.venue.depth import Depth
from streams.simulated.kalshi.venue.facts import (
    BookChange,
    Listed,
    PublicTrade,
    Rescheduled,
    Struck,
    Switched,
)

__all__ = ["Market", "Status"]

Status = Literal["initialized", "inactive", "active", "closed", "determined", "finalized"]


@dataclass
class Market:
    """A market from its listing on; times in microseconds since 1970 UTC."""

    listed: Listed
    closes: int
    updated: int
    struck: Struck | None = None
    opened: bool = False
    halted: bool = False
    result: Side | Literal[""] = ""
    settled: int | None = None
    depth: Depth = field(default_factory=Depth)
    quotes: list[Quote] = field(default_factory=list)
    trades: list[PublicTrade] = field(default_factory=list)

    @classmethod
    def of(cls, listed: Listed) -> Market:
        """A market that was just listed."""
        return cls(listed, listed.closes, listed.time)

    def status(self, now: int) -> Status:
        """As the field `status` of the REST API names it."""
        if self.settled is not None:
            return "finalized"
        if self.result:
            return "determined"
        if now >= self.closes:
            return "closed"
        if not self.opened:
            return "initialized"
        return "inactive" if self.halted else "active"

    def change(
        self,
        fact: Struck
        | Switched
        | Rescheduled
        | Resolved
        | Settled
        | BookChange
        | Quote
        | PublicTrade,
    ) -> None:
        """Take in what happened to it. Raises ValueError where the book has no room for it."""
        match fact:
            case BookChange():
                self.depth.apply(fact)
            case Quote():
                self.quotes.append(fact)
            case PublicTrade():
                self.trades.append(fact)
            case Struck():
                self.struck, self.updated = fact, fact.time
            case Switched():
                self.opened, self.halted = self.opened or fact.active, not fact.active
                self.updated = fact.time
            case Rescheduled():
                self.closes, self.updated = fact.closes, fact.time
            case Resolved():
                self.result, self.updated = fact.result, fact.time
            case Settled():
                self.settled = self.updated = fact.time

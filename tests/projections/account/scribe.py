"""What the stories of an account are written with: places, ids, counts, a clock, and the pen."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

from hypothesis import strategies as st

from streams.events import Event, Fill, OpenTrade, Order

Side = Literal["yes", "no"]
Origin = Literal["native", "legacy"]

OTHER: dict[Side, Side] = {"yes": "no", "no": "yes"}
ACCOUNTS = ["kalshi/prod/main/0", "kalshi/demo/main/0"]
TICKERS = [
    "KXBTCD-25AUG0619-T114749.99",
    "KXETHD-25AUG0619-T3779.99",
    "KXU3-25JUN-T4.2",
    "KXMAYORNYCPARTY-25-D",
]
#: 2025-08-06 22:10:00 UTC, in microseconds.
EVENING = 1_754_518_200_000_000
SECOND = 1_000_000

STEPS = [0, 1, 999, 1_000, 250_000, SECOND, 7 * SECOND, 60 * SECOND]
#: In hundredths of a contract.
COUNTS = [100, 200, 500, 1_000, 2_000, 50, 225, 333]
#: In hundredths of a cent.
PRICES = [9_600, 400, 5_000, 100, 9_900, 3_333, 6_250, 0, 10_000]


@dataclass(frozen=True)
class Place:
    """An account and a market."""

    account: str
    ticker: str


@dataclass(frozen=True)
class Asked:
    """What an open command asked for: the trade, as far as one knows."""

    place: Place
    ticket: str
    side: Side
    count: Decimal


def hundredths(number: int) -> Decimal:
    return Decimal(number).scaleb(-2)


def price_of(number: int) -> Decimal:
    return Decimal(number).scaleb(-4)


class Scribe:
    """Draws what happens and writes it down; in one story its clock goes forward only."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.events: list[Event] = []
        self.now = EVENING
        self.names = 0

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def chance(self, one_in: int) -> bool:
        """True once in so many times; shrinks to False."""
        return bool(self.draw(st.integers(0, one_in - 1)) == one_in - 1)

    def name(self, kind: str) -> str:
        """A new id. Its order says nothing about time."""
        self.names += 1
        return f"{kind}-{self.pick('m', 'a', 'z')}{self.names}"

    def begin(self) -> None:
        """A story begins at any time: lives overlap."""
        self.now = EVENING + self.pick(0, 0, 1, SECOND, 30 * SECOND, 600 * SECOND)

    def later(self) -> int:
        self.now += self.pick(*STEPS)
        return self.now

    def count(self) -> Decimal:
        return hundredths(self.pick(*COUNTS))

    def price(self) -> Decimal:
        return price_of(self.pick(*PRICES))

    def split(self, count: Decimal) -> list[Decimal]:
        """The count in one to three parts."""
        whole = int(count.scaleb(2))
        cuts = self.draw(st.lists(st.integers(1, max(whole - 1, 1)), max_size=2))
        edges = sorted({0, whole, *(cut for cut in cuts if cut < whole)})
        return [hundredths(b - a) for a, b in pairwise(edges)]

    def say(self, event: type[Event], /, **fields: Any) -> None:
        self.events.append(event(**fields))

    # Commands and outcomes

    def ask(self, kind: type[Event], place: Place, ticket: str, **fields: Any) -> str:
        """A command of a ticket; returns its id."""
        command_id = self.name("C")
        common = {"command_id": command_id, "ticket_id": ticket, "time": self.later()}
        fields = {"origin": "native", **vars(place), **common, **fields}
        self.say(kind, **fields)
        return command_id

    def ask_to_open(
        self, place: Place, origin: Origin = "native", ticket: str | None = None
    ) -> tuple[Asked, str]:
        asked = Asked(place, ticket or self.name("T"), self.pick("yes", "no"), self.count())
        command_id = self.ask(
            OpenTrade,
            place,
            asked.ticket,
            origin=origin,
            side=asked.side,
            count=asked.count,
            price=self.pick(price_of(9_600), None, self.price()),
            symbol=self.pick(None, "BTC"),
            market=self.pick("Kalshi", None),
            strategy=self.pick("Hourly HTC", None),
            contract=self.pick("BTC 7pm", None),
            strike=self.pick(None, Decimal("114750.00")),
            prob=self.pick(Decimal("97.2"), None, Decimal("50.5"), Decimal(3)),
            entry_method=self.pick("auto", "manual", None),
        )
        return asked, command_id

    def report(self, kind: type[Event], place: Place, ticket: str, **fields: Any) -> None:
        common = {"ticket_id": ticket, "time": self.later(), "origin": "native"}
        self.say(kind, **{**vars(place), **common, **fields})

    # What the venue says

    def of_account(self, **fields: Any) -> dict[str, Any]:
        return {"origin": "native", "received": self.now + 5, "raw": None, **fields}

    def fill(self, place: Place, **fields: Any) -> None:
        """One execution, as one or both channels tell of it."""
        time = self.later()
        full: dict[str, Any] = {
            **self.of_account(),
            **vars(place),
            "trade_id": self.name("F"),
            "order_id": None,
            "client_order_id": None,
            "fee": None,
            "is_taker": None,
            "post_position": None,
            **fields,
        }
        channel = self.pick("rest", "socket", "both", "seconds")
        if channel in {"rest", "both"}:
            lacking = {"fee": None, "client_order_id": None} if channel == "both" else {}
            self.say(Fill, **{**full, **lacking, "time": time, "is_taker": True})
        if channel in {"socket", "both"}:
            self.say(Fill, **{**full, "time": time // 1_000 * 1_000, "post_position": Decimal(3)})
        if channel == "seconds":
            self.say(Fill, **{**full, "time": time // SECOND * SECOND})

    def order(self, place: Place, order_id: str, **fields: Any) -> None:
        """One state of an order."""
        full: dict[str, Any] = {
            **self.of_account(),
            **vars(place),
            "order_id": order_id,
            "client_order_id": None,
            "kind": "limit",
            "fill_cost": None,
            "fees": None,
            "created": None,
            "updated": None,
            "expires": None,
            "reason": None,
            **fields,
        }
        self.say(Order, **full)

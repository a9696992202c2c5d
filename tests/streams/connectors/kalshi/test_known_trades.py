"""Whatever is lost, and whenever a connection or a process ends, no public trade stays unknown."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.connectors.kalshi.known_trades import KnownTrades

ACTS = (
    *("open", "overlook", "trade", "trade", "lose", "close", "cut", "connect", "die", "answer"),
    *("ask", "reply", "reply_in_part", "tick"),
)

#: A trade is lost, and asked for by a connection that ends before the answer.
_ASKED_IN_VAIN = [
    *[("open", 0), ("lose", 0), ("trade", 0), ("ask", 0), ("reply", 0), ("connect", 0)],
    *[("tick", 0), ("die", 0)],
]
#: A market begins unheard, after REST was asked which there are, and before it answers.
_BEGUN_MEANWHILE = [
    *[("open", 0), ("ask", 0), ("overlook", 0), ("trade", 1), ("trade", 0), ("reply", 0)],
    ("die", 0),
]


@dataclass
class Life:
    """Markets are traded, and a feed hears of it, or not; `told` is what it knows."""

    known: KnownTrades = field(default_factory=KnownTrades)
    now: int = 0
    is_connected: bool = False
    #: A trade was lost, which the next number will say.
    is_lost: bool = False
    open: list[str] = field(default_factory=list)
    #: Those whose trades this connection brings.
    followed: set[str] = field(default_factory=set)
    closed: dict[str, int] = field(default_factory=dict)
    #: What REST will say of open markets, once it answers.
    listing: list[str] | None = None
    trades: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    told: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def act(self, what: str, which: int) -> None:
        self.now += 1
        if what in {"open", "overlook"}:
            self.begin(f"M{len(self.open) + len(self.closed)}", is_heard=what == "open")
        elif what in {"trade", "lose", "close"}:
            if self.open:
                self.happen(what, self.open[which % len(self.open)])
        elif self.is_connected or what in {"connect", "die"}:
            self.turn(what)

    def happen(self, what: str, ticker: str) -> None:
        if what == "close":
            self.close(ticker)
        else:
            self.trade(ticker, is_lost=what == "lose")

    def turn(self, what: str) -> None:
        match what:
            case "cut":
                self.is_connected = False
            case "connect":
                self.connect()
            case "die":
                self.die()
            case "answer":
                self.answer()
            case "ask":
                self.ask()
            case "reply":
                self.reply()
            case "reply_in_part":
                self.reply(is_whole=False)
            case "tick":
                self.known.confirm()

    def begin(self, ticker: str, *, is_heard: bool) -> None:
        self.open.append(ticker)
        if self.is_connected and is_heard:
            self.followed.add(ticker)
            self.known.begun(ticker, self.now, self.now, is_traded=False)

    def trade(self, ticker: str, *, is_lost: bool) -> None:
        self.trades[ticker].append(self.now)
        if not self.is_connected or ticker not in self.followed:
            return
        if is_lost:
            self.is_lost = True
            return
        self.number()
        self.told[ticker].add(self.now)
        self.known.arrived(ticker, self.now)

    def close(self, ticker: str) -> None:
        self.open.remove(ticker)
        self.closed[ticker] = self.now
        if self.is_connected and ticker in self.followed:
            self.followed.discard(ticker)
            self.known.ended(ticker)
            self.number()
            self.known.in_order()

    def connect(self) -> None:
        self.is_connected, self.is_lost = True, False
        self.followed.clear()
        self.listing = None
        self.known.connected()
        self.ask()

    def ask(self) -> None:
        if self.listing is None:
            self.known.listing()
            self.listing = list(self.open)

    def reply(self, *, is_whole: bool = True) -> None:
        """In part, what it says of markets that ended cannot be read."""
        if self.listing is None:
            return
        for ticker in self.listing:
            if ticker in self.open and ticker not in self.followed:
                self.known.listed(ticker, self.now, self.now)
                self.followed.add(ticker)
        self.listing = None
        self.known.open_listed(self.now)
        if is_whole:
            for ticker, closed in self.closed.items():
                self.known.found_ended(ticker, closed, self.now)
            self.known.all_listed()

    def die(self) -> None:
        """Another process goes on with what this one told last."""
        self.is_connected = False
        self.known = KnownTrades(self.known.complete_until)

    def answer(self) -> None:
        for ticker, since in self.known.to_ask(self.now):
            self.told[ticker].update(one for one in self.trades[ticker] if one >= since)
            self.known.answered(ticker)

    def number(self) -> None:
        """A frame with a number comes."""
        if self.is_lost:
            self.known.missed(self.now)
        self.is_lost = False

    def settle(self) -> None:
        if not self.is_connected:
            self.connect()
        for _ in range(2):  # what is being told now is not all there is
            self.ask()
            self.reply()
        self.number()
        self.answer()


@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 3)), max_size=60))
@example([("cut", 0), ("open", 0), ("trade", 0)])
@example(_ASKED_IN_VAIN)
@example(_BEGUN_MEANWHILE)
@settings(max_examples=1000)
def test_in_the_end_every_trade_is_known(acts: list[tuple[str, int]]) -> None:
    life = Life()
    life.connect()
    life.reply()
    for what, which in acts:
        life.act(what, which)
    life.settle()
    assert {ticker: set(times) for ticker, times in life.trades.items()} == {
        ticker: life.told[ticker] for ticker in life.trades
    }


def test_a_market_without_a_loss_is_not_asked_for() -> None:
    life = Life()
    life.connect()
    life.reply()
    for what in ("open", "trade", "trade", "close"):
        life.act(what, 0)
    assert life.known.to_ask(life.now) == []


def test_what_was_traded_before_the_first_connection_is_not_asked_for() -> None:
    life = Life()
    for what in ("open", "trade", "connect", "reply"):
        life.act(what, 0)
    assert life.known.to_ask(life.now) == []


def test_a_market_that_is_traded_when_it_is_first_heard_of_is_asked_for() -> None:
    known = KnownTrades()
    known.begun("M", 5, 8, is_traded=True)
    assert known.to_ask(7) == []
    assert known.to_ask(8) == [("M", 5)]
    assert known.to_ask(9) == []


def test_the_last_trades_of_a_market_that_ended_meanwhile_are_asked_for_once() -> None:
    known = KnownTrades(until=5)
    known.found_ended("OLD", 4, 10)
    known.found_ended("M", 6, 10)
    assert known.to_ask(10) == [("M", 5)]
    known.answered("M")
    known.found_ended("M", 6, 10)
    assert known.to_ask(10) == []

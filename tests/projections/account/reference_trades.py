"""The reference's fees, and the rows of trades and of the parts of fills.

Quotations are from docs/trades.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Any

from streams.events.tickers import read_ticker
from tests.projections.account.reference_facts import Row
from tests.projections.account.reference_links import (
    Giving,
    Link,
    Market,
    Part,
    asked,
    commands_of_trades,
    failures,
)


def rounded(value: Fraction) -> Decimal:
    """Rule: "ten digits after the point are kept, half to even"."""
    digits = round(value * 10**10)
    return Decimal((int(digits < 0), tuple(map(int, str(abs(digits)))), -10))


def kept(value: Fraction) -> Fraction:
    return Fraction(rounded(value))


def price_of(side: str, yes_price: Decimal) -> Fraction:
    """Rule: "The price of a side is `yes_price` for `yes` and `1 - yes_price` for `no`"."""
    return Fraction(yes_price) if side == "yes" else 1 - Fraction(yes_price)


# Fees


@dataclass(frozen=True)
class Fee:
    """The fee of a whole fill, and where it is from."""

    amount: Fraction
    source: str


def fees(market: Market) -> dict[str, Fee]:
    """Rule: "Fee of a fill: its own. Else the order's fees […] Else the formula"."""
    found = {fill["trade_id"]: Fee(formula(fill), "formula") for fill in market.fills}
    for order in market.orders.values():
        found |= spread(order, market.fills_of(order["order_id"]))
    for fill in market.fills:
        if fill["fee"] is not None:
            found[fill["trade_id"]] = Fee(Fraction(fill["fee"]), "fill")
    return found


def formula(fill: Row) -> Fraction:
    """Rule: "0.07 * count * p * (1 - p) dollars, for each fill rounded up to the next cent"."""
    price = Fraction(fill["yes_price"])
    return Fraction(ceil(7 * Fraction(fill["count"]) * price * (1 - price)), 100)


def spread(order: Row, fills: list[Row]) -> dict[str, Fee]:
    """Rule: "the order's fees, less what its fills with fees of their own account for, spread by
    count over the filled contracts without one, unless that is negative or no contracts are left".
    "Shares are differences of rounded running sums, in the order of (time, trade id)".
    """
    with_fee = [fill for fill in fills if fill["fee"] is not None]
    without = [fill for fill in fills if fill["fee"] is None]
    if order["fees"] is None:
        return {}
    rest = Fraction(order["fees"]) - sum(Fraction(fill["fee"]) for fill in with_fee)
    contracts = Fraction(order["fill_count"]) - sum(Fraction(fill["count"]) for fill in with_fee)
    if rest < 0 or contracts <= 0:
        return {}
    # An older state of the order may have counted less than there are fills.
    contracts = max(contracts, sum((Fraction(fill["count"]) for fill in without), Fraction(0)))
    counts = [Fraction(fill["count"]) for fill in without]
    return {
        fill["trade_id"]: Fee(share, "order")
        for fill, share in zip(without, shares(rest, counts, contracts), strict=True)
    }


def shares(amount: Fraction, counts: list[Fraction], total: Fraction) -> list[Fraction]:
    """Rule: "Shares are differences of rounded running sums, so that they add up exactly"."""
    found, running, given = [], Fraction(0), Fraction(0)
    for count in counts:
        running += count
        found.append(kept(amount * running / total) - given)
        given += found[-1]
    return found


# What was reckoned of one market


class Reckoned:
    """Everything that one market's facts come to, but its positions and cash."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.belongs = commands_of_trades(market)
        giving = Giving(market, self.belongs)
        self.links: dict[str, Link] = giving.linked
        self.parts = giving.all_parts()
        self.fees = fees(market)

    @cached_property
    def fills_in_parts(self) -> list[tuple[Part, int, Fraction]]:
        """Every part with its number and its share of the fee of its fill.

        Rule: "The parts of a divided fill share its fee by count".
        """
        found = []
        for fill in self.market.fills:
            mine = [part for part in self.parts if part.fill is fill]
            fee = self.fees[fill["trade_id"]].amount
            shared = shares(fee, [part.count for part in mine], Fraction(fill["count"]))
            found += [(part, n, shared[n]) for n, part in enumerate(mine)]
        return found

    def trade_fills(self) -> list[Row]:
        return [self.trade_fill(*numbered) for numbered in self.fills_in_parts]

    def trade_fill(self, part: Part, number: int, fee: Fraction) -> Row:
        fill = part.fill
        return {
            "account": fill["account"],
            "trade_id": fill["trade_id"],
            "part": number,
            "ticker": fill["ticker"],
            "ticket_id": part.ticket,
            "role": part.role,
            "time": fill["time"],
            "side": fill["side"],
            "count": rounded(part.count),
            "price": rounded(price_of(fill["side"], fill["yes_price"])),
            "fee": rounded(fee),
            "fee_source": self.fees[fill["trade_id"]].source,
            "reason": part.reason,
        }

    def trade_closes(self) -> list[Row]:
        """Which trade each close command closes."""
        return [
            {
                "account": close["account"],
                "command_id": close["command_id"],
                "ticker": close["ticker"],
                "ticket_id": self.belongs.get(close["command_id"]),
            }
            for close in self.market.of_kind("close")
        ]

    def trades(self) -> list[Row]:
        return [Trade(self, command).row() for command in self.market.trades.values()]


def last_settlement(market: Market) -> Row | None:
    """Rule: "The settlement (the last one, if there were several)"."""
    return max(market.settlements, key=lambda row: row["settled_time"], default=None)


def payout(settlement: Row | None, side: str) -> Fraction | None:
    """What one contract of a side is paid; None while that is not known.

    Rule: "one dollar for a contract of the winning side, `value` and one minus it for a scalar
    market".
    """
    if settlement is None:
        return None
    if settlement["result"] == "scalar":
        value = settlement["value"]
        return None if value is None else price_of(side, value)
    return Fraction(settlement["result"] == side)


class Trade:
    """One trade: every property is a rule."""

    def __init__(self, reckoned: Reckoned, command: Row) -> None:
        self.reckoned = reckoned
        self.market = reckoned.market
        self.command = command
        self.ticket: str = command["ticket_id"]
        self.side: str = command["side"]
        self.settlement = last_settlement(self.market)

    # What it bought and sold

    def parts(self, role: str) -> list[tuple[Part, Fraction]]:
        """The parts of fills in this role, with their fees, in the order of (time, trade id)."""
        return [
            (part, fee)
            for part, _, fee in self.reckoned.fills_in_parts
            if (part.ticket, part.role) == (self.ticket, role)
        ]

    def count(self, role: str) -> Fraction:
        return sum((part.count for part, _ in self.parts(role)), Fraction(0))

    def dollars(self, role: str) -> Fraction:
        """What the fills in this role cost to acquire."""
        return sum(
            (
                part.count * price_of(part.fill["side"], part.fill["yes_price"])
                for part, _ in self.parts(role)
            ),
            Fraction(0),
        )

    @cached_property
    def bought(self) -> Fraction:
        """Rule: "`position` is what was bought"."""
        return self.count("open")

    @cached_property
    def sold(self) -> Fraction:
        return self.count("close")

    @cached_property
    def settled(self) -> Fraction:
        """Rule: "The settlement pays what is held"."""
        known = payout(self.settlement, self.side) is not None
        return self.bought - self.sold if known else Fraction(0)

    @cached_property
    def held(self) -> Fraction:
        """Rule: "`held` what of it was neither sold nor settled"."""
        return self.bought - self.sold - self.settled

    @cached_property
    def proceeds(self) -> Fraction:
        """Of what was sold, "at one minus the price of" the other side, and settled."""
        paid = payout(self.settlement, self.side) or Fraction(0)
        return self.sold - self.dollars("close") + self.settled * paid

    @cached_property
    def fee(self) -> Fraction:
        """Rule: "`fees` of its opening and closing fills"."""
        both = [*self.parts("open"), *self.parts("close")]
        return sum((fee for _, fee in both), Fraction(0))

    @cached_property
    def fee_estimated(self) -> bool:
        """Rule: "Else the formula […] and then `fee_estimated` is set"."""
        both = [*self.parts("open"), *self.parts("close")]
        return any(
            self.reckoned.fees[part.fill["trade_id"]].source == "formula" for part, _ in both
        )

    # Its orders, commands and reports

    @cached_property
    def opening_orders(self) -> list[Row]:
        """Rule: "An order of the trade opens if its state is of the trade's own side"."""
        links = self.reckoned.links
        linked = (state for name, state in self.market.orders.items() if name in links)
        mine = (state for state in linked if links[state["order_id"]].ticket == self.ticket)
        return [state for state in mine if state["side"] == self.side]

    def has_opening(self, status: str) -> bool:
        return any(order["status"] == status for order in self.opening_orders)

    def commands(self, kind: str) -> list[Row]:
        """Its commands of a kind, by (time, command id)."""
        belongs = self.reckoned.belongs
        return [
            command
            for command in self.market.of_kind(kind)
            if belongs.get(command["command_id"]) == self.ticket
        ]

    @cached_property
    def is_rejected(self) -> bool:
        """Rule: "a rejection without a command means the opening order"."""
        opens = {command["command_id"] for command in self.commands("open")}
        return any(
            report["ticket_id"] == self.ticket
            if report["command_id"] is None
            else report["command_id"] in opens
            for report in self.market.reported("order_rejected")
        )

    @cached_property
    def is_expired(self) -> bool:
        return any(report["ticket_id"] == self.ticket for report in self.market.reported("expired"))

    # Its status

    @cached_property
    def status(self) -> str:
        """Rule: "first match" of the table."""
        if not self.bought:
            return self.status_of_nothing_bought
        if not self.held:
            return "closed"
        if self.is_expired:
            return "expired"
        closes = self.commands("close")
        return "closing" if any(self.is_at_work(close) for close in closes) else "open"

    @cached_property
    def status_of_nothing_bought(self) -> str:
        if self.is_error:
            return "error"
        return "canceled" if self.is_canceled else "pending"

    @cached_property
    def is_error(self) -> bool:
        """Rule: "it was marked as error, or an opening order was rejected while none rests or was
        executed"."""
        if self.commands("mark_error"):
            return True
        return (
            self.is_rejected
            and not self.has_opening("resting")
            and not self.has_opening("executed")
        )

    @cached_property
    def is_canceled(self) -> bool:
        """Rule: "no opening order rests or was filled, and: a cancel command, a settlement, an
        expiry, or all its opening orders (there are some) were canceled"."""
        if any(
            order["status"] == "resting" or order["fill_count"] for order in self.opening_orders
        ):
            return False
        all_canceled = bool(self.opening_orders) and all(
            order["status"] == "canceled" for order in self.opening_orders
        )
        told = bool(self.commands("cancel") or self.market.settlements) or self.is_expired
        return told or all_canceled

    def is_at_work(self, close: Row) -> bool:
        """Rule: "A close is at work until it failed, or is done"."""
        failed = bool(failures(self.market, close, self.ticket))
        return not failed and not self.is_done(close)

    def is_done(self, close: Row) -> bool:
        """Rule: "It is done when it has orders and all of them are canceled or executed; or when it
        took fills of an imported trade up to its own count"."""
        ids = [
            order_id
            for order_id, link in self.reckoned.links.items()
            if link.command_id == close["command_id"]
        ]
        states = [self.market.orders.get(order_id, {}).get("status") for order_id in ids]
        if states and all(status in {"canceled", "executed"} for status in states):
            return True
        took = sum(p.count for p in self.reckoned.parts if p.command_id == close["command_id"])
        return close["count"] is not None and took >= Fraction(close["count"])

    # Its numbers

    @cached_property
    def buy_price(self) -> Decimal | None:
        """Rule: "count-weighted mean of the opening fills"."""
        return rounded(self.dollars("open") / self.bought) if self.bought else None

    @cached_property
    def sell_price(self) -> Decimal | None:
        """Rule: "count-weighted mean of what it was sold and settled at; null while none of it
        was"."""
        gone = self.sold + self.settled
        return rounded(self.proceeds / gone) if gone else None

    @cached_property
    def pnl(self) -> Decimal | None:
        """Rule: "sold and settled - bought - fees, once nothing is held"."""
        if self.status != "closed":
            return None
        return rounded(self.proceeds - self.dollars("open") - self.fee)

    @cached_property
    def win_loss(self) -> str | None:
        """Rule: "W, L or D by the sign of `pnl`"."""
        if self.pnl is None:
            return None
        return "W" if self.pnl > 0 else "L" if self.pnl < 0 else "D"

    @cached_property
    def opened_at(self) -> datetime | None:
        """Rule: "time of the first opening fill"."""
        return min((part.fill["time"] for part, _ in self.parts("open")), default=None)

    @cached_property
    def closed_at(self) -> datetime | None:
        """Rule: "time of the last closing fill, or of the settlement if something was held until
        then"."""
        if self.status != "closed":
            return None
        if self.settled:
            assert self.settlement is not None
            settled_time: datetime = self.settlement["settled_time"]
            return settled_time
        last: datetime = max(part.fill["time"] for part, _ in self.parts("close"))
        return last

    @cached_property
    def close_method(self) -> str | None:
        """Rule: "`expired` if the settlement paid something of it; else that of the last close
        command that belongs to it; null while it is not closed"."""
        if self.status != "closed":
            return None
        if self.settled:
            return "expired"
        last = max(self.commands("close"), key=asked, default=None)
        return last["method"] if last else None

    @cached_property
    def diff(self) -> int | None:
        """Rule: "(prob ÷ 100 - `buy_price`) * 100, whole, half to even; while nothing is bought, of
        the price asked"."""
        price = self.command["price"] if self.buy_price is None else self.buy_price
        if price is None or self.command["prob"] is None:
            return None
        return round(Fraction(self.command["prob"]) - 100 * Fraction(price))

    @cached_property
    def symbol(self) -> str | None:
        """Rule: "as the command says, else what the series of the ticker stands for"."""
        if self.command["symbol"] is not None:
            return str(self.command["symbol"])
        series = read_ticker(self.market.ticker).series
        stands_for = {"KXBTC": "BTC", "KXETH": "ETH"}
        return next((name for start, name in stands_for.items() if series.startswith(start)), None)

    @cached_property
    def strike(self) -> Decimal | None:
        """Rule: "as the command says, else as the ticker says, else null"."""
        asked_for: Decimal | None = self.command["strike"]
        return read_ticker(self.market.ticker).strike if asked_for is None else asked_for

    @cached_property
    def canceled(self) -> Fraction:
        """Rule: "`canceled` counts the contracts of its canceled opening orders that were not
        filled"."""
        return sum(
            (
                max(Fraction(order["initial_count"]) - Fraction(order["fill_count"]), Fraction(0))
                for order in self.opening_orders
                if order["status"] == "canceled"
            ),
            Fraction(0),
        )

    def row(self) -> Row:
        command: dict[str, Any] = self.command
        return {
            "ticket_id": self.ticket,
            "id": trade_number(self.ticket),
            "account": command["account"],
            "ticker": command["ticker"],
            "status": self.status,
            "asked_at": command["time"],
            "opened_at": self.opened_at,
            "closed_at": self.closed_at,
            "symbol": self.symbol,
            "market": command["market"],
            "trade_strategy": command["trade_strategy"],
            "contract": command["contract"],
            "strike": self.strike,
            "side": self.side,
            "prob": command["prob"],
            "diff": self.diff,
            "requested": command["count"],
            "position": rounded(self.bought),
            "held": rounded(self.held),
            "canceled": rounded(self.canceled),
            "buy_price": self.buy_price,
            "sell_price": self.sell_price,
            "fees": rounded(self.fee),
            "fee_estimated": self.fee_estimated,
            "pnl": self.pnl,
            "win_loss": self.win_loss,
            "entry_method": command["method"],
            "close_method": self.close_method,
            "origin": command["origin"],
        }


def trade_number(ticket: str) -> int:
    """Rule: "`trades.id` is the first 53 bits of SHA-256 of the ticket id"."""
    return int.from_bytes(hashlib.sha256(ticket.encode()).digest()[:8], "big") >> 11

"""The rows of `trades`: the state machine and the figures. See docs/trades.md, "The state"."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from projections.account.closing import has_failed
from projections.account.linking import Links
from projections.account.market import FINAL, Command, MarketFacts, OrderState
from projections.account.matching import Fee, Part
from projections.account.values import ZERO, quotient, rounded, trimmed
from streams.events.tickers import Contract, read_ticker

_SYMBOLS = {"KXBTC": "BTC", "KXETH": "ETH"}


@dataclass(slots=True)
class Sums:
    """Contracts, dollars paid for them, and the times of the fills."""

    count: Decimal
    value: Decimal
    times: Sequence[datetime]


@dataclass(slots=True)
class Trade:
    """One ticket with all that belongs to it: `orders` with the command of each, where it is known,
    `parts` of fills with their fees."""

    opened: Command
    closes: Sequence[Command]
    orders: Sequence[tuple[OrderState, str | None]]
    parts: Sequence[tuple[Part, Fee]]
    facts: MarketFacts

    @property
    def ticket_id(self) -> str:
        return self.opened.ticket_id

    def sums(self, role: str) -> Sums:
        """Of what opened it, or of the other side that closed it."""
        count, value, times = ZERO, ZERO, []
        for part, _ in self.parts:
            if part.role == role:
                count += part.count
                value += part.count * part.fill.price
                times.append(part.fill.time)
        return Sums(count, value, times)

    def orders_that(self, *, open_it: bool) -> list[OrderState]:
        """Its orders of its own side, or of the other."""
        return [one for one, _ in self.orders if (one.side == self.opened.side) == open_it]


def trade_rows(
    facts: MarketFacts, links: Links, parts: Iterable[tuple[Part, Fee]]
) -> list[dict[str, Any]]:
    """A row for each ticket of the market."""
    of_ticket: dict[str, list[tuple[Part, Fee]]] = {}
    for part, fee in parts:
        if part.ticket_id is not None:
            of_ticket.setdefault(part.ticket_id, []).append((part, fee))
    return [
        trade_row(
            Trade(
                opened=opened,
                closes=links.closes.get(ticket, ()),
                orders=[
                    (facts.orders[one], links.orders[one][1])
                    for one in links.orders_of.get(ticket, ())
                    if one in facts.orders
                ],
                parts=of_ticket.get(ticket, ()),
                facts=facts,
            )
        )
        for ticket, opened in facts.tickets.items()
    ]


def trade_row(trade: Trade) -> dict[str, Any]:
    """All columns of a trade."""
    opened, facts = trade.opened, trade.facts
    assert opened.side is not None
    buys, sells = trade.sums("open"), trade.sums("close")
    bought, sold, cost = buys.count, sells.count, buys.value
    held = bought - sold
    settled = held if facts.settlement is not None else ZERO
    paid = settled * facts.settlement.pays(opened.side) if facts.settlement is not None else ZERO
    proceeds = sold - sells.value + paid
    fees = sum((fee.amount for _, fee in trade.parts), ZERO)
    status = state(trade, bought, held - settled)
    pnl = rounded(proceeds - cost - fees) if status == "closed" else None
    buy_price = quotient(cost, bought) if bought else None
    contract = read_ticker(facts.market.ticker)
    return {
        "ticket_id": opened.ticket_id,
        "id": trade_id(opened.ticket_id),
        "account": facts.market.account,
        "ticker": facts.market.ticker,
        "status": status,
        "asked_at": opened.time,
        "opened_at": min(buys.times, default=None),
        "closed_at": _closed_at(facts, sells, settled) if status == "closed" else None,
        "symbol": opened.symbol or _SYMBOLS.get(contract.series[:5]),
        "market": opened.market,
        "trade_strategy": opened.trade_strategy,
        "contract": opened.contract,
        "strike": _strike(opened, contract),
        "side": opened.side,
        "prob": opened.prob,
        "diff": _diff(opened.prob, cost / bought if bought else opened.price),
        "requested": opened.count,
        "position": trimmed(bought),
        "held": trimmed(held - settled),
        "canceled": _canceled(trade),
        "buy_price": buy_price,
        "sell_price": quotient(proceeds, sold + settled) if sold + settled else None,
        "fees": rounded(fees),
        "fee_estimated": any(fee.source == "formula" for _, fee in trade.parts),
        "pnl": pnl,
        "win_loss": None if pnl is None else "W" if pnl > 0 else "L" if pnl < 0 else "D",
        "entry_method": opened.method,
        "close_method": _close_method(trade, settled) if status == "closed" else None,
        "origin": opened.origin,
    }


def _strike(opened: Command, contract: Contract) -> Decimal | None:
    strike = contract.strike if opened.strike is None else opened.strike
    return None if strike is None else trimmed(strike)


def trade_id(ticket_id: str) -> int:
    """The first 53 bits of SHA-256 of the ticket id."""
    return int.from_bytes(hashlib.sha256(ticket_id.encode()).digest()[:8], "big") >> 11


def state(trade: Trade, bought: Decimal, held: Decimal) -> str:
    """The status: the first that fits."""
    if not bought:
        return _state_without_fills(trade)
    if not held:
        return "closed"
    if _told(trade, "expired"):
        return "expired"
    return "closing" if any(_is_at_work(one, trade) for one in trade.closes) else "open"


def _state_without_fills(trade: Trade) -> str:
    orders = trade.orders_that(open_it=True)
    if _commanded(trade, "mark_error"):
        return "error"
    if _is_rejected(trade) and not any(one.status in {"resting", "executed"} for one in orders):
        return "error"
    if any(one.status == "resting" or one.fill_count > 0 for one in orders):
        return "pending"
    is_over = (
        _commanded(trade, "cancel")
        or trade.facts.last_settlement is not None
        or _told(trade, "expired")
        or (orders and all(one.status == "canceled" for one in orders))
    )
    return "canceled" if is_over else "pending"


def _is_at_work(close: Command, trade: Trade) -> bool:
    if has_failed(close, trade.ticket_id, trade.facts):
        return False
    orders = [one for one, command_id in trade.orders if command_id == close.command_id]
    if orders:
        return any(one.status not in FINAL for one in orders)
    taken = sum(
        (part.count for part, _ in trade.parts if part.command_id == close.command_id), ZERO
    )
    return close.count is None or close.origin != "legacy" or taken < close.count


def _is_rejected(trade: Trade) -> bool:
    commands = trade.facts.commands_of_ticket.get(trade.ticket_id, ())
    opens = {one.command_id for one in commands if one.kind == "open"}
    return any(
        one.kind == "order_rejected" and (one.command_id is None or one.command_id in opens)
        for one in trade.facts.outcomes_of_ticket.get(trade.ticket_id, ())
    )


def _told(trade: Trade, kind: str) -> bool:
    outcomes = trade.facts.outcomes_of_ticket.get(trade.ticket_id, ())
    return any(one.kind == kind for one in outcomes)


def _commanded(trade: Trade, kind: str) -> bool:
    commands = trade.facts.commands_of_ticket.get(trade.ticket_id, ())
    return any(one.kind == kind for one in commands)


def _closed_at(facts: MarketFacts, sells: Sums, settled: Decimal) -> datetime | None:
    if settled and facts.settlement is not None:
        return facts.settlement.settled_time
    return max(sells.times, default=None)


def _close_method(trade: Trade, settled: Decimal) -> str | None:
    if settled:
        return "expired"
    return trade.closes[-1].method if trade.closes else None


def _canceled(trade: Trade) -> Decimal:
    orders = [one for one in trade.orders_that(open_it=True) if one.status == "canceled"]
    return trimmed(sum((max(ZERO, one.initial_count - one.fill_count) for one in orders), ZERO))


def _diff(prob: Decimal | None, price: Decimal | None) -> int | None:
    if prob is None or price is None:
        return None
    return int((prob - price * 100).to_integral_value(ROUND_HALF_EVEN))

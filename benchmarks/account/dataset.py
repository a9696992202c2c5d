"""The account's events in the order of time, and what the tables must hold after them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

from benchmarks.account import frames
from benchmarks.account.frames import dollars, yes_cents
from benchmarks.account.stories import Deal, Execution, Story, Trade
from streams.events import Event, Fill, OpenTrade, Order, Settlement
from streams.events.trade_commands import CloseTrade, TradeCommand, client_order_id

ACCOUNT = "kalshi/prod/main/0"
_SECOND = 1_000_000
#: A market's first trade is asked for at most so long after the market began.
_FIRST_TRADE_WITHIN = 2 * 3600 * _SECOND

_SHARED = {"account": ACCOUNT, "origin": "native"}


@dataclass(frozen=True)
class Totals:
    """Counts and sums of what was told; two databases with the same are taken to be equal."""

    fills: int
    orders: int
    commands: int
    settlements: int
    trades: int
    open: int
    closed: int
    won: int
    contracts: Decimal
    fees: Decimal
    pnl: Decimal

    @property
    def events(self) -> int:
        return self.fills + self.orders + self.commands + self.settlements


def totals(told: Iterable[Story]) -> Totals:
    """Reckoned from the stories alone, in whole cents."""
    fills = deals = settlements = trades = closed = won = contracts = fees = pnl = 0
    for story in told:
        settlements += story.settled is not None
        for trade in story.trades:
            trades += 1
            deals += len(trade.deals)
            fills += sum(len(deal.fills) for deal in trade.deals)
            contracts += sum(deal.filled for deal in trade.deals)
            fees += sum(deal.fees for deal in trade.deals)
            if story.settled is not None or not trade.held:
                gain = _gain(story, trade)
                closed, won, pnl = closed + 1, won + (gain > 0), pnl + gain
    return Totals(
        fills=fills,
        orders=deals,
        commands=deals,
        settlements=settlements,
        trades=trades,
        open=trades - closed,
        closed=closed,
        won=won,
        contracts=Decimal(contracts),
        fees=Decimal(fees).scaleb(-2),
        pnl=Decimal(pnl).scaleb(-2),
    )


def _gain(story: Story, trade: Trade) -> int:
    """Cents, after fees: a contract and one of the other side are worth a dollar together."""
    gain = -trade.opened.cost - trade.opened.fees
    if trade.closed is not None:
        gain += trade.closed.filled * 100 - trade.closed.cost - trade.closed.fees
    return gain + trade.held * 100 * (trade.opened.side == story.result)


def events(told: Iterable[Story]) -> Iterator[Event]:
    """All events of the stories, which begin in order of time, in order of time."""
    number = count()
    waiting: list[tuple[int, int, Event]] = []
    for story in told:
        for at, event in _events_of(story):
            heapq.heappush(waiting, (at, next(number), event))
        begins = min(trade.opened.asked for trade in story.trades) - _FIRST_TRADE_WITHIN
        while waiting and waiting[0][0] < begins:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _events_of(story: Story) -> Iterator[tuple[int, Event]]:
    for trade in story.trades:
        for deal in trade.deals:
            command = _command(story, trade, deal)
            yield deal.asked, command
            for fill in deal.fills:
                yield fill.time, _fill(story, deal, fill)
            yield deal.fills[-1].time, _order(story, deal, command)
    if story.settled is not None:
        yield story.settled, _settlement(story, story.settled)


def _command(story: Story, trade: Trade, deal: Deal) -> TradeCommand:
    values: dict[str, Any] = {
        **_SHARED,
        "command_id": deal.command_id,
        "ticket_id": trade.ticket_id,
        "ticker": story.ticker,
        "time": deal.asked,
        "side": deal.side,
        "count": str(deal.requested),
        "price": dollars(deal.fills[0].cents),
    }
    if deal is trade.closed:
        return CloseTrade.model_validate({**values, "close_method": "auto"})
    return OpenTrade.model_validate(
        {
            **values,
            "symbol": "BTC",
            "market": "Kalshi",
            "strategy": "Hourly HTC",
            "contract": "BTC 7pm",
            "strike": None,
            "prob": "97.2",
            "entry_method": "auto",
        }
    )


def _fill(story: Story, deal: Deal, one: Execution) -> Fill:
    return Fill.model_validate(
        {
            **_SHARED,
            "ticker": story.ticker,
            "received": one.time + _SECOND,
            "raw": frames.fill(story, deal, one),
            "trade_id": one.trade_id,
            "order_id": deal.order_id,
            "client_order_id": None,
            "side": deal.side,
            "yes_price": dollars(yes_cents(deal.side, one.cents)),
            "count": f"{one.size}.00",
            "fee": dollars(one.fee),
            "is_taker": True,
            "post_position": None,
            "time": one.time,
        }
    )


def _order(story: Story, deal: Deal, command: TradeCommand) -> Order:
    client_id = client_order_id(command.ticket_id, command.command_id)
    status = "executed" if deal.filled == deal.requested else "canceled"
    done = deal.fills[-1].time
    return Order.model_validate(
        {
            **_SHARED,
            "ticker": story.ticker,
            "received": done + _SECOND,
            "raw": frames.order(story, deal, client_id, status),
            "order_id": deal.order_id,
            "client_order_id": client_id,
            "side": deal.side,
            "status": status,
            "kind": "market",
            "yes_price": dollars(yes_cents(deal.side, 99)),
            "initial_count": f"{deal.requested}.00",
            "fill_count": f"{deal.filled}.00",
            "remaining_count": "0.00",
            "fill_cost": dollars(deal.cost),
            "fees": dollars(deal.fees),
            "created": deal.asked + 100_000,
            "updated": done,
            "expires": None,
            "reason": None,
        }
    )


def _settlement(story: Story, settled: int) -> Settlement:
    counts = {"yes": 0, "no": 0}
    for trade in story.trades:
        for deal in trade.deals:
            counts[deal.side] += deal.filled
    won = counts.pop(story.result)
    revenue = max(0, won - sum(counts.values())) * 100
    counts[story.result] = won
    return Settlement.model_validate(
        {
            **_SHARED,
            "ticker": story.ticker,
            "received": settled + _SECOND,
            "raw": frames.settlement(story, counts, revenue),
            "result": story.result,
            "value": "1" if story.result == "yes" else "0",
            "yes_count": f"{counts['yes']}.00",
            "no_count": f"{counts['no']}.00",
            "yes_cost": None,
            "no_cost": None,
            "revenue": dollars(revenue),
            "fee": "0.0000",
            "time": settled,
        }
    )

"""From the facts of one account in one market to all that follows from them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import localcontext
from typing import Any

from projections.account.cash import cash_rows
from projections.account.linking import Links, link
from projections.account.market import MarketFacts
from projections.account.matching import Fee, Matching, Part, fees_of
from projections.account.positions import position_row, walk
from projections.account.states import trade_rows
from projections.account.values import EXACT, shares, trimmed

#: Rows of each derived table.
Derived = dict[str, list[dict[str, Any]]]


def reckon(facts: MarketFacts) -> Derived:
    """The rows of every derived table for a market."""
    with localcontext(EXACT):
        links = link(facts)
        fees = fees_of(facts)
        parts = _with_fees(Matching(facts, links).parts, fees)
        steps = list(walk(facts.fills))
        position = position_row(facts, steps, fees)
        return {
            "trades": trade_rows(facts, links, parts),
            "trade_closes": _close_rows(facts, links),
            "trade_fills": _part_rows(facts, parts, fees),
            "positions": [position] if position is not None else [],
            "cash_flows": cash_rows(facts, steps, fees),
        }


def _close_rows(facts: MarketFacts, links: Links) -> list[dict[str, Any]]:
    trade_of = {
        one.command_id: ticket for ticket, commands in links.closes.items() for one in commands
    }
    return [
        {
            "account": facts.market.account,
            "command_id": one.command_id,
            "ticker": facts.market.ticker,
            "ticket_id": trade_of.get(one.command_id),
        }
        for one in facts.commands
        if one.kind == "close"
    ]


def _with_fees(parts: Sequence[Part], fees: Mapping[str, Fee]) -> list[tuple[Part, Fee]]:
    """Each part with its share of the fill's fee, by count."""
    of_fill: dict[str, list[Part]] = {}
    for part in parts:
        of_fill.setdefault(part.fill.trade_id, []).append(part)
    result = []
    for trade_id, divided in of_fill.items():
        fee = fees[trade_id]
        if len(divided) == 1:
            result.append((divided[0], fee))
            continue
        amounts = shares(fee.amount, (part.count for part in divided), divided[0].fill.count)
        result += [
            (part, Fee(amount, fee.source)) for part, amount in zip(divided, amounts, strict=True)
        ]
    return result


def _part_rows(
    facts: MarketFacts, parts: Sequence[tuple[Part, Fee]], fees: Mapping[str, Fee]
) -> list[dict[str, Any]]:
    numbers = dict.fromkeys(fees, 0)
    rows = []
    for part, fee in parts:
        trade_id = part.fill.trade_id
        rows.append(
            {
                "account": facts.market.account,
                "trade_id": trade_id,
                "part": numbers[trade_id],
                "ticker": facts.market.ticker,
                "ticket_id": part.ticket_id,
                "role": part.role,
                "time": part.fill.time,
                "side": part.fill.side,
                "count": trimmed(part.count),
                "price": trimmed(part.fill.price),
                "fee": fee.amount,
                "fee_source": fee.source,
                "reason": part.reason,
            }
        )
        numbers[trade_id] += 1
    return rows

"""The catalogue: every topic with its retention, every event with its version and upcaster.

The catalogue is code. It prints itself as AsyncAPI and JSON Schema (`streams.events.schema`), and
a test refuses an incompatible change of a version that was published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.events import (
    kalshi_account,
    kalshi_lifecycle,
    kalshi_market,
    price,
    system_decisions,
    system_health,
    trade_commands,
    trade_events,
)
from streams.events.base import Event

DAY_MS = 86_400_000
FOREVER = -1
#: The largest record batch that a topic takes, in bytes: room for a value of 10 MB.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

#: Turns the JSON object of one version into that of the next.
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


def dead_letter_topic(name: str) -> str:
    """The topic that takes copies of what could not be projected from the topic `name`."""
    return f"{name}.dlq"


@dataclass(frozen=True)
class TopicSpec:
    """A topic: its name, what its key is, how long it is kept (milliseconds, -1 for ever)."""

    name: str
    key: str
    summary: str
    retention_ms: int
    partitions: int = 4

    @property
    def dead_letter_topic(self) -> str:
        return dead_letter_topic(self.name)

    def config(self) -> dict[str, str]:
        """Topic settings on the broker.

        Times are append times (retention, lag and "as of" go by them); never compacted, because
        the unit of work insists on contiguous offsets.
        """
        return {
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": "-1",
            "cleanup.policy": "delete",
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
        }


TOPICS: tuple[TopicSpec, ...] = (
    TopicSpec(
        name=price.TOPIC,
        key="venue:symbol",
        summary="Trades, best bid and ask, and index values, as the venues reported them.",
        retention_ms=365 * DAY_MS,
    ),
    TopicSpec(
        name=kalshi_market.TOPIC,
        key="market ticker",
        summary="Quotes, public trades, order books and candlesticks of Kalshi markets.",
        retention_ms=30 * DAY_MS,
    ),
    TopicSpec(
        name=kalshi_lifecycle.TOPIC,
        key="market ticker",
        summary="What each Kalshi market is, its result, and when it was settled.",
        retention_ms=FOREVER,
    ),
    TopicSpec(
        name=kalshi_account.TOPIC,
        key="market ticker; the account for balances, transfers and snapshot bounds",
        summary="Fills, orders, positions, settlements and cash, as the venue reported them.",
        retention_ms=FOREVER,
    ),
    TopicSpec(
        name=trade_commands.TOPIC,
        key="market ticker",
        summary="What someone asked for: open, close, cancel, mark as error.",
        retention_ms=FOREVER,
    ),
    TopicSpec(
        name=trade_events.TOPIC,
        key="market ticker",
        summary="Outcomes of trades that an executor, the venue or a service reported.",
        retention_ms=FOREVER,
    ),
    TopicSpec(
        name=system_health.TOPIC,
        key="service; the cause for incidents",
        summary="Heartbeats of producers and workers, their restarts, and incidents.",
        retention_ms=7 * DAY_MS,
        partitions=1,  # a lease is membership of a group on it: streams.lease
    ),
    TopicSpec(
        name=system_decisions.TOPIC,
        key="projection",
        summary="What an operator decided: dead letters redriven or discarded, tables swapped.",
        retention_ms=FOREVER,
        partitions=1,
    ),
)

DEAD_LETTER_RETENTION_MS = 90 * DAY_MS

EVENTS: tuple[type[Event], ...] = (
    price.PriceTrade,
    price.PriceQuote,
    price.PriceIndex,
    price.PriceGap,
    price.PriceUnparsed,
    kalshi_market.MarketTicker,
    kalshi_market.MarketTrade,
    kalshi_market.BookSnapshot,
    kalshi_market.BookDelta,
    kalshi_market.MarketGap,
    kalshi_market.MarketCandle,
    kalshi_market.MarketUnparsed,
    kalshi_lifecycle.MarketDescribed,
    kalshi_lifecycle.MarketDetermined,
    kalshi_lifecycle.MarketSettled,
    kalshi_lifecycle.LifecycleUnparsed,
    kalshi_account.Fill,
    kalshi_account.Order,
    kalshi_account.Position,
    kalshi_account.Settlement,
    kalshi_account.Balance,
    kalshi_account.Transfer,
    kalshi_account.SnapshotStarted,
    kalshi_account.SnapshotFinished,
    kalshi_account.AccountUnparsed,
    trade_commands.OpenTrade,
    trade_commands.CloseTrade,
    trade_commands.CancelTrade,
    trade_commands.MarkError,
    trade_events.OrderAccepted,
    trade_events.OrderRejected,
    trade_events.CloseFailed,
    trade_events.TradeExpired,
    system_health.Heartbeat,
    system_health.Restart,
    system_health.Incident,
    system_decisions.DeadLettersRedriven,
    system_decisions.DeadLettersDiscarded,
    system_decisions.ProjectionRebuilt,
    system_decisions.ProjectionRepaired,
    system_decisions.ProjectionRolledBack,
    system_decisions.GapAccepted,
    system_decisions.LogRestored,
)

#: From the `ce_type` of an old version to the function that makes the next version of it.
UPCASTERS: Mapping[str, Upcaster] = {}

BY_TYPE: Mapping[str, type[Event]] = {event.ce_type(): event for event in EVENTS}


def versions_of(model: type[Event]) -> list[str]:
    """The `ce_type` of every version of an event that can be read: the model's own, then older."""
    older = [name for name in UPCASTERS if name.rpartition(".v")[0] == model.name]
    return [model.ce_type(), *older]


def dead_letter_spec(spec: TopicSpec) -> TopicSpec:
    """The topic that takes copies of what could not be projected from `spec`."""
    return TopicSpec(
        name=spec.dead_letter_topic,
        key=spec.key,
        summary=f"Copies of the records of {spec.name} that a projection could not use.",
        retention_ms=DEAD_LETTER_RETENTION_MS,
        partitions=spec.partitions,
    )

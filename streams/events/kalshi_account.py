"""The events of `kalshi.account`: what the venue says of an account, whatever channel it came by.

Units are canonical: dollars, contracts, microseconds since 1970 UTC. A direction is resolved once,
in the connector: `side` is the outcome that was or would be acquired, so to buy NO and to sell YES
are both `no`. What a channel does not give is null.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from streams.events.base import Event, Unparsed
from streams.events.types import (
    Account,
    BinaryPrice,
    Count,
    CountOrZero,
    Identifier,
    Micros,
    Money,
    NetCount,
    Origin,
    Raw,
    Side,
    Size,
    Text,
    Ticker,
)

TOPIC = "kalshi.account"


class AccountEvent(Event):
    """What all events about an account share."""

    topic: ClassVar[str] = TOPIC

    account: Account
    origin: Origin
    received: Micros
    raw: Raw | None

    def key(self) -> str:
        return self.account

    def source(self) -> str:
        return f"/accounts/{self.account}"


class MarketOfAccount(AccountEvent):
    """What all events about one market of an account share."""

    ticker: Ticker

    def key(self) -> str:
        return self.ticker


class Fill(MarketOfAccount):
    """One execution of one of the account's orders. `trade_id` is the venue's.

    `yes_price` is the price of the YES side, whichever side was acquired.
    """

    name: ClassVar[str] = "account.fill"
    version: ClassVar[int] = 1

    trade_id: Identifier
    order_id: Identifier | None
    client_order_id: Identifier | None
    side: Side
    yes_price: BinaryPrice
    count: Count
    fee: Money | None
    is_taker: bool | None
    post_position: NetCount | None
    time: Micros

    def event_id(self) -> str:
        return f"{self.account}:fill:{self.trade_id}"


class Order(MarketOfAccount):
    """The full state of one order. Costs and fees are those of its fills so far."""

    name: ClassVar[str] = "account.order"
    version: ClassVar[int] = 1

    order_id: Identifier
    client_order_id: Identifier | None
    side: Side
    status: Literal["resting", "canceled", "executed", "unknown"]
    kind: Literal["limit", "market"] | None
    #: The limit, as the price of the YES side; not what was paid.
    yes_price: BinaryPrice | None
    initial_count: CountOrZero
    fill_count: CountOrZero
    remaining_count: CountOrZero
    fill_cost: Money | None
    fees: Money | None
    created: Micros | None
    updated: Micros | None
    expires: Micros | None
    reason: Text | None

    def event_id(self) -> str:
        state = f"{self.updated or 0}:{self.status}:{self.remaining_count}:{self.fill_count}"
        return f"{self.account}:order:{self.order_id}:{state}"


class Position(MarketOfAccount):
    """The venue's word on a position. `time` is the venue's, else the receive time."""

    name: ClassVar[str] = "account.position"
    version: ClassVar[int] = 1

    position: NetCount
    cost: Money | None
    realized_pnl: Money | None
    fees: Money | None
    time: Micros

    def event_id(self) -> str:
        return self.content_id(f"{self.account}:position:{self.ticker}", self.time)


class Settlement(MarketOfAccount):
    """A market paid out. Counts are those owned on each side, `revenue` is for what is left of
    them after pairs of YES and NO are taken away."""

    name: ClassVar[str] = "account.settlement"
    version: ClassVar[int] = 1

    result: Literal["yes", "no", "scalar"]
    #: What one YES contract pays: 1, 0, or between them for a scalar market.
    value: BinaryPrice | None
    yes_count: CountOrZero
    no_count: CountOrZero
    yes_cost: Money | None
    no_cost: Money | None
    revenue: Money
    fee: Money | None
    time: Micros

    def event_id(self) -> str:
        return f"{self.account}:settlement:{self.ticker}:{self.time}"


class Balance(AccountEvent):
    """The available cash at a time, which the venue gives in whole seconds."""

    name: ClassVar[str] = "account.balance"
    version: ClassVar[int] = 1

    balance: Money
    #: False where the source cuts off what is less than a cent.
    exact: bool
    portfolio_value: Money | None
    time: Micros

    def event_id(self) -> str:
        return self.content_id(f"{self.account}:balance", self.time)


class Transfer(AccountEvent):
    """One state of a deposit or a withdrawal."""

    name: ClassVar[str] = "account.transfer"
    version: ClassVar[int] = 1

    kind: Literal["deposit", "withdrawal"]
    transfer_id: Identifier
    status: Literal["pending", "applied", "failed", "returned"]
    method: Text | None
    amount: Size
    fee: Size
    created: Micros
    finalized: Micros | None

    def event_id(self) -> str:
        return f"{self.account}:{self.kind}:{self.transfer_id}:{self.status}"


class SnapshotStarted(AccountEvent):
    """A full reading of the account begins; `time` is when it was asked for."""

    name: ClassVar[str] = "account.snapshot_started"
    version: ClassVar[int] = 1

    snapshot_id: Identifier
    time: Micros

    def event_id(self) -> str:
        return f"{self.account}:snapshot_started:{self.snapshot_id}"


class SnapshotFinished(AccountEvent):
    """A full reading of the positions is complete: as of `time`, these tickers and no others."""

    name: ClassVar[str] = "account.snapshot_finished"
    version: ClassVar[int] = 1

    snapshot_id: Identifier
    time: Micros
    tickers: list[Ticker]

    def event_id(self) -> str:
        return f"{self.account}:snapshot_finished:{self.snapshot_id}"


class AccountUnparsed(Unparsed):
    """A frame or reply about an account that the connector could not read."""

    name: ClassVar[str] = "account.unparsed"
    version: ClassVar[int] = 1
    topic: ClassVar[str] = TOPIC

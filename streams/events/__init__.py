"""Events: the models, one module per topic, the catalogue of them, and the codec."""

from streams.events.base import Event, Unparsed
from streams.events.codec import DecodeError, EncodedEvent, decode, encode
from streams.events.kalshi_account import (
    AccountUnparsed,
    Balance,
    Fill,
    Order,
    Position,
    Settlement,
    SnapshotFinished,
    SnapshotStarted,
    Transfer,
)
from streams.events.kalshi_lifecycle import (
    LifecycleUnparsed,
    MarketDescribed,
    MarketDetermined,
    MarketSettled,
)
from streams.events.kalshi_market import (
    BookDelta,
    BookEvent,
    BookSnapshot,
    MarketCandle,
    MarketEvent,
    MarketGap,
    MarketTicker,
    MarketTrade,
    MarketUnparsed,
)
from streams.events.price import PriceGap, PriceIndex, PriceQuote, PriceTrade, PriceUnparsed
from streams.events.system_health import Heartbeat
from streams.events.trade_commands import (
    CancelTrade,
    CloseTrade,
    MarkError,
    OpenTrade,
    TradeCommand,
)
from streams.events.trade_events import (
    CloseFailed,
    OrderAccepted,
    OrderRejected,
    TradeEvent,
    TradeExpired,
)

__all__ = [
    "AccountUnparsed",
    "Balance",
    "BookDelta",
    "BookEvent",
    "BookSnapshot",
    "CancelTrade",
    "CloseFailed",
    "CloseTrade",
    "DecodeError",
    "EncodedEvent",
    "Event",
    "Fill",
    "Heartbeat",
    "LifecycleUnparsed",
    "MarkError",
    "MarketCandle",
    "MarketDescribed",
    "MarketDetermined",
    "MarketEvent",
    "MarketGap",
    "MarketSettled",
    "MarketTicker",
    "MarketTrade",
    "MarketUnparsed",
    "OpenTrade",
    "Order",
    "OrderAccepted",
    "OrderRejected",
    "Position",
    "PriceGap",
    "PriceIndex",
    "PriceQuote",
    "PriceTrade",
    "PriceUnparsed",
    "Settlement",
    "SnapshotFinished",
    "SnapshotStarted",
    "TradeCommand",
    "TradeEvent",
    "TradeExpired",
    "Transfer",
    "Unparsed",
    "decode",
    "encode",
]

"""Events: the models, one module per topic, the catalogue of them, and the codec."""

from streams.events.base import Event
from streams.events.codec import DecodeError, EncodedEvent, decode, encode
from streams.events.price import PriceGap, PriceIndex, PriceQuote, PriceTrade, PriceUnparsed

__all__ = [
    "DecodeError",
    "EncodedEvent",
    "Event",
    "PriceGap",
    "PriceIndex",
    "PriceQuote",
    "PriceTrade",
    "PriceUnparsed",
    "decode",
    "encode",
]

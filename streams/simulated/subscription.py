"""Coinbase's subscribe and unsubscribe requests, and its answers to them. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from streams.simulated.market import PRODUCTS, JsonFrame

__all__ = ["Subscription", "SubscriptionError"]

_CHANNELS = ("ticker", "matches", "heartbeat")


class SubscriptionError(Exception):
    """A request that the venue refuses, with the reason it gives."""


class Subscription:
    """What one client has subscribed to: channel → products."""

    def __init__(self) -> None:
        self._products: dict[str, set[str]] = {name: set() for name in _CHANNELS}

    def has(self, channel: str, product: str) -> bool:
        """Whether frames of this channel and product are wanted."""
        return product in self._products[channel]

    def request(self, message: str | bytes) -> set[str]:
        """Apply a request; returns the products newly subscribed to `matches`.

        Raises SubscriptionError, with nothing changed.
        """
        kind, wanted = _parsed(message)
        before = set(self._products["matches"])
        for channel, products in wanted.items():
            if kind == "subscribe":
                self._products[channel] |= products
            else:
                self._products[channel] -= products
        return self._products["matches"] - before

    def answer(self) -> JsonFrame:
        """The `subscriptions` frame: all that is subscribed to now."""
        channels = [
            {"name": name, "product_ids": sorted(products)}
            for name, products in self._products.items()
            if products
        ]
        return {"type": "subscriptions", "channels": channels}


def _parsed(message: str | bytes) -> tuple[str, dict[str, set[str]]]:
    try:
        request = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise SubscriptionError("Malformed JSON") from error
    kind = request.get("type") if isinstance(request, dict) else None
    if kind not in ("subscribe", "unsubscribe"):
        raise SubscriptionError("Type has to be either subscribe or unsubscribe")
    channels = request.get("channels")
    if not isinstance(channels, list) or not channels:
        raise SubscriptionError("You must specify the channels")
    return kind, dict(_channel(channel, request) for channel in channels)


def _channel(channel: Any, request: dict[str, Any]) -> tuple[str, set[str]]:
    """A channel is a name, or an object with a name and products of its own."""
    named = channel if isinstance(channel, dict) else {"name": channel}
    name = named.get("name")
    if name not in _CHANNELS:
        raise SubscriptionError(f"{name} is not a valid channel")
    products = named.get("product_ids", request.get("product_ids"))
    if not isinstance(products, list) or not products:
        raise SubscriptionError("You must specify the product_ids")
    for product in products:
        if product not in list(PRODUCTS):
            raise SubscriptionError(f"{product} is not a valid product")
    return name, set(products)

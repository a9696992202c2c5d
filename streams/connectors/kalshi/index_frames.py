"""The channel cfbenchmarks_value: the index that bitcoin and ether markets settle on.

Field names: reference/connectors.md section 3.10, after asyncapi.yaml.
"""

from __future__ import annotations

from streams.connectors.base import build, json_object
from streams.connectors.kalshi import values
from streams.connectors.kalshi.account_frames import message
from streams.connectors.kalshi.delivery import Delivery
from streams.connectors.kalshi.values import Item
from streams.connectors.values import FrameError, shown
from streams.events import PriceIndex
from streams.owners import venue_of_index

__all__ = ["index"]


def index(frame: Item, delivery: Delivery) -> PriceIndex:
    """A `cfbenchmarks_value` frame: one value, and its average over the minute before.

    The value lies in the upstream's own frame, which is JSON text within the message. Raises
    FrameError for what cannot be read, and nothing else.
    """
    msg = message(frame)
    upstream = values.words(msg, "data")
    inner = json_object(upstream.encode()) if upstream else {}
    average = msg.get("avg_60s_data")
    if average is not None and not isinstance(average, dict):
        raise FrameError(f"avg_60s_data: not a JSON object: {shown(average)}")
    return build(
        PriceIndex,
        venue=venue_of_index(delivery.account),
        symbol=values.words(msg, "index_id"),
        price=values.dollar_text(inner, "value"),
        average=values.dollar_text(average, "value") if average else None,
        time=values.milliseconds(inner, "time"),
        received=delivery.received,
    )

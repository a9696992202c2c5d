"""The reference index as the channel cfbenchmarks_value gives it, with its averages. Pure.

Source: asyncapi.yaml 3.34.0, cfbenchmarks_value: `avg_60s_data` is over the values of
[time - 60 s, time), the value itself where there are none; in the last minute of a quarter hour,
`last_60s_windowed_average_15min` is over (close - 60 s, close].
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from decimal import Decimal

import orjson

from streams.simulated.kalshi.venue.facts import IndexValue
from streams.simulated.kalshi.venue.messages import Message
from streams.simulated.kalshi.venue.wire import Json, millis

__all__ = ["Index"]

_MINUTE = 60_000_000
_QUARTER = 15 * _MINUTE


class Index:
    """The values of the last minute of one index."""

    def __init__(self) -> None:
        self._values: deque[IndexValue] = deque()

    def tick(self, value: IndexValue) -> Message | None:
        """The message of a value; None for one that is not newer than the last."""
        if self._values and value.time <= self._values[-1].time:
            return None
        while self._values and self._values[0].time < value.time - _MINUTE:
            self._values.popleft()
        body: Json = {
            "index_id": value.index_id,
            "received_at": millis(value.time),
            "data": _upstream(value),
            "avg_60s_data": _average(self._values or [value], len(self._values), value.time),
        }
        self._values.append(value)
        close = -(-value.time // _QUARTER) * _QUARTER
        if value.time > close - _MINUTE:
            last = [one for one in self._values if one.time > close - _MINUTE]
            window = _average(last, len(last), value.time, start=close - _MINUTE)
            body["last_60s_windowed_average_15min"] = window
        return Message(
            "cfbenchmarks_value", "cfbenchmarks_value", value.index_id, orjson.dumps(body)
        )


def _upstream(value: IndexValue) -> str:
    """The index's own frame, which comes as text inside of the venue's."""
    frame = {
        "type": "value",
        "id": value.index_id,
        "time": millis(value.time),
        "value": f"{value.value:.2f}",
    }
    return orjson.dumps(frame).decode()


def _average(
    values: Sequence[IndexValue] | deque[IndexValue], size: int, end: int, start: int | None = None
) -> Json:
    mean = sum((one.value for one in values), Decimal(0)) / len(values)
    return {
        "value": f"{mean:.8f}",
        "window_size": size,
        "window_start_ts_ms": millis(end - _MINUTE if start is None else start),
        "window_end_ts_exclusive": millis(end),
    }

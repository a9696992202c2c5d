"""Facts that repeat, complete and contradict each other end the same however the log is cut."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.survival.scene import Scene

_NOW = time.time_ns() // 1000


def trade(number: int, price: str, sequence: int | None) -> tuple[str, dict[str, Any]]:
    return "price.trade.v1", {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "trade_id": str(number),
        "price": price,
        "size": "1",
        "side": "buy",
        "time": _NOW,
        "sequence": sequence,
        "received": _NOW,
    }


def index(number: int, price: str, average: str | None) -> tuple[str, dict[str, Any]]:
    return "price.index.v1", {
        "venue": "coinbase",
        "symbol": "BTC-USD",
        "price": price,
        "average": average,
        "time": _NOW + number,
        "received": _NOW,
    }


def cases() -> list[tuple[str, dict[str, Any]]]:
    """Three prices in all six orders; each without a sequence first, then with one."""
    orders = ["123", "132", "213", "231", "312", "321"]
    events = []
    for number, order in enumerate(orders):
        for digit in order:
            events += [trade(number, f"{digit}.0", None), trade(number, f"{digit}", 7)]
        for digit in order:
            events.append(trade(100 + number, f"{digit}", None))
        for digit in order:
            events.append(trade(100 + number, f"{digit}.00", int(digit)))
        for digit in order:
            events.append(index(number, digit, None if digit == "2" else f"{digit}0"))
    return events


async def write(scene: Scene, events: list[tuple[str, dict[str, Any]]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=scene.home.brokers, acks="all") as producer:
        for kind, fields in events:
            headers = [
                ("ce_specversion", b"1.0"),
                ("ce_id", b"x"),
                ("ce_type", kind.encode()),
                ("ce_source", b"/tests"),
            ]
            value = json.dumps(fields, separators=(",", ":")).encode()
            await producer.send(scene.topic, value, key=b"coinbase:BTC-USD", headers=headers)
        await producer.flush()


@pytest.mark.parametrize("together", [pytest.param(1, marks=pytest.mark.chaos), 7, 1000])
def test_any_cut_of_the_log(scene: Scene, together: int) -> None:
    events = cases()
    worker = scene.worker()
    for start in range(0, len(events), together):
        asyncio.run(write(scene, events[start : start + together]))
        if together < 1000:
            scene.wait_until_drained()
    scene.wait_until_drained()
    assert worker.lives
    scene.verify()

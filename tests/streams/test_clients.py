"""That aiokafka's clients stop without losing a cancellation of who stops them."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.clients import running

#: A client has stopped after fewer turns of the event loop.
TURNS = 40


@pytest.mark.parametrize("kind", [AIOKafkaConsumer, AIOKafkaProducer])
async def test_a_cancellation_that_comes_while_a_client_stops_is_raised(
    kind: type[AIOKafkaConsumer | AIOKafkaProducer], brokers: str
) -> None:
    outcomes = [
        await cancelled_while_stopping(kind(bootstrap_servers=brokers), turn)
        for turn in range(TURNS)
    ]
    assert "went on" not in outcomes
    assert outcomes[0] == "cancelled"
    assert outcomes[-1] == "over before"


async def cancelled_while_stopping(client: AIOKafkaConsumer | AIOKafkaProducer, turn: int) -> str:
    """What became of a task that was cancelled so many turns of the loop after it began to stop."""
    stops = asyncio.Event()
    went_on = False

    async def work() -> None:
        nonlocal went_on
        async with running(client):
            stops.set()
        went_on = True

    task = asyncio.create_task(work())
    await stops.wait()
    for _ in range(turn):
        await asyncio.sleep(0)
    if not task.cancel():
        return "over before"
    await asyncio.wait({task})
    assert went_on != task.cancelled()
    return "went on" if went_on else "cancelled"

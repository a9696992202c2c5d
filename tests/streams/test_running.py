"""Works that run together stop together, and each comes to its end."""

import asyncio

import pytest

from streams.cli.running import together, until_stopped


async def work(said: list[str], name: str, seconds: float) -> None:
    """Works until it is cancelled, and then takes a while to end."""
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(seconds)
        said.append(name)


async def test_a_stop_lets_each_work_end_in_its_own_time() -> None:
    said: list[str] = []
    await until_stopped(together([work(said, "quick", 0), work(said, "slow", 0.1)]), 0.01)
    assert said == ["quick", "slow"]


async def test_the_first_error_stops_the_others_and_is_raised() -> None:
    said: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("the first")

    with pytest.raises(ValueError, match="the first"):
        await together([work(said, "quick", 0), fail(), work(said, "slow", 0.1)])
    assert said == ["quick", "slow"]


async def test_works_that_all_end_are_waited_for() -> None:
    said: list[str] = []

    async def end(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        said.append(name)

    await together([end("slow", 0.05), end("quick", 0)])
    assert said == ["quick", "slow"]

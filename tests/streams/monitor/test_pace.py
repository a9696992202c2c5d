"""How often is looked."""

from __future__ import annotations

import asyncio
import time

from streams.monitor.pace import Pace


async def test_who_waits_goes_on_at_once_when_looks_become_more_frequent() -> None:
    pace = Pace(3600.0)
    waiting = asyncio.create_task(pace.next(time.monotonic()))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    pace.change(0.1)
    await asyncio.wait_for(waiting, 60)


async def test_who_waits_goes_on_waiting_when_looks_become_rarer() -> None:
    pace = Pace(0.5)
    waiting = asyncio.create_task(pace.next(time.monotonic()))
    await asyncio.sleep(0.1)
    pace.change(3600.0)
    await asyncio.sleep(0.6)
    assert not waiting.done()
    waiting.cancel()


async def test_what_is_costly_keeps_its_own_time() -> None:
    pace = Pace(0.0)
    waiting = asyncio.create_task(pace.next(time.monotonic(), at_least=3600.0))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    waiting.cancel()


async def test_a_look_that_took_too_long_is_followed_by_the_next() -> None:
    await asyncio.wait_for(Pace(10.0).next(time.monotonic() - 30.0), 5)

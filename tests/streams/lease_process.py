"""A candidate for a lease as a process of its own: `python -m tests.streams.lease_process`.

Arguments: brokers, name of the lease. While it is active it asks `held` every few milliseconds; it
prints one JSON object a line: {"event", "at", "trusted"}. `at` is `fence.clock()`: of `acquired`
the time right after, of `lost` that of the last check that was true, of `checked` (each 50 ms)
that of such a check. `trusted` is until when the holder believed, at that time, that it may work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys

from streams.cli.running import log_to_stderr
from streams.fence import clock
from streams.lease import Lease
from streams.settings import Endpoints


def tell(event: str, at: float, lease: Lease) -> None:
    print(json.dumps({"event": event, "at": at, "trusted": lease._fence.until}), flush=True)


async def be_active(lease: Lease) -> None:
    last = told = clock()
    tell("acquired", last, lease)
    trusted = lease._fence.until
    try:
        while True:
            before = clock()
            if not lease.held:
                return
            last, trusted = before, lease._fence.until
            if last - told >= 0.05:
                told = last
                tell("checked", last, lease)
            await asyncio.sleep(0.003)
    finally:
        print(json.dumps({"event": "lost", "at": last, "trusted": trusted}), flush=True)


async def main() -> None:
    log_to_stderr()
    brokers, name = sys.argv[1:]
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with Lease(Endpoints(brokers, {}, "", True, True), name) as lease:
            tell("standing by", clock(), lease)
            while True:
                await lease.acquired()
                await be_active(lease)


if __name__ == "__main__":
    asyncio.run(main())

"""A lease: one active instance of what must not run twice, with standbys that take over.

The active instance is the member of a consumer group that is assigned the only partition of the
topic `system.health`. The database has no part in it: facts go on while it is away. What this can
promise and what not is in docs/decisions/0010-leases-by-group-membership.md.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog

from streams.events import system_health
from streams.fence import Fence, clock
from streams.groups import lease_group
from streams.membership import Member
from streams.settings import Endpoints

__all__ = ["Lease"]

log = structlog.get_logger(__name__)


class Lease:
    """An async context manager: inside, this process is a candidate; leaving, it hands over.

    Enter it once, in one event loop, and work like this:

        async with Lease(endpoints, "kalshi-books") as lease:
            while True:
                await lease.acquired()
                while lease.held:
                    ...  # one frame

    A broker that is away is waited for. Flush what was sent before leaving: the standby may begin
    at once.
    """

    def __init__(self, endpoints: Endpoints, name: str) -> None:
        self.name = name
        self._fence = Fence()
        self._change = asyncio.Condition()
        self._member = Member(
            endpoints, lease_group(name), system_health.TOPIC, self._fence, self._notify
        )
        self._task: asyncio.Task[None]
        #: The fence's `lapses` when the lease was acquired; None while it is not.
        self._lapses: int | None = None

    @property
    def held(self) -> bool:
        """Whether it is certain that nobody else is active: costs no I/O, ask before each frame.

        Once False, it stays so until `acquired` returns again, so that no loss goes unnoticed.
        """
        if self._lapses is not None and not self._is_ours(self._lapses):
            self._lapses = None
            log.warning("lease lost", lease=self.name)
        return self._lapses is not None

    async def acquired(self) -> None:
        """Waits until this instance is the active one.

        Raises UserError: the broker refuses, and waiting would not mend it.
        """
        if self.held:
            return
        async with self._change:
            await self._change.wait_for(lambda: self._task.done() or self._fence.holds(clock()))
        if self._task.done():
            self._task.result()
        self._lapses = self._fence.lapses
        log.info("lease acquired", lease=self.name)

    async def lost(self) -> None:
        """Waits until `held` is False."""
        while self.held:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._fence.until - clock()), self._change:
                    await self._change.wait()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._fence.drop()  # before the broker hears of it
        self._lapses = None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _is_ours(self, lapses: int) -> bool:
        return lapses == self._fence.lapses and self._fence.holds(clock())

    async def _run(self) -> None:
        try:
            await self._member.run()
        finally:
            await self._notify()

    async def _notify(self) -> None:
        async with self._change:
            self._change.notify_all()

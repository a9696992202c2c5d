"""Kalshi's REST API, signed where there is a key, within the account's own rate limits."""

from __future__ import annotations

import asyncio
import time
from typing import Self
from weakref import WeakValueDictionary

import structlog
from aiolimiter import AsyncLimiter

from streams.connectors.base import ConnectorError, Request
from streams.connectors.http_replies import Rejected, VenueError
from streams.connectors.kalshi import limits
from streams.connectors.kalshi.environment import Environment
from streams.connectors.kalshi.keys import Key
from streams.connectors.kalshi.limits import BASIC, DEFAULT_COSTS, Bucket
from streams.connectors.kalshi.refusals import key_refused
from streams.connectors.rest import Patience, RestClient, Unanswered
from streams.connectors.values import FrameError

__all__ = ["KalshiRest"]

log = structlog.get_logger(__name__)

#: How often the limits are asked for: a tier changes by an account's volume, or by request.
#: Seconds; and after an attempt that failed.
_LEARN_EVERY = 3600.0
_LEARN_AGAIN = 60.0
#: The limits known before do until then. Seconds.
_LEARN_WITHIN = 5.0

#: By address, key and bucket, while they are in use.
_LIMITERS: WeakValueDictionary[tuple[str, str | None, Bucket], AsyncLimiter] = WeakValueDictionary()

_LIMITS = Request("/account/limits")
_COSTS = Request("/account/endpoint_costs")


class KalshiRest(RestClient):
    """The API of one environment. Without a key, public market data only.

    It reads the account's limits when it is entered and each hour; where they are not to be had,
    those of the lowest tier hold.
    """

    def __init__(
        self, environment: Environment, key: Key | None = None, patience: Patience | None = None
    ) -> None:
        self.bucket = BASIC
        self._environment = environment
        self._key = key
        self._costs = DEFAULT_COSTS
        self._learn_at = 0.0
        super().__init__(
            "kalshi", environment.rest, self._shared(self.bucket), patience or Patience()
        )

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self._learn()
        return self

    async def get(self, request: Request) -> bytes:
        """As in general; a refused key is a KeyRefused."""
        if time.monotonic() >= self._learn_at:
            await self._learn()
        return await super().get(request)

    def cost(self, request: Request) -> float:
        return self._costs.of(request.path)

    def headers(self, path: str) -> dict[str, str]:
        if self._key is None:
            return {}
        return self._key.sign(time.time_ns() // 1_000_000, "GET", path)

    def refusal(self, request: Request, status: int, error: VenueError) -> ConnectorError:
        if status in {401, 403}:
            return key_refused(status, error, self.skew, self._key, self._environment)
        return Rejected("kalshi", request, status, error)

    async def _learn(self) -> None:
        """Ask for the limits and costs once, and go by what is known where there is no answer."""
        self._learn_at = time.monotonic() + _LEARN_EVERY
        if self._key is None:
            return
        try:
            async with asyncio.timeout(_LEARN_WITHIN):
                bucket = limits.read_bucket(await self.attempt(_LIMITS))
                self.bucket, self._limiter = bucket, self._shared(bucket)
                self._costs = limits.costs(await self.attempt(_COSTS))
        except (Rejected, FrameError) as fault:  # a venue that does not tell them, as it seems
            log.info("no rate limits told", reason=str(fault), per_second=self.bucket.per_second)
        except (ConnectorError, Unanswered, TimeoutError) as fault:
            self._learn_at = time.monotonic() + _LEARN_AGAIN
            reason = str(fault) or f"no answer in {_LEARN_WITHIN:g} s"
            log.warning("rate limits not learned", reason=reason, again_in_s=_LEARN_AGAIN)

    def _shared(self, bucket: Bucket) -> AsyncLimiter:
        """One for all that ask with this key in this process: the limits are the account's."""
        of = self._environment.rest, None if self._key is None else self._key.id, bucket
        made = AsyncLimiter(bucket.capacity, bucket.capacity / bucket.per_second)
        return _LIMITERS.setdefault(of, made)

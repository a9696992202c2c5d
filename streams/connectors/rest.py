"""A venue's REST API: GET requests that are tried again for as long as that may help."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
import structlog
from aiolimiter import AsyncLimiter

from streams.connectors.base import ConnectorError, Request
from streams.connectors.http_replies import (
    Rejected,
    VenueError,
    clock_skew,
    is_json,
    retry_after,
    venue_error,
)

__all__ = ["Patience", "PublicRest", "RestClient", "RestCounts", "Unanswered", "full_jitter"]

log = structlog.get_logger(__name__)

#: A larger reply than any page of a venue is refused. Bytes, after decompression.
LARGEST_REPLY = 64 * 1024 * 1024
#: A line of the log about failing attempts comes at most this often. Seconds.
_TOLD_EVERY = 60.0
#: Too many requests; and what Binance sends to those who went on after that.
_LIMITED = {429, 418}
#: Other replies that time may cure, beside all from 500 on: request timeout, too early.
_CURABLE = {408, 425}

_KEEP_ALIVE = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=30)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: for a connection, for more of a reply, for the whole of it.

    Then between attempts: up to `first` after one failure, doubling with each, up to `cap`.
    """

    connect: float = 5.0
    read: float = 20.0
    #: A reply that comes byte by byte never exceeds `read`.
    whole: float = 60.0
    first: float = 0.5
    cap: float = 30.0


@dataclass(slots=True)
class RestCounts:
    """Since the start: requests sent, of these refused for their number, and failed otherwise."""

    attempts: int = 0
    limited: int = 0
    failures: int = 0


class Unanswered(Exception):
    """An attempt without a usable answer; the next may have one. `wait` is the least pause, s."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class RestClient(ABC):
    """An async context manager. Any number of tasks may ask at the same time.

    What asks is told of refusals only. Rate limits, faults of the server and of the network, and
    replies that are cut off or no JSON, are tried again until they are over: cancel to stop.
    """

    def __init__(
        self, venue: str, base_url: str, limiter: AsyncLimiter, patience: Patience
    ) -> None:
        """`base_url` goes before each request's path; `venue` is its name in messages."""
        self.counts = RestCounts()
        self._venue = venue
        self._base_url = base_url.rstrip("/")
        self._limiter = limiter
        self._patience = patience
        self._skew: int | None = None
        self._told = -_TOLD_EVERY
        self._client = httpx.AsyncClient(
            headers={"Accept": "application/json", "User-Agent": "tickertape"},
            # A connection may be waited for: the other requests are as patient as this one.
            timeout=httpx.Timeout(patience.read, connect=patience.connect, pool=None),
            limits=_KEEP_ALIVE,
            follow_redirects=False,
            # No proxy stands between this machine and itself.
            mounts={f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")},
        )

    @property
    def skew(self) -> int | None:
        """How far our clock was ahead of the venue's at the last reply, in microseconds.

        None where they agree to a second, or are not known to differ.
        """
        return self._skew

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def get(self, request: Request) -> bytes:
        """The body of the reply, which is whole, and is JSON.

        Raises:
            Rejected: the venue refuses this request.
            ConnectorError: it refuses the key, or the reply is too large.
        """
        failures = 0
        while True:
            try:
                return await self.attempt(request)
            except Unanswered as fault:
                pause = max(full_jitter(self._patience, failures), fault.wait)
                failures += 1
                self._tell(request, fault, failures)
            await asyncio.sleep(pause)

    async def attempt(self, request: Request) -> bytes:
        """One attempt. Raises Unanswered, and as `get`."""
        await self._limiter.acquire(min(self.cost(request), self._limiter.max_rate))
        message = self._client.build_request(
            "GET", f"{self._base_url}{request.path}", params=request.query or None
        )
        headers = self.headers(message.url.raw_path.partition(b"?")[0].decode("ascii"))
        message.headers.update(headers)
        self.counts.attempts += 1
        try:
            async with asyncio.timeout(self._patience.whole):
                response, body = await self._exchange(request, message)
        except (httpx.RequestError, TimeoutError) as fault:
            self.counts.failures += 1
            raise Unanswered(f"{type(fault).__name__}: {fault}".rstrip(": ")) from None
        return self._read(request, response, body, headers)

    async def _exchange(
        self, request: Request, message: httpx.Request
    ) -> tuple[httpx.Response, bytes]:
        sent = time.time_ns() // 1000
        response = await self._client.send(message, stream=True)
        try:
            self._skew = clock_skew(response.headers, sent, time.time_ns() // 1000)
            return response, await self._body(request, response)
        finally:
            await response.aclose()

    async def _body(self, request: Request, response: httpx.Response) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST_REPLY:
                raise ConnectorError(
                    f"{self._venue} answers GET {request} with more than {LARGEST_REPLY} bytes, "
                    "which is refused; ask for less at once"
                )
        return bytes(body)

    def _read(
        self, request: Request, response: httpx.Response, body: bytes, headers: Mapping[str, str]
    ) -> bytes:
        status = response.status_code
        if response.is_success:
            if is_json(body):
                return body
            self.counts.failures += 1
            raise Unanswered(f"status {status}, but {len(body)} bytes that are no JSON")
        error = venue_error(body, headers.values())
        if status in _LIMITED:
            self.counts.limited += 1
            raise Unanswered(f"status {status}: {error}", retry_after(response.headers))
        if status >= 500 or status in _CURABLE:
            self.counts.failures += 1
            raise Unanswered(f"status {status}: {error}", retry_after(response.headers))
        if response.has_redirect_location:
            error = VenueError(
                error.code, "it redirects, which is not followed; correct its address"
            )
        raise self.refusal(request, status, error)

    @abstractmethod
    def cost(self, request: Request) -> float:
        """What a request takes from the limiter."""

    def headers(self, path: str) -> dict[str, str]:
        """Further headers for one attempt at this path, as it is sent; none of it is ever told."""
        return {}

    def refusal(self, request: Request, status: int, error: VenueError) -> ConnectorError:
        """The error to raise where the venue refused a request."""
        return Rejected(self._venue, request, status, error)

    def _tell(self, request: Request, fault: Unanswered, failures: int) -> None:
        now = time.monotonic()
        if now - self._told < _TOLD_EVERY:
            return
        self._told = now
        log.warning(
            "a request is tried again",
            venue=self._venue,
            request=str(request),
            reason=str(fault),
            times=failures,
            attempts=self.counts.attempts,
            limited=self.counts.limited,
            failures=self.counts.failures,
        )


class PublicRest(RestClient):
    """The unsigned API of any venue, asked at most so many times a second."""

    def __init__(self, base_url: str, per_second: float, patience: Patience | None = None) -> None:
        burst = max(per_second, 1.0)
        limiter = AsyncLimiter(burst, burst / per_second)
        super().__init__(
            urlsplit(base_url).hostname or base_url, base_url, limiter, patience or Patience()
        )

    def cost(self, request: Request) -> float:
        return 1.0


def full_jitter(patience: Patience, failures: int) -> float:
    """Seconds to pause after so many failures before this one: any from 0 to a doubling bound.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return random.uniform(0.0, min(patience.cap, patience.first * 2.0 ** min(failures, 30)))

"""What Kalshi's three feeds share: whose they are, and how they connect."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar, Self
from urllib.parse import urlsplit

from streams.connectors.base import Address, Connector, ConnectorError, Rest, UpgradeReply
from streams.connectors.http_replies import clock_skew, venue_error
from streams.connectors.kalshi.environment import Environment, environment
from streams.connectors.kalshi.keys import Key, load_key
from streams.connectors.kalshi.refusals import key_refused
from streams.connectors.kalshi.rest import KalshiRest
from streams.owners import venue_of
from streams.settings import Settings

__all__ = ["Access", "KalshiConnector", "owner_of"]


@dataclass(frozen=True, slots=True)
class Access:
    """Where to connect, and with which key: Kalshi wants one for public data as well."""

    environment: Environment
    key: Key


class KalshiConnector(Connector):
    """A feed of one account's view of Kalshi.

    `owner` is venue, mode and name of the account (`kalshi/prod/main`), and stands in the feed's
    name, so that a recording is replayed for the account it was made of. Without access it only
    reads recordings.
    """

    #: The feed's name without the owner.
    name: ClassVar[str]

    def __init__(
        self, owner: str, access: Access | None = None, series: Sequence[str] = ()
    ) -> None:
        self.owner = owner
        self.feed = f"{self.name}@{owner}"
        self.venue = venue_of(owner)
        self.series = tuple(series)
        self._access = access

    @classmethod
    def live(cls, settings: Settings) -> Self:
        """For the account and the series of the settings.

        Raises UserError where there is no usable key, or where it belongs elsewhere.
        """
        access = Access(environment(settings), load_key(settings))
        return cls(owner_of(settings.account), access, settings.kalshi_series)

    @classmethod
    def recorded(cls, owner: str) -> Self:
        if owner.count("/") != 2:
            raise LookupError(f"{cls.name} has an owner such as kalshi/prod/main, not {owner!r}")
        return cls(owner)

    def connect(self) -> Address:
        access = self._required()
        url = access.environment.websocket
        now_ms = time.time_ns() // 1_000_000
        return Address(url, access.key.sign(now_ms, "GET", urlsplit(url).path))

    def refusal(self, reply: UpgradeReply) -> ConnectorError | None:
        """As REST tells of a key that is refused."""
        access = self._required()
        if reply.status not in {401, 403}:
            return None
        secrets = [access.key.id]
        error = venue_error(reply.body, secrets)
        skew = clock_skew(reply.headers, reply.sent, reply.received)
        return key_refused(reply.status, error, skew, access.key, access.environment)

    def rest(self) -> AbstractAsyncContextManager[Rest]:
        access = self._required()
        return KalshiRest(access.environment, access.key)

    def lease(self) -> str:
        """Market data is the same for all accounts of a venue."""
        return ".".join([self.name, self.venue, *sorted(self.series)])

    def _required(self) -> Access:
        if self._access is None:
            raise LookupError(f"{self.feed} was made to read recordings, and has no access")
        return self._access


def owner_of(account: str) -> str:
    """`kalshi/prod/main/0` → `kalshi/prod/main`."""
    return account.rpartition("/")[0]

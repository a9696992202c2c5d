"""Kalshi's two environments, production and demo: their addresses.

Source: reference/connectors.md section 1 (openapi.yaml, `servers`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from streams.errors import UserError
from streams.settings import Settings, variable

__all__ = ["Environment", "Mode", "environment"]

Mode = Literal["prod", "demo"]


@dataclass(frozen=True, slots=True)
class Environment:
    """Base addresses, without a slash at the end. Each environment has keys of its own."""

    mode: Mode
    rest: str
    websocket: str


_ENVIRONMENTS = (
    Environment(
        "prod",
        "https://external-api.kalshi.com/trade-api/v2",
        "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
    ),
    Environment(
        "demo",
        "https://external-api.demo.kalshi.co/trade-api/v2",
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
    ),
)
#: All hosts of an environment, the older ones as well, are in its domain.
_DOMAINS: dict[str, Mode] = {"kalshi.com": "prod", "kalshi.co": "demo"}


def environment(settings: Settings) -> Environment:
    """Where the account of the settings is: by its mode, and by the addresses that are set.

    Raises:
        UserError: an address is of the other environment or without encryption, or it is not
            known where the account's venue is.
    """
    venue, mode, *_ = settings.account.split("/")
    if venue != "kalshi" and None in (settings.kalshi_rest_url, settings.kalshi_websocket_url):
        raise UserError(
            f"TAPE_ACCOUNT is {settings.account}, of the venue {venue}: set TAPE_KALSHI_REST_URL "
            "and TAPE_KALSHI_WEBSOCKET_URL to where that is, or take an account of kalshi"
        )
    own = next(one for one in _ENVIRONMENTS if one.mode == mode)
    return Environment(
        own.mode,
        _checked(settings, "kalshi_rest_url") or own.rest,
        _checked(settings, "kalshi_websocket_url") or own.websocket,
    )


def _checked(settings: Settings, field: str) -> str | None:
    """The address that is set, or None."""
    url: str | None = getattr(settings, field)
    if url is None:
        return None
    parts = urlsplit(url)
    mode = settings.account.split("/")[1]
    domain = ".".join((parts.hostname or "").rstrip(".").split(".")[-2:])
    hosts = _DOMAINS.get(domain, mode)
    if hosts != mode:
        raise UserError(
            f"{variable(field)} has the host {parts.hostname} of {hosts}, but TAPE_ACCOUNT is "
            f"{settings.account}; the two must agree"
        )
    if domain in _DOMAINS and parts.scheme not in {"https", "wss"}:
        raise UserError(
            f"{variable(field)} has the host {parts.hostname}, but is without encryption; begin "
            "it with https:// or wss://"
        )
    return url

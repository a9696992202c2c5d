"""Why Kalshi refused a key: what its reply, our clock and the environment say of it."""

from __future__ import annotations

from streams.connectors.base import ConnectorError
from streams.connectors.http_replies import VenueError
from streams.connectors.kalshi.environment import Environment
from streams.connectors.kalshi.keys import Key

__all__ = ["KeyRefused", "key_refused"]

#: Kalshi accepts timestamps that are a few seconds off. Microseconds.
_TOLERATED_SKEW = 5_000_000


class KeyRefused(ConnectorError):
    """The venue does not accept the key, or our signature by it, or it may not do this."""


def key_refused(
    status: int, error: VenueError, skew: int | None, key: Key | None, environment: Environment
) -> KeyRefused:
    """The error for a reply of status 401 or 403, to REST or to the WebSocket's upgrade.

    `skew` is how far our clock is ahead, in microseconds, None if unknown. The message names the
    most probable cause: no key, the clock, the key's scopes, the key's environment.
    """
    told = f"status {status}, {error}"
    if key is None:
        return KeyRefused(
            f"Kalshi {environment.mode} answers to a key only ({told}): set TAPE_KALSHI_KEY_ID "
            "and TAPE_KALSHI_KEY_FILE"
        )
    cause = _cause(status, error.message, skew, environment)
    return KeyRefused(f"Kalshi {environment.mode} refused the key {key.label} ({told}): {cause}")


def _cause(status: int, message: str, skew: int | None, environment: Environment) -> str:
    if skew is not None and abs(skew) > _TOLERATED_SKEW:
        way = "ahead of" if skew > 0 else "behind"
        return (
            f"this machine's clock is {abs(skew) / 1e6:.0f} s {way} Kalshi's, which makes "
            "signatures invalid; set it by NTP"
        )
    if status == 403:
        return "the key lacks the scope for this, or is locked to a subaccount or an address"
    # Not documented, and so from memory of production.
    if "INCORRECT_API_KEY_SIGNATURE" in message:
        return "the file of TAPE_KALSHI_KEY_FILE is not the private key of TAPE_KALSHI_KEY_ID"
    other = "demo" if environment.mode == "prod" else "prod"
    return (
        f"probably it is a key of {other} (each mode has keys of its own, and that of TAPE_ACCOUNT "
        f"is {environment.mode}), or was deleted, or TAPE_KALSHI_KEY_FILE is that of another key"
    )

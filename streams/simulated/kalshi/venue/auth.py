"""Who may ask: the three headers, verified against the registered public keys. Pure.

Text that is signed: time in ms, method, path without query. RSA-PSS with SHA-256 and a salt of 32
bytes, or Ed25519. The details of the refusals are from memory of production, not documented.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from streams.simulated.kalshi.venue.query import Reply, error

__all__ = ["Headers", "PublicKey", "refusal"]

PublicKey = RSAPublicKey | Ed25519PublicKey

#: How far a signature's time may be off, milliseconds.
_SKEW = 5_000


class Headers(Protocol):
    """The headers of a request, whatever their letters' case."""

    def get(self, name: str, /) -> str | None:
        """One of them; None where it is missing."""


def refusal(keys: Mapping[str, PublicKey], headers: Headers, path: str, now: int) -> Reply | None:
    """The 401 for a GET of a path; None where the signature is good at `now`, microseconds."""
    key_id = headers.get("KALSHI-ACCESS-KEY")
    time = headers.get("KALSHI-ACCESS-TIMESTAMP")
    signature = headers.get("KALSHI-ACCESS-SIGNATURE")
    if not key_id or not time or not signature:
        return _unauthorized("missing authentication headers")
    key = keys.get(key_id)
    if key is None:
        return _unauthorized("NOT_FOUND")
    if not (time.isascii() and time.isdigit()) or abs(int(time) - now // 1000) > _SKEW:
        return _unauthorized("header_timestamp_expired")
    if not _is_signed(key, signature, f"{time}GET{path}".encode()):
        return _unauthorized("INCORRECT_API_KEY_SIGNATURE")
    return None


def _is_signed(key: PublicKey, signature: str, text: bytes) -> bool:
    try:
        signed = b64decode(signature, validate=True)
        if isinstance(key, RSAPublicKey):
            key.verify(signed, text, PSS(MGF1(SHA256()), salt_length=32), SHA256())
        else:
            key.verify(signed, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _unauthorized(details: str) -> Reply:
    return error(401, "authentication_error", details)

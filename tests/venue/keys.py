"""API keys for tests, of both kinds, and requests signed with them."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from streams.simulated.kalshi.venue.auth import PublicKey
from streams.simulated.kalshi.venue.server import wall_clock


@dataclass(frozen=True, repr=False)
class ApiKey:
    """A key pair; `id` is what the venue calls it."""

    id: str
    private: RSAPrivateKey | Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """What the venue knows of it."""
        return self.private.public_key()

    @property
    def pem(self) -> bytes:
        """The private key as a file holds it."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def headers(self, path: str, now: int | None = None) -> dict[str, str]:
        """Of a GET of a path without query, signed at a time in microseconds, by default now."""
        time = str((wall_clock() if now is None else now) // 1000)
        text = f"{time}GET{path}".encode()
        if isinstance(self.private, RSAPrivateKey):
            signature = self.private.sign(text, PSS(MGF1(SHA256()), salt_length=32), SHA256())
        else:
            signature = self.private.sign(text)
        return {
            "KALSHI-ACCESS-KEY": self.id,
            "KALSHI-ACCESS-TIMESTAMP": time,
            "KALSHI-ACCESS-SIGNATURE": b64encode(signature).decode(),
        }


@cache
def api_key(name: int = 1, kind: Literal["rsa", "ed25519"] = "ed25519") -> ApiKey:
    """The key of that number: always the same within a process. RSA takes a while to make."""
    key_id = f"00000000-0000-4000-8000-{name:012d}"
    if kind == "rsa":
        return ApiKey(key_id, generate_private_key(public_exponent=65537, key_size=2048))
    return ApiKey(key_id, Ed25519PrivateKey.generate())

"""The API key: its id and private key, and how requests are signed with it.

Rules: reference/connectors.md section 1. The private key is in no representation and in no message;
what raises holds no text of it in a local variable, since some tracebacks print those.
"""

from __future__ import annotations

import os
import re
import stat
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from streams.errors import UserError
from streams.settings import Settings

__all__ = ["Key", "load_key", "optional_key"]

log = structlog.get_logger(__name__)

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

#: A digest's length, as Kalshi has it.
_SALT_BYTES = 32
_LEAST_RSA_BITS = 2048
#: An RSA key of 16,384 bits has 13 KB; so a wrong path does not read a whole disk.
_LARGEST_FILE = 65_536

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NEEDED = "an RSA or Ed25519 private key in PEM, as Kalshi gave it"


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """An API key. Its representation shows the beginning of the id alone."""

    id: str
    private: PrivateKey

    def __repr__(self) -> str:
        return f"Key({self.label})"

    @property
    def label(self) -> str:
        """The beginning of the id, to tell keys apart by in messages."""
        return f"{self.id[:8]}…"

    def sign(self, now_ms: int, method: str, path: str) -> dict[str, str]:
        """The headers of one request: time in milliseconds since 1970 UTC, path as it is sent.

        The path begins at the host's root and is without query. Also for the WebSocket's upgrade:
        method GET, path `/trade-api/ws/v2`. Signed are time, method and path, one after another:
        by RSA-PSS with SHA-256, MGF1 and a salt of 32 bytes, or by Ed25519.
        """
        text = f"{now_ms}{method}{path}".encode()
        if isinstance(self.private, RSAPrivateKey):
            signature = self.private.sign(text, PSS(MGF1(SHA256()), _SALT_BYTES), SHA256())
        else:
            signature = self.private.sign(text)
        return {
            "KALSHI-ACCESS-KEY": self.id,
            "KALSHI-ACCESS-TIMESTAMP": str(now_ms),
            "KALSHI-ACCESS-SIGNATURE": b64encode(signature).decode(),
        }


def load_key(settings: Settings) -> Key:
    """The key of the settings. A file that others may read is warned of.

    Raises:
        UserError: there is none, or its id or its file is of no use.
    """
    key = optional_key(settings)
    if key is None:
        raise UserError(
            "there is no Kalshi API key: set TAPE_KALSHI_KEY_ID to its id, and "
            "TAPE_KALSHI_KEY_FILE to the file of its private key"
        )
    return key


def optional_key(settings: Settings) -> Key | None:
    """The same; None where neither the id nor the file is set."""
    key_id, file = settings.kalshi_key_id, settings.kalshi_key_file
    if key_id is None and file is None:
        return None
    if key_id is None:
        raise UserError("TAPE_KALSHI_KEY_ID must be set, because TAPE_KALSHI_KEY_FILE is")
    if file is None:
        raise UserError("TAPE_KALSHI_KEY_FILE must be set, because TAPE_KALSHI_KEY_ID is")
    if _UUID.fullmatch(key_id.get_secret_value().strip()) is None:
        raise UserError(
            "TAPE_KALSHI_KEY_ID is no UUID (8, 4, 4, 4 and 12 hexadecimal digits with dashes "
            "between); give the id that Kalshi shows beside the key"
        )
    return Key(key_id.get_secret_value().strip(), _private_key(file))


def _private_key(file: Path) -> PrivateKey:
    try:
        found = _parse(_read(file))
    except FileNotFoundError:
        raise UserError(f"there is no file {file}; correct TAPE_KALSHI_KEY_FILE") from None
    except OSError as fault:
        raise UserError(
            f"the file {file} of TAPE_KALSHI_KEY_FILE cannot be read: {fault.strerror}; let this "
            "user read it"
        ) from None
    if isinstance(found, str):
        raise UserError(f"the file {file} of TAPE_KALSHI_KEY_FILE {found}")
    return found


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            log.warning(
                "others can reach the private key",
                file=str(file),
                mode=f"{mode:04o}",
                remedy=f"chmod 600 {file}",
            )
        return opened.read(_LARGEST_FILE)


def _parse(pem: bytes) -> PrivateKey | str:
    """The private key, or what is wrong with the file. Never raises: a trace would hold `pem`."""
    if b"PRIVATE KEY-----" not in pem:
        return f"{_instead(pem)}; give {_NEEDED}"
    if b"-----BEGIN OPENSSH " in pem:
        return f"holds a key in OpenSSH's own format; give {_NEEDED}"
    if b"ENCRYPTED" in pem:
        return "holds an encrypted key; decrypt it with `openssl pkey -in FILE -out NEW`"
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return f"is damaged: it is PEM, but no private key can be read from it; give {_NEEDED}"
    return _suitable(key)


def _suitable(key: PrivateKeyTypes) -> PrivateKey | str:
    if isinstance(key, RSAPrivateKey) and key.key_size < _LEAST_RSA_BITS:
        return f"holds an RSA key of {key.key_size} bits; at least {_LEAST_RSA_BITS} are needed"
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey")
        return f"holds a private key of another kind, {kind}; give {_NEEDED}"
    return key


def _instead(pem: bytes) -> str:
    """What a file is that holds no private key."""
    if b"PUBLIC KEY-----" in pem:
        return "holds a public key"
    return "holds a certificate" if b"-----BEGIN CERTIFICATE" in pem else "is no PEM file"

"""Keys for tests, made anew in each run, and their files."""

from base64 import b64encode
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import SecretStr

from streams.settings import Settings

Accepted = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Private = Accepted | ec.EllipticCurvePrivateKey

KEY_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(
    key: Private,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def public_pem(key: Private) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def encrypted_pem(form: PrivateFormat) -> bytes:
    return pem(rsa_key(), form, BestAvailableEncryption(b"sesame"))


def secrets_of(key: Accepted) -> list[str]:
    """Texts of which none may be seen anywhere: the key's PEM, line by line, and its numbers."""
    lines = [line for line in pem(key).decode().splitlines() if not line.startswith("-")]
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        secret = [numbers.d, numbers.p, numbers.q]
        return [*(line[8:40] for line in lines), *(f"{one}" for one in secret)]
    raw = key.private_bytes_raw()
    return [lines[0][-32:], raw.hex(), b64encode(raw).decode()]


def written(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    file = folder / "kalshi.pem"
    file.write_bytes(data)
    file.chmod(mode)
    return file


def settings(file: Path | None, key_id: str | None = KEY_ID) -> Settings:
    """Those with this key."""
    return Settings(
        kalshi_key_file=file, kalshi_key_id=None if key_id is None else SecretStr(key_id)
    )

"""What others need to connect to the simulated venues: a key, and a file of settings to source."""

from __future__ import annotations

import os
import shlex
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from streams.embedded.home import exclusive, make_private
from streams.errors import UserError

__all__ = ["ApiKey", "api_key", "forget_settings", "published", "read_settings"]
__all__ += ["settings_file"]


class ApiKey(NamedTuple):
    """What a venue knows of a key, and the file of its private part."""

    id: str
    public: Ed25519PublicKey
    file: Path


def settings_file(home: Path, name: str) -> Path:
    """Where the settings of the simulated venues of this name are while they run."""
    return home / "simulated" / f"{name}.env"


@contextmanager
def api_key(home: Path, name: str) -> Iterator[ApiKey]:
    """A new key, in a file that nobody else reads, while inside. Raises UserError."""
    file = settings_file(home, name).with_suffix(".pem")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with exclusive(home):
        make_private(file.parent)
    try:
        _write(file, pem)
        yield ApiKey(str(uuid.uuid4()), key.public_key(), file)
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def published(file: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """The settings are in the file, as a shell sources them, while inside. Raises UserError."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
    try:
        _write(file, "".join(lines).encode())
        yield
    finally:
        file.unlink(missing_ok=True)


def read_settings(file: Path) -> dict[str, str] | None:
    """The settings that `published` wrote; None while there are none."""
    try:
        text = file.read_text()
    except FileNotFoundError:
        return None
    words = (shlex.split(line)[1] for line in text.splitlines())
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def forget_settings(file: Path) -> None:
    """Remove what venues that were killed left behind."""
    for left in (file, file.with_suffix(".pem")):
        left.unlink(missing_ok=True)


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all, and private from the beginning."""
    draft = file.with_name(f"{file.name}.new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        draft.replace(file)
    except OSError as fault:
        raise UserError(
            f"cannot write {file}: {fault.strerror}; set TAPE_HOME to a folder of yours"
        ) from None

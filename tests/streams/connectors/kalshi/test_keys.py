"""API keys: what is accepted, what is refused and how, and that signatures are Kalshi's."""

import os
import traceback
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st
from structlog.testing import capture_logs

from streams.connectors.kalshi.keys import Key, load_key, optional_key
from streams.errors import UserError
from streams.settings import Settings

from .pems import (
    KEY_ID,
    Accepted,
    ec_key,
    ed25519_key,
    encrypted_pem,
    pem,
    public_pem,
    rsa_key,
    secrets_of,
    settings,
    written,
)

TIMES = st.integers(1_600_000_000_000, 4_000_000_000_000)
METHODS = st.sampled_from(["GET", "POST", "DELETE"])
PATHS = st.text("abcXYZ019/.-_~%", max_size=120).map("/trade-api/v2/".__add__)
KEYS = st.sampled_from([rsa_key, ed25519_key]).map(lambda make: make())


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("TAPE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def verify(key: Accepted, signature: bytes, text: bytes) -> None:
    """As the venue does. Raises InvalidSignature."""
    if isinstance(key, RSAPrivateKey):
        padding = PSS(mgf=MGF1(SHA256()), salt_length=32)
        key.public_key().verify(signature, text, padding, SHA256())
    else:
        key.public_key().verify(signature, text)


def refusal(folder: Path, data: bytes) -> str:
    """What is said of a key file with these contents."""
    file = written(folder, data)
    with pytest.raises(UserError) as refused:
        load_key(settings(file))
    told = str(refused.value)
    assert told.startswith(f"the file {file} of TAPE_KALSHI_KEY_FILE ")
    return told


@given(KEYS, TIMES, METHODS, PATHS)
@checked(deadline=None)
def test_a_signature_is_valid_for_its_time_method_and_path(
    private: Accepted, now_ms: int, method: str, path: str
) -> None:
    headers = Key(KEY_ID, private).sign(now_ms, method, path)
    signature = b64decode(headers.pop("KALSHI-ACCESS-SIGNATURE"), validate=True)
    verify(private, signature, f"{now_ms}{method}{path}".encode())
    assert headers == {"KALSHI-ACCESS-KEY": KEY_ID, "KALSHI-ACCESS-TIMESTAMP": str(now_ms)}


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_rsa_key_is_read_in_both_of_its_formats(form: PrivateFormat, tmp_path: Path) -> None:
    key = load_key(settings(written(tmp_path, pem(rsa_key(), form))))
    assert isinstance(key.private, RSAPrivateKey)
    assert key.private.private_numbers() == rsa_key().private_numbers()
    assert key.id == KEY_ID


def test_an_ed25519_key_is_read(tmp_path: Path) -> None:
    key = load_key(settings(written(tmp_path, pem(ed25519_key()))))
    assert isinstance(key.private, Ed25519PrivateKey)
    assert key.private.private_bytes_raw() == ed25519_key().private_bytes_raw()


@pytest.mark.parametrize("change", [b"\r\n", b"\n\n"])
def test_a_key_copied_from_another_system_is_read(change: bytes, tmp_path: Path) -> None:
    copied = b"\xef\xbb\xbfKalshi, main\n" + pem(rsa_key()) + public_pem(rsa_key())
    load_key(settings(written(tmp_path, copied.replace(b"\n", change, 1).replace(b"\n", b"\r\n"))))


def test_without_id_and_file_there_is_no_key() -> None:
    assert optional_key(settings(None, None)) is None
    with pytest.raises(UserError, match="set TAPE_KALSHI_KEY_ID .* TAPE_KALSHI_KEY_FILE"):
        load_key(settings(None, None))


def test_half_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="TAPE_KALSHI_KEY_ID must be set"):
        optional_key(settings(written(tmp_path, pem(ed25519_key())), None))
    with pytest.raises(UserError, match="TAPE_KALSHI_KEY_FILE must be set"):
        optional_key(settings(None))


@pytest.mark.parametrize("key_id", ["main", KEY_ID[:-1], f"{{{KEY_ID}}}", KEY_ID.replace("-", "")])
def test_an_id_that_is_no_uuid_is_refused_and_not_repeated(key_id: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="TAPE_KALSHI_KEY_ID is no UUID") as refused:
        load_key(settings(written(tmp_path, pem(ed25519_key())), key_id))
    assert key_id not in str(refused.value)


def test_spaces_around_an_id_are_of_no_account(tmp_path: Path) -> None:
    file = written(tmp_path, pem(ed25519_key()))
    assert load_key(settings(file, f" {KEY_ID}\n")).id == KEY_ID


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    with pytest.raises(UserError, match=f"there is no file {absent}; correct TAPE_KALSHI_KEY_FILE"):
        load_key(settings(absent))


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{tmp_path} .* cannot be read: Is a directory"):
        load_key(settings(tmp_path))


@pytest.mark.parametrize("data", [b"", b"\0" * 70_000, b"sesame", pem(rsa_key())[40:]])
def test_what_is_no_pem_is_refused(data: bytes, tmp_path: Path) -> None:
    assert "is no PEM file; give an RSA or Ed25519" in refusal(tmp_path, data[:-40] or data)


def test_a_pem_file_of_any_size_is_not_read_whole(tmp_path: Path) -> None:
    assert "is no PEM file" in refusal(tmp_path, b"-" * 70_000 + pem(rsa_key()))


@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_key_without_its_middle_is_refused_as_damaged(kept: float, tmp_path: Path) -> None:
    first, *lines, last, end = pem(rsa_key()).splitlines(keepends=True)
    left = lines[: round(len(lines) * kept)]
    assert "is damaged" in refusal(tmp_path, b"".join([first, *left, last, end]))


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused(form: PrivateFormat, tmp_path: Path) -> None:
    assert "holds an encrypted key; decrypt it with `openssl pkey" in refusal(
        tmp_path, encrypted_pem(form)
    )


def test_a_public_key_is_refused(tmp_path: Path) -> None:
    assert "holds a public key; give" in refusal(tmp_path, public_pem(rsa_key()))


def test_a_certificate_is_refused(tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tape")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, rsa_key().public_key(), 7, now, now + timedelta(1))
        .sign(rsa_key(), SHA256())
        .public_bytes(Encoding.PEM)
    )
    assert "holds a certificate; give" in refusal(tmp_path, certificate)


def test_a_key_of_openssh_is_refused(tmp_path: Path) -> None:
    assert "OpenSSH's own format" in refusal(tmp_path, pem(ed25519_key(), PrivateFormat.OpenSSH))


def test_an_elliptic_key_of_another_curve_is_refused(tmp_path: Path) -> None:
    assert "another kind, EC; give an RSA or Ed25519" in refusal(tmp_path, pem(ec_key()))


def test_a_short_rsa_key_is_refused(tmp_path: Path) -> None:
    told = refusal(tmp_path, pem(rsa_key(1024)))
    assert "holds an RSA key of 1024 bits; at least 2048 are needed" in told


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_warned_of(mode: int, tmp_path: Path) -> None:
    file = written(tmp_path, pem(ed25519_key()), mode)
    with capture_logs() as logs:
        load_key(settings(file))
    [told] = logs
    assert told["log_level"] == "warning"
    assert (told["mode"], told["remedy"]) == (f"{mode:04o}", f"chmod 600 {file}")


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_the_user_s_own_is_read_in_silence(mode: int, tmp_path: Path) -> None:
    file = written(tmp_path, pem(ed25519_key()), mode)
    with capture_logs() as logs:
        load_key(settings(file))
    assert logs == []


@pytest.mark.parametrize("private", [rsa_key(), ed25519_key()], ids=["rsa", "ed25519"])
def test_no_representation_shows_the_private_key_or_the_whole_id(private: Accepted) -> None:
    key = Key(KEY_ID, private)
    shown = f"{key!r} {key!s} {[key]} {key.label} {vars(Key)}"
    assert "Key(3f2504e0…)" in shown
    assert not any(secret in shown for secret in [KEY_ID, *secrets_of(private)])


@pytest.mark.parametrize("private", [rsa_key(), ed25519_key()], ids=["rsa", "ed25519"])
@pytest.mark.parametrize(
    ("taken", "given"),
    [(b"-----END", b"----END"), (b"PRIVATE", b"PUBLIC"), (b"KEY-----\n", b"KEY-----\nMII")],
)
def test_no_traceback_shows_the_private_key_even_with_its_variables(
    private: Accepted, taken: bytes, given: bytes, tmp_path: Path
) -> None:
    file = written(tmp_path, pem(private).replace(taken, given), 0o644)
    shown = trace_of(settings(file))
    assert "_private_key" in shown
    assert "others can reach the private key" in shown
    assert not any(secret in shown for secret in [KEY_ID, *secrets_of(private)])


def trace_of(broken: Settings) -> str:
    """All that can be seen of a refusal of these settings: trace, variables, logs."""
    with capture_logs() as logs, pytest.raises(UserError) as refused:
        load_key(broken)
    trace = traceback.TracebackException.from_exception(refused.value, capture_locals=True)
    return f"{''.join(trace.format())} {logs} {broken!r} {refused.value!r}"

"""Settings come from TAPE_* variables, a .env file, or the legacy POSTGRES_* variables."""

import os
import ssl
from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.errors import UserError
from streams.settings import Settings, endpoints, librdkafka_config, load_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("TAPE_", "POSTGRES_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def set_own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPE_BROKERS", "one.example:9092,two.example:9093")
    monkeypatch.setenv("TAPE_DSN", "postgresql://me:hush@db.example/tape")


def test_own_servers_are_used_without_any_embedded_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    set_own_servers(monkeypatch)
    ends = endpoints(load_settings())
    assert ends.brokers == "one.example:9092,two.example:9093"
    assert ends.dsn == "postgresql://me:hush@db.example/tape"
    assert not ends.embedded_broker
    assert not ends.embedded_database


def test_unset_servers_need_the_embedded_stack_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAPE_HOME", str(tmp_path / "home"))
    with pytest.raises(UserError, match="not running; run `tape stack start`"):
        endpoints(load_settings())
    with pytest.raises(UserError, match="not running; run `tape stack start`"):
        librdkafka_config(load_settings())


def test_the_environment_goes_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(
        "TAPE_BROKERS=file.example:1\nTAPE_SASL_USERNAME=filed\nUNRELATED=1\n"
    )
    monkeypatch.setenv("TAPE_BROKERS", "environment.example:1")
    settings = load_settings()
    assert settings.brokers == "environment.example:1"
    assert settings.sasl_username == "filed"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPE_BROKERS", "")
    assert load_settings().brokers is None


def test_legacy_variables_make_a_dsn_whatever_characters_they_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from psycopg.conninfo import conninfo_to_dict

    monkeypatch.setenv("POSTGRES_HOST", "old.example")
    monkeypatch.setenv("POSTGRES_PORT", "5433")
    monkeypatch.setenv("POSTGRES_DB", "my/trades")
    monkeypatch.setenv("POSTGRES_USER", "me@home")
    monkeypatch.setenv("POSTGRES_PASSWORD", "a:b/c@d%e")
    assert conninfo_to_dict(load_settings().database_url() or "") == {
        "host": "old.example",
        "port": "5433",
        "dbname": "my/trades",
        "user": "me@home",
        "password": "a:b/c@d%e",
    }


def test_tape_dsn_goes_before_the_legacy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPE_DSN", "postgresql://new.example/tape")
    monkeypatch.setenv("POSTGRES_HOST", "old.example")
    assert load_settings().database_url() == "postgresql://new.example/tape"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TAPE_BROKERS", "no-port"),
        ("TAPE_BROKERS", "host:99999"),
        ("TAPE_SECURITY_PROTOCOL", "TLS"),
        ("TAPE_SASL_MECHANISM", "MD5"),
        ("TAPE_DSN", "sesame, and no DSN"),
        ("TAPE_SSL_CAFILE", "absent.pem"),
        ("TAPE_KALSHI_REST_URL", "external-api.kalshi.com"),
        ("TAPE_KALSHI_REST_URL", "wss://external-api.kalshi.com"),
        ("TAPE_KALSHI_REST_URL", "https://me:sesame@external-api.kalshi.com"),
        ("TAPE_KALSHI_REST_URL", "https://external-api.kalshi.com/?sesame"),
        ("TAPE_KALSHI_REST_URL", "https://external-api.kalshi.com:port"),
        ("TAPE_KALSHI_REST_URL", "https://external api.kalshi.com"),
        ("TAPE_KALSHI_REST_URL", "https://[::1"),
        ("TAPE_KALSHI_WEBSOCKET_URL", "https://external-api-ws.kalshi.com"),
        ("TAPE_KALSHI_SERIES", "KXBTCD,,KXBTC"),
        ("TAPE_KALSHI_SERIES", "KX BTC"),
        ("TAPE_KALSHI_KEY_FILE", "~nobody-of-that-name/kalshi.pem"),
        ("TAPE_KALSHI_KEY_FILE", "-----BEGIN PRIVATE KEY----- sesame"),
        ("TAPE_KALSHI_KEY_FILE", "MC4CAQAwBQYDK2VwBCIEIsesame" + 36 * "a"),
        ("TAPE_ARCHIVE", "s3://me:sesame@bucket/tape"),
        ("TAPE_ARCHIVE", " "),
        ("TAPE_ARCHIVE", "~nobody-of-that-name/archive"),
        ("POSTGRES_PORT", "many"),
    ],
)
def test_an_invalid_value_is_refused_by_its_variable_s_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=name) as refused:
        load_settings()
    assert "sesame" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("missing", ["MECHANISM", "USERNAME", "PASSWORD"])
def test_sasl_needs_all_its_variables(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv("TAPE_SECURITY_PROTOCOL", "SASL_SSL")
    sasl = {"MECHANISM": "PLAIN", "USERNAME": "me", "PASSWORD": "hush"}
    for part, value in sasl.items():
        if part != missing:
            monkeypatch.setenv(f"TAPE_SASL_{part}", value)
    with pytest.raises(UserError, match=f"TAPE_SASL_{missing} must be set"):
        load_settings()


def test_both_kafka_clients_are_given_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    set_own_servers(monkeypatch)
    monkeypatch.setenv("TAPE_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("TAPE_SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("TAPE_SASL_USERNAME", "me")
    monkeypatch.setenv("TAPE_SASL_PASSWORD", "sesame")
    settings = load_settings()
    options = endpoints(settings).kafka
    assert isinstance(options.pop("ssl_context"), ssl.SSLContext)
    assert options == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "sesame",
    }
    assert librdkafka_config(settings) == {
        "bootstrap.servers": "one.example:9092,two.example:9093",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "me",
        "sasl.password": "sesame",
    }


def test_a_certificate_file_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_own_servers(monkeypatch)
    (tmp_path / "ca.pem").write_text("not a certificate")
    monkeypatch.setenv("TAPE_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("TAPE_SSL_CAFILE", str(tmp_path / "ca.pem"))
    with pytest.raises(UserError, match="TAPE_SSL_CAFILE"):
        endpoints(load_settings())


def test_secrets_do_not_show_in_any_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    set_own_servers(monkeypatch)
    monkeypatch.setenv("TAPE_SASL_PASSWORD", "hush")
    monkeypatch.setenv("POSTGRES_PASSWORD", "hush")
    settings = load_settings()
    monkeypatch.setenv("TAPE_DSN", "hush, and no DSN")
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "hush" not in str(refused.value)
    assert "hush" not in f"{settings!r}{settings}{endpoints(settings)!r}"


def test_kalshi_s_addresses_and_key_are_the_environment_s_unless_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load_settings()
    assert settings.kalshi_rest_url is None
    assert settings.kalshi_websocket_url is None
    assert settings.kalshi_key_id is None
    assert settings.kalshi_key_file is None
    assert settings.kalshi_series == ("KXBTCD",)
    monkeypatch.setenv("TAPE_KALSHI_REST_URL", "http://127.0.0.1:8000/trade-api/v2/")
    monkeypatch.setenv("TAPE_KALSHI_WEBSOCKET_URL", "ws://[::1]:8000/trade-api/ws/v2")
    monkeypatch.setenv("TAPE_KALSHI_SERIES", "KXBTCD, KXBTC15M,KXBTCD")
    settings = load_settings()
    assert settings.kalshi_rest_url == "http://127.0.0.1:8000/trade-api/v2"
    assert settings.kalshi_websocket_url == "ws://[::1]:8000/trade-api/ws/v2"
    assert settings.kalshi_series == ("KXBTCD", "KXBTC15M")


def test_a_key_file_is_found_from_home_and_from_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/trader")
    monkeypatch.setenv("TAPE_KALSHI_KEY_FILE", "~/kalshi.pem")
    assert load_settings().kalshi_key_file == Path("/home/trader/kalshi.pem")
    monkeypatch.setenv("TAPE_KALSHI_KEY_FILE", "keys/kalshi.pem")
    assert load_settings().kalshi_key_file == tmp_path / "keys" / "kalshi.pem"


def test_a_key_s_id_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPE_KALSHI_KEY_ID", "sesame")
    settings = load_settings()
    assert settings.kalshi_key_id is not None
    assert settings.kalshi_key_id.get_secret_value() == "sesame"
    assert "sesame" not in f"{settings!r}{settings}"


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"TAPE_BROKERS=\xff\xfe\n")
    with pytest.raises(UserError, match=r"\.env"):
        load_settings()

"""What the process is told by its environment: `TAPE_*` variables and a `.env` file."""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from streams.errors import UserError

__all__ = ["ENV_FILE", "Endpoints", "Settings", "endpoints", "librdkafka_config"]
__all__ += ["load_settings", "variable"]

ENV_FILE = Path(".env")

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

#: DER in base64, as inside a PEM file: what is pasted where a path belongs.
_KEY_WITHOUT_ARMOUR = re.compile(r"M[A-Za-z0-9+/]{58,}={0,2}")


def _default_home() -> Path:
    if os.geteuid() == 0:
        from streams.embedded.home import SYSTEM_FOLDER

        return SYSTEM_FOLDER
    return Path.home() / ".tickertape"


class Settings(BaseSettings):
    """Every field is the variable `TAPE_<FIELD>`, but for the legacy `POSTGRES_*` ones.

    `brokers` (`host:port,…`) and `dsn` (anything libpq takes) are None where the embedded stack is
    to be used.
    """

    model_config = SettingsConfigDict(
        env_prefix="TAPE_",
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(default_factory=_default_home)

    brokers: str | None = None
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None

    dsn: SecretStr | None = None

    #: The archive: a folder or a URL that fsspec knows; None is a folder of the embedded stack.
    archive: str | None = None

    #: Whose trades a command is about, where it does not say.
    account: str = "kalshi/prod/main/0"

    #: Who decides, as `system.decisions` tells it; None is the user of the operating system.
    operator: str | None = Field(default=None, max_length=200)

    #: Spot symbols to follow, `BTC-USD,ETH-USD`; none means each feed's own.
    symbols: Annotated[tuple[str, ...], NoDecode] = ()
    #: Other WebSocket and REST addresses than the feeds' own, by feed: `coinbase=wss://host`.
    websocket_urls: Annotated[Mapping[str, str], NoDecode] = {}
    rest_urls: Annotated[Mapping[str, str], NoDecode] = {}

    #: The API key: its id, a UUID, and the PEM file of its private key.
    kalshi_key_id: SecretStr | None = None
    kalshi_key_file: Path | None = None
    #: Base addresses; None is that of the account's mode.
    kalshi_rest_url: str | None = None
    kalshi_websocket_url: str | None = None
    #: Series whose markets are followed: `KXBTCD,KXBTC15M`.
    kalshi_series: Annotated[tuple[str, ...], NoDecode] = ("KXBTCD",)

    #: So many dead letters in one partition stop its projection: in a row, or of a thousand.
    dead_letters_in_a_row: int = Field(default=100, gt=0)
    dead_letters_of_last_thousand: int = Field(default=500, gt=0)
    #: Days of history that stay in the tables, by append time; None keeps all.
    history_days: int | None = Field(default=None, gt=0)

    #: From how many seconds on a lag is a warning, and critical.
    lag_warn_s: float = Field(default=5.0, gt=0)
    lag_critical_s: float = Field(default=30.0, gt=0)
    #: Ages in seconds from which a source is stale, by source, venue or topic: `kraken=60`.
    stale_s: Annotated[Mapping[str, float], NoDecode] = {}
    #: Webhooks, which may hold secrets: for alerts, and for a sign of life each minute.
    alert_url: SecretStr | None = None
    dead_man_url: SecretStr | None = None

    #: What people are asked for by `tape console`; needed where others can reach it.
    console_token: SecretStr | None = Field(default=None, min_length=16, max_length=200)

    postgres_host: str | None = Field(default=None, validation_alias="POSTGRES_HOST")
    postgres_port: int = Field(default=5432, validation_alias="POSTGRES_PORT", gt=0, lt=65_536)
    postgres_db: str = Field(default="postgres", validation_alias="POSTGRES_DB")
    postgres_user: str = Field(default="postgres", validation_alias="POSTGRES_USER")
    postgres_password: SecretStr | None = Field(default=None, validation_alias="POSTGRES_PASSWORD")

    @field_validator("home", "kalshi_key_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        try:
            return value and value.expanduser().absolute()
        except RuntimeError as fault:
            raise ValueError(f"{value} names no folder: {fault}") from None

    @field_validator("brokers")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        for address in (value or "").split(",") if value else []:
            host, _, port = address.strip().rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
                raise ValueError("give it as host:port, several with commas between")
        return value

    @field_validator("ssl_cafile", "ssl_certfile", "ssl_keyfile")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError(f"there is no readable file {value}")
        return value

    @field_validator("stale_s", mode="before")
    @classmethod
    def _ages(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = {}
        for one in value.split(","):
            name, _, seconds = one.strip().rpartition("=")
            try:
                found[name] = float(seconds)
            except ValueError:
                found[name] = 0.0
            if not name or not 0 < found[name] < 1e9:
                raise ValueError("give it as kraken=60,coinbase:BTC-USD=20: names and seconds")
        return found

    @field_validator("alert_url", "dead_man_url")
    @classmethod
    def _webhook(cls, value: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(value.get_secret_value()) if value is not None else None
        if parts is not None and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("it is no address of a webhook; give it as https://host/path")
        return value

    @field_validator("dsn")
    @classmethod
    def _connection_string(cls, value: SecretStr | None) -> SecretStr | None:
        # Imported here, like every client library in this module: `tape --help` needs none.
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        try:
            conninfo_to_dict(value.get_secret_value() if value else "")
        except ProgrammingError:  # its text quotes the value, and with it a password
            example = "postgresql://user:password@host:port/database"
            raise ValueError(f"it is no connection string; give it as {example}") from None
        return value

    @field_validator("archive")
    @classmethod
    def _folder_or_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if "://" not in value:
            if not value.strip():
                raise ValueError("give a folder or a URL such as s3://bucket/archive")
            return str(cls._absolute(Path(value)))
        if re.search(r"://[^/]*:[^/]*@", value):
            raise ValueError(
                "it holds a password, which messages would show; give that to the URL's file "
                "system by its own settings"
            )
        return value

    @field_validator("account")
    @classmethod
    def _account(cls, value: str) -> str:
        from streams.events.types import ACCOUNT

        if re.fullmatch(ACCOUNT, value) is None:
            raise ValueError(
                "give it as venue/mode/name/subaccount, such as kalshi/prod/main/0; "
                "mode is prod or demo"
            )
        return value

    @field_validator("websocket_urls", mode="before")
    @classmethod
    def _websocket_addresses(cls, value: object) -> object:
        return _addresses_by_feed(value, "wss", "ws")

    @field_validator("rest_urls", mode="before")
    @classmethod
    def _rest_addresses(cls, value: object) -> object:
        return _addresses_by_feed(value, "https", "http")

    @field_validator("kalshi_key_file", mode="before")
    @classmethod
    def _path_of_key(cls, value: object) -> object:
        # An error would show the path: so a key in its place is refused before it becomes one.
        text = str(value)
        if "-----" in text or "\n" in text or _KEY_WITHOUT_ARMOUR.fullmatch(text):
            raise ValueError("it holds a key; give the path of the file that holds the key")
        return value

    @field_validator("kalshi_rest_url")
    @classmethod
    def _rest_address(cls, value: str | None) -> str | None:
        return value and _base_address(value, "https", "http")

    @field_validator("kalshi_websocket_url")
    @classmethod
    def _websocket_address(cls, value: str | None) -> str | None:
        return value and _base_address(value, "wss", "ws")

    @field_validator("symbols", mode="before")
    @classmethod
    def _list_of_symbols(cls, value: object) -> object:
        from streams.events.types import SYMBOL

        return _names(value, SYMBOL, "BTC-USD")

    @field_validator("kalshi_series", mode="before")
    @classmethod
    def _list_of_series(cls, value: object) -> object:
        from streams.events.types import TICKER

        return _names(value, TICKER, "KXBTCD")

    @model_validator(mode="after")
    def _complete(self) -> "Settings":
        if self.security_protocol.startswith("SASL"):
            for name in ("sasl_mechanism", "sasl_username", "sasl_password"):
                if getattr(self, name) is None:
                    raise ValueError(
                        f"{variable(name)} must be set, because TAPE_SECURITY_PROTOCOL is "
                        f"{self.security_protocol}"
                    )
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("TAPE_SSL_CERTFILE must be set, because TAPE_SSL_KEYFILE is")
        if self.postgres_host is not None and self.dsn is None and self.postgres_password is None:
            raise ValueError("POSTGRES_PASSWORD must be set, because POSTGRES_HOST is")
        return self

    def archive_location(self) -> str | None:
        """The folder or URL of the archive: with the embedded broker, one in its state folder."""
        if self.archive is None and self.brokers is None:
            return str(self.home / "archive")
        return self.archive

    def database_url(self) -> str | None:
        """The DSN in force, from `TAPE_DSN`, else from `POSTGRES_*`; None means embedded."""
        if self.dsn is not None:
            return self.dsn.get_secret_value()
        if self.postgres_host is None:
            return None
        host = self.postgres_host
        host = f"[{host}]" if ":" in host else quote(host, safe="")
        password = self.postgres_password.get_secret_value() if self.postgres_password else ""
        login = f"{quote(self.postgres_user, safe='')}:{quote(password, safe='')}"
        return (
            f"postgresql://{login}@{host}:{self.postgres_port}/{quote(self.postgres_db, safe='')}"
        )


@dataclass(frozen=True)
class Endpoints:
    """Where the broker and the database are.

    `brokers` is `host:port,…`; `kafka` holds the further keyword arguments of aiokafka's clients;
    `dsn` is anything libpq takes, and holds the password. `archive` is the folder or URL of the
    archive of that broker's topics, whether there is one or not; None where none is set.
    """

    brokers: str
    kafka: dict[str, Any] = field(repr=False)
    dsn: str = field(repr=False)
    embedded_broker: bool
    embedded_database: bool
    archive: str | None = None


def load_settings(**given: Any) -> Settings:
    """The settings in force; what is given goes before the environment.

    Raises:
        UserError: a value is invalid; names its variable, never its secret.
    """
    try:
        return Settings(**given)  # model_validate would wrap the faults of the file
    except ValidationError as fault:
        raise UserError("\n".join(_explain(error) for error in fault.errors())) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"the file {ENV_FILE.absolute()} cannot be read: {fault}") from None


def endpoints(
    settings: Settings, *, with_kafka: bool = True, with_postgres: bool = True
) -> Endpoints:
    """Where to connect; what is not set is the running embedded stack's.

    An address that the caller does without stays empty where it is not set.

    Raises:
        UserError: the embedded stack is needed and not running, or a TLS file is unusable.
    """
    from streams.embedded import stack

    brokers, dsn = settings.brokers, settings.database_url()
    embedded_broker, embedded_database = brokers is None, dsn is None
    if brokers is None:
        brokers = stack.running(settings.home, with_postgres=False).brokers if with_kafka else ""
    if dsn is None:
        dsn = stack.running(settings.home, with_kafka=False).dsn if with_postgres else ""
    kafka = {} if embedded_broker else _aiokafka_options(settings)
    archive = settings.archive_location()
    return Endpoints(brokers, kafka, dsn, embedded_broker, embedded_database, archive)


def librdkafka_config(settings: Settings) -> dict[str, str]:
    """The configuration of confluent_kafka's clients; it may hold a password.

    Raises:
        UserError: the embedded broker is needed and not running.
    """
    if settings.brokers is None:
        from streams.embedded import stack

        info = stack.running(settings.home, with_postgres=False)
        return {"bootstrap.servers": info.brokers}
    values = {
        "bootstrap.servers": settings.brokers,
        "security.protocol": settings.security_protocol.lower(),
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": _revealed(settings.sasl_password),
        "ssl.ca.location": settings.ssl_cafile,
        "ssl.certificate.location": settings.ssl_certfile,
        "ssl.key.location": settings.ssl_keyfile,
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def variable(name: str) -> str:
    """The environment variable of the field `name`."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else f"TAPE_{name.upper()}"


def _aiokafka_options(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if settings.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = _revealed(settings.sasl_password)
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    return options


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
        if settings.ssl_certfile is not None:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
    except (OSError, ssl.SSLError) as fault:
        raise UserError(
            f"the files of TAPE_SSL_CAFILE, TAPE_SSL_CERTFILE and TAPE_SSL_KEYFILE cannot be "
            f"used: {fault}; they must be in PEM format"
        ) from None
    return context


def _names(value: object, pattern: str, example: str) -> object:
    """Names with commas between, each once."""
    if not isinstance(value, str):
        return value
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    for name in names:
        if re.fullmatch(pattern, name) is None:
            raise ValueError(f"give it as {example}, several with commas between")
    return names


def _addresses_by_feed(value: object, secure: str, plain: str) -> object:
    """`coinbase=wss://host,kraken=wss://other` as a mapping."""
    if not isinstance(value, str):
        return value
    found: dict[str, str] = {}
    for one in value.split(","):
        feed, is_given, address = one.strip().partition("=")
        if not is_given or not feed:
            raise ValueError(f"give it as feed={secure}://host, several with commas between")
        found[feed] = _base_address(address, secure, plain)
    return found


def _base_address(value: str, secure: str, plain: str) -> str:
    """The address without a slash at its end. Its text is in no error: it may hold a password."""
    example = f"{secure}://host/path"
    try:
        parts = urlsplit(value)
        complete = parts.scheme in (secure, plain) and parts.hostname and parts.port != 0
    except ValueError:
        complete = False
    if not complete or re.fullmatch(r"[!-~]+", value) is None:
        raise ValueError(f"it is no such address; give it as {example}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"it holds a login, which is not used; give it as {example}")
    if parts.query or parts.fragment:
        raise ValueError(f"it holds more than host and path; give it as {example}")
    return value.rstrip("/")


def _revealed(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _explain(error: Any) -> str:
    """One of pydantic's errors as a sentence; its `input` is left out, as it may be a secret."""
    message = str(error["msg"]).removeprefix("Value error, ")
    place = str(error["loc"][0]) if error["loc"] else ""
    if not place:
        return message
    name = variable(place) if place in Settings.model_fields else place
    return f"{name} is invalid: {message}"

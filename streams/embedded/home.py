"""The state folder (`TAPE_HOME`): its layout, its remembered ports, its lock."""

import fcntl
import hashlib
import json
import os
import random
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from streams.errors import UserError

__all__ = [
    "LEAST_FREE_BYTES",
    "MARK",
    "SYSTEM_FOLDER",
    "Home",
    "check_port",
    "check_space",
    "exclusive",
]
__all__ += ["make_private", "open_home", "read_home"]

SYSTEM_FOLDER = Path("/var/lib/tickertape")
"""Root's default home; as root, PostgreSQL's binaries and data always lie below it."""

LEAST_FREE_BYTES = 300_000_000

MARK = "tickertape.home="

_LOOPBACK = "127.0.0.1"
# Below the range from which systems hand out ports to outgoing connections, so that a remembered
# port is not taken by chance while the stack is down.
_PORT_RANGE = range(10_000, 32_000)


@dataclass(frozen=True)
class Remembered:
    """What the settings file keeps: TCP ports on loopback, and the Kafka cluster's id."""

    kafka_port: int
    controller_port: int
    postgres_port: int
    cluster_id: str


@dataclass(frozen=True)
class Home:
    """A state folder that exists, with what it remembers.

    `path` is absolute. `postgres_folder` lies within it, except for root, whose PostgreSQL must run
    as another user who may be unable to enter the home.
    """

    path: Path
    remembered: Remembered

    @property
    def settings_file(self) -> Path:
        return self.path / "settings.json"

    @property
    def password_file(self) -> Path:
        return self.path / "postgres.password"

    @property
    def kafka_folder(self) -> Path:
        return self.path / "kafka"

    @property
    def kafka_log(self) -> Path:
        return self.path / "logs" / "kafka.log"

    @property
    def postgres_folder(self) -> Path:
        if os.geteuid() != 0:
            return self.path / "postgres"
        return SYSTEM_FOLDER / f"postgres-{_digest(os.fsencode(self.path))}"

    @property
    def postgres_data(self) -> Path:
        # Named by the home's own id: where a home was removed and made anew, its old database is
        # not taken for the new one's.
        return self.postgres_folder / f"data-{_digest(self.remembered.cluster_id.encode())}"

    @property
    def postgres_log(self) -> Path:
        return self.path / "logs" / "postgres.log"

    @property
    def mark(self) -> str:
        """A setting, in the command line of both daemons, that tells them from all others."""
        return f"{MARK}{self.remembered.cluster_id}:{self.path}"

    @property
    def brokers(self) -> str:
        """Kafka's `host:port`."""
        return f"{_LOOPBACK}:{self.remembered.kafka_port}"

    def password(self) -> str:
        """PostgreSQL's password.

        Raises:
            UserError: the password file is missing or cannot be read.
        """
        try:
            return self.password_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise UserError(
                f"the database's password file {self.password_file} cannot be read ({fault}); "
                "put it back, or move the whole state folder away to begin with an empty one"
            ) from None

    def dsn(self, database: str = "tickertape") -> str:
        """The URL of `database`; it holds the password.

        Raises:
            UserError: the password file is missing or cannot be read.
        """
        address = f"{_LOOPBACK}:{self.remembered.postgres_port}"
        return f"postgresql://tape:{self.password()}@{address}/{database}"


def open_home(path: Path) -> Home:
    """The state folder at `path`, made with free ports and a password if it is not there yet.

    Call it under `exclusive(path)`.

    Raises:
        UserError: the folder cannot be written, or its settings file is garbled.
    """
    home = read_home(path)
    if home is None:
        kafka_port, controller_port, postgres_port = _free_ports(3)
        # Kafka's ids are 16 bytes in URL-safe base64; a leading "-" would read as an option.
        cluster_id = "T" + secrets.token_urlsafe(16)[1:]
        remembered = Remembered(kafka_port, controller_port, postgres_port, cluster_id)
        home = Home(_absolute(path), remembered)
        with _faults_of(home.path):
            # The settings come last: with them, the home is whole.
            _write_private(home.password_file, secrets.token_urlsafe(24) + "\n")
            _write_private(home.settings_file, json.dumps(asdict(home.remembered), indent=2) + "\n")
    with _faults_of(home.path):
        make_private(home.kafka_folder)
        make_private(home.kafka_log.parent)
    return home


def read_home(path: Path) -> Home | None:
    """The state folder at `path`, or None where none was made.

    Raises:
        UserError: its settings file cannot be read or is garbled.
    """
    path = _absolute(path)
    file = path / "settings.json"
    try:
        remembered = _parse(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise UserError(f"cannot read {file}: {fault.strerror}; check its permissions") from None
    except ValueError as fault:
        raise UserError(
            f"the state folder's settings file {file} is garbled ({fault}); put back its three "
            "ports and the cluster_id, or move the whole state folder away to begin anew"
        ) from None
    return Home(path, remembered)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds the state folder's lock, making the folder if need be; waits for another holder.

    Raises:
        UserError: the folder cannot be made or written.
    """
    path = _absolute(path)
    with _faults_of(path):
        # Root's default home is entered by PostgreSQL's user too; all that is secret in it is in
        # files and folders that are themselves private.
        make_private(path, mode=0o711 if path == SYSTEM_FOLDER else 0o700)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_private(folder: Path, mode: int = 0o700) -> None:
    """Makes `folder` with `mode` whatever the umask; a folder that exists keeps its permissions."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=mode)
    except FileExistsError:
        return
    folder.chmod(mode)


def check_space(folder: Path) -> None:
    """Refuses a disk on which a database or a broker would soon stop in the middle of a write.

    Raises:
        UserError: fewer than `LEAST_FREE_BYTES` are free where `folder` lies.
    """
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise UserError(
            f"the disk that holds {folder} is full: {free // 1_000_000} MB are free, at least "
            f"{LEAST_FREE_BYTES // 1_000_000} MB are needed; free some, or set TAPE_HOME to a "
            "folder on another disk"
        )


def check_port(home: Home, name: str) -> None:
    """Makes sure that a component can listen on its remembered port; `name` as in the file.

    Raises:
        UserError: another program listens there.
    """
    port: int = getattr(home.remembered, name)
    if not _is_free(port):
        raise UserError(
            f"port {port} on {_LOOPBACK} is taken by another program; stop that program, or put "
            f'another port as "{name}" into {home.settings_file} while the stack is stopped'
        )


def _absolute(path: Path) -> Path:
    return path.expanduser().absolute()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _parse(text: bytes) -> Remembered:
    """Raises ValueError, saying what is wrong."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - of one kind with json's own
    for field in fields(Remembered):
        value = values.get(field.name)
        if type(value) is not field.type:
            raise ValueError(f"{field.name} is missing or of the wrong type")
        if isinstance(value, int) and not 0 < value < 65_536:
            raise ValueError(f"{field.name} is not a port: {value}")
    return Remembered(**{field.name: values[field.name] for field in fields(Remembered)})


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals to write into a UserError."""
    try:
        yield
    except OSError as fault:
        raise UserError(
            f"the state folder {path} cannot be written ({fault.strerror}: {fault.filename}); "
            "check its permissions and its disk, or set TAPE_HOME to another folder"
        ) from None


def _write_private(file: Path, text: str) -> None:
    """Writes all or nothing, readable by its owner alone."""
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)


def _free_ports(count: int) -> list[int]:
    candidates = random.SystemRandom().sample(_PORT_RANGE, 200)
    free = [port for port in candidates if _is_free(port)][:count]
    if len(free) < count:
        raise UserError("no free ports were found between 10000 and 32000; stop some programs")
    return free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
    return True

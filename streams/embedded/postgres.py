"""PostgreSQL 18 on loopback: scram passwords only, and no socket file."""

import logging
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from streams.embedded import daemon
from streams.embedded.binaries import account, folder_for_server, programs
from streams.embedded.daemon import Stopped
from streams.embedded.home import Home, check_port
from streams.errors import UserError

__all__ = ["DATABASE", "is_usable", "pid", "start", "stop"]

_log = logging.getLogger(__name__)

DATABASE = "tickertape"

_MAJOR_VERSION = "18"
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 30.0

# In a file of its own, below what `alter system set` writes, so that it can be overruled.
_CONFIGURATION = """\
# Written at every start; overrule it by `alter system set`.
shared_buffers = '256MB'
max_wal_size = '4GB'
fsync = on
full_page_writes = on
synchronous_commit = on
max_connections = 100
track_commit_timestamp = on
timezone = 'UTC'
log_timezone = 'UTC'
"""


def start(home: Home) -> int:
    """Starts the server, or adopts the one that runs; gives its pid once the database answers.

    Raises:
        UserError: no binaries, a taken port, a damaged data folder, or a server that does not
            come up.
    """
    running = pid(home)
    if running is None:
        running = _launch(home)
    daemon.wait_until_usable(
        "PostgreSQL", running, home.postgres_log, lambda: _answers(home), _START_DEADLINE_S
    )
    _ensure_database(home)
    return running


def stop(home: Home, deadline_s: float = _STOP_DEADLINE_S) -> Stopped:
    """Stops the server (fast shutdown: open transactions are rolled back), by SIGKILL in the end.

    Raises:
        UserError: the server belongs to another user.
    """
    running = pid(home)
    if running is None:
        return Stopped.NOT_RUNNING
    return daemon.stop(running, signal.SIGINT, deadline_s)


def pid(home: Home) -> int | None:
    """The pid of the living server of this home, or None."""
    try:
        text = (home.postgres_data / "postmaster.pid").read_text(encoding="utf-8")
        remembered = int(text.split("\n", 1)[0])
    except (OSError, ValueError):
        remembered = None
    if remembered is not None and daemon.ours(remembered, home.mark):
        return remembered
    # Its starter may have been killed before the server wrote the file.
    return next(iter(daemon.find(home.mark.__eq__)), None)


def is_usable(home: Home) -> bool:
    """Whether the database `tickertape` answers a query."""
    return _answers(home, DATABASE)


def _answers(home: Home, database: str = "postgres") -> bool:
    import psycopg

    try:
        with psycopg.connect(home.dsn(database), connect_timeout=2) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError as fault:
        if "password authentication failed" in str(fault):
            raise UserError(
                f"the database refuses the password in {home.password_file}; put back the one "
                f"that {home.postgres_data} was made with"
            ) from None
        return False


def _launch(home: Home) -> int:
    folder = folder_for_server(home)
    server = programs(home)
    data = home.postgres_data
    if data.exists():
        _check_data(data)
        _clear_remains(data)
    else:
        _initialise(home, server, folder)
    check_port(home, "postgres_port")
    configuration = data / "tickertape.conf"
    configuration.write_text(_CONFIGURATION, encoding="ascii")
    configuration.chmod(0o644)  # the server's user reads it; the folder itself is private
    command: list[str | Path] = [server / "postgres", "-D", data]
    command += ["-c", f"port={home.remembered.postgres_port}"]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    command += ["-c", home.mark]
    return daemon.launch(
        command, cwd=data, log=home.postgres_log, user=account(), environment=_environment()
    )


def _initialise(home: Home, server: Path, folder: Path) -> None:
    """Makes the data folder, under another name until it is whole: a kill leaves no half."""
    for older in folder.glob("data-*"):
        _log.warning("the database of a state folder that is gone is left in %s", older)
    draft, password = folder / "data.new", folder / "password.new"
    shutil.rmtree(draft, ignore_errors=True)
    password.unlink(missing_ok=True)
    descriptor = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(home.password() + "\n")
    draft.mkdir(mode=0o700)
    user = account()
    if user is not None:
        os.chown(draft, *user)
        os.chown(password, *user)
    uid, gid = user or (None, None)
    command: list[str | Path] = [server / "initdb", "-D", draft, "--username=tape"]
    command += [f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(
        command,
        cwd=draft,
        env=_environment(),
        capture_output=True,
        text=True,
        user=uid,
        group=gid,
        extra_groups=[] if user else None,
        check=False,
    )
    password.unlink()
    if done.returncode != 0:
        raise UserError(f"making the database's folder {draft} failed: {done.stderr.strip()}")
    with (draft / "postgresql.conf").open("a", encoding="ascii") as stream:
        stream.write("\ninclude = 'tickertape.conf'\n")
    draft.rename(home.postgres_data)


def _check_data(data: Path) -> None:
    remedy = (
        f"put the right folder back, or move {data} away to begin with an empty database "
        "(tables can be rebuilt from the topics; decisions and dead letters cannot)"
    )
    try:
        found = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        damaged = not (data / "global" / "pg_control").is_file()
    except (OSError, UnicodeDecodeError):
        found, damaged = "", True
    if damaged:
        raise UserError(f"the database's folder {data} is damaged or incomplete; {remedy}")
    if found != _MAJOR_VERSION:
        raise UserError(
            f"the database's folder {data} was made by PostgreSQL {found}, "
            f"this is {_MAJOR_VERSION}; {remedy}"
        )


def _clear_remains(data: Path) -> None:
    """Clears what a killed server left: children still at work, a pid now another program's."""
    children = [process for process in psutil.process_iter() if _works_in(process, data)]
    _, stubborn = psutil.wait_procs(children, timeout=5)
    for child in stubborn:
        child.kill()
    psutil.wait_procs(stubborn, timeout=5)
    # Only now, without children that may still write, is it safe to take the lock file away.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return bool(process.cwd() == str(data))
    except (psutil.Error, OSError):
        return False


def _ensure_database(home: Home) -> None:
    """Made after the server is up, at each start, because a kill may have come between."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(home.dsn("postgres"), autocommit=True) as connection:
        query = "select 1 from pg_database where datname = %s"
        if connection.execute(query, [DATABASE]).fetchone() is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def _environment() -> dict[str, str]:
    """Without the caller's PG* variables, which the server and initdb would heed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

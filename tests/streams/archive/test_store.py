"""Where an archive lies: the place in force, and faults of the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.archive.store import LocalFolder, archive_location, open_store
from streams.errors import UserError
from streams.settings import load_settings
from tests.streams.archive.keeping import memory


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TAPE_BROKERS", "TAPE_ARCHIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_embedded_stack_has_its_archive_in_its_home(tmp_path: Path) -> None:
    assert archive_location(load_settings(home=tmp_path)) == str(tmp_path / "archive")
    with pytest.raises(UserError, match="TAPE_ARCHIVE is not set"):
        archive_location(load_settings(brokers="broker.example:9092"))


def test_the_setting_goes_before_that_and_an_option_before_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAPE_ARCHIVE", "s3://bucket/tape")
    assert archive_location(load_settings()) == "s3://bucket/tape"
    assert archive_location(load_settings(archive="mine")) == str(tmp_path / "mine")


@pytest.mark.parametrize("remote", [False, True])
def test_a_file_is_made_replaced_and_named(tmp_path: Path, remote: bool) -> None:
    store = open_store(memory() if remote else str(tmp_path / "archive"))
    assert (store.read("a/b/c"), store.names()) == (None, [])
    for data in (b"one", b""):
        store.write("a/b/c", data)
        assert (store.read("a/b/c"), store.names()) == (data, ["a/b/c"])


def test_a_url_of_a_local_folder_is_that_folder(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/archive")
    assert isinstance(store, LocalFolder)
    store.write("a", b"one")
    assert (tmp_path / "archive" / "a").read_bytes() == b"one"


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = open_store(str(tmp_path / "file"))
    with pytest.raises(UserError, match=rf"{tmp_path}/file/a cannot be written: File exists"):
        store.write("a", b"")
    with pytest.raises(UserError, match=rf"{tmp_path}/file/a cannot be read: Not a directory"):
        store.read("a")
    with (
        pytest.raises(UserError, match=r"/file/\.lock cannot be written: File exists"),
        store.exclusive(),
    ):
        pass

"""A damaged archive: the file is named, with what to do, and nothing of it is taken."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from projections.base import Partition
from streams.archive.manifest import manifest_name
from streams.archive.reader import Archive
from streams.archive.store import open_store
from streams.archive.verify import Verified, archived_topics, verify
from streams.errors import UserError
from tests.streams.archive.keeping import PLACE, TOPIC, keep, logged, memory, plain


def spoil(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit": (lambda path: spoil(path, 100), "has the SHA-256 "),
    "one bit at the end": (lambda path: spoil(path, -1), "has the SHA-256 "),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:-10]), r"has [\d,]+ bytes inst"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 bytes instead of"),
    "gone": (Path.unlink, "is missing"),
}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The files of an archive of three segments: two of partition 0, one of partition 1."""
    keep(str(tmp_path), logged(0, 10), logged(10, 20))
    keep(str(tmp_path), logged(0, 5), partition=1)
    return sorted((tmp_path / TOPIC).rglob("*.parquet"))


def verified(location: Path | str) -> Verified:
    found, store = Verified(), open_store(str(location))
    verify(store, archived_topics(store), found)
    return found


def test_a_whole_archive_is_verified(tmp_path: Path, files: list[Path]) -> None:
    found = verified(tmp_path)
    assert (found.faults, found.unnamed) == ([], [])
    assert (found.topics, found.files, found.records) == (1, 3, 25)
    assert found.bytes == sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_the_others_are_read(
    tmp_path: Path, files: list[Path], damage: str
) -> None:
    spoiling, told = DAMAGES[damage]
    spoiling(files[1])
    archive = Archive(str(tmp_path))
    reading = archive.read(PLACE, 0)
    assert plain(next(reading)) == plain(logged(0, 10))
    where = rf"{files[1]} {told}.*offsets 10 to 19 cannot be read.*a copy of the archive"
    with pytest.raises(UserError, match=where):
        next(reading)
    other = archive.read(Partition(TOPIC, 1), 0)
    assert plain(list(chain.from_iterable(other))) == plain(logged(0, 5))

    found = verified(tmp_path)
    assert (found.files, found.records) == (2, 15)
    (fault,) = found.faults
    assert str(files[1]) in fault


def test_another_file_in_its_place_is_no_substitute(tmp_path: Path, files: list[Path]) -> None:
    files[1].write_bytes(files[0].read_bytes())
    with pytest.raises(UserError, match=str(files[1])):
        list(Archive(str(tmp_path)).read(PLACE, 0))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', "\xff"])
def test_a_damaged_manifest_is_named_and_no_file_is_touched(
    tmp_path: Path, files: list[Path], text: str
) -> None:
    manifest = tmp_path / manifest_name(TOPIC)
    manifest.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=rf"{manifest} is damaged .*a copy of the archive"):
        Archive(str(tmp_path)).bounds(PLACE)
    (fault,) = verified(tmp_path).faults
    assert str(manifest) in fault
    assert all(path.exists() for path in files)


def test_the_manifest_of_another_topic_is_refused(tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / TOPIC).rename(tmp_path / "other")
    with pytest.raises(UserError, match=r"other/manifest.json is damaged .*the topic price\.ticks"):
        Archive(str(tmp_path)).bounds(Partition("other", 0))


def test_a_file_that_no_manifest_names_is_told_and_harmless(
    tmp_path: Path, files: list[Path]
) -> None:
    (files[0].parent / "left.parquet").write_bytes(b"half")
    found = verified(tmp_path)
    assert (found.faults, found.unnamed) == ([], [f"{TOPIC}/0/left.parquet"])


def test_an_archive_at_a_url_is_verified_alike() -> None:
    location = memory()
    store = keep(location, logged(0, 10))
    assert verified(location).records == 10
    (name,) = (name for name in store.names() if name.endswith(".parquet"))
    store.write(name, b"else")
    (fault,) = verified(location).faults
    assert f"{location}/{name} has 4 bytes" in fault
    with pytest.raises(UserError, match="has 4 bytes"):
        list(Archive(location).read(PLACE, 0))


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(UserError, match="nosuch://place cannot be used.*fsspec"):
        open_store("nosuch://place")

"""The state folder keeps its secrets private and its ports for good."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from streams.embedded.home import check_port, check_space, exclusive, open_home, read_home
from streams.errors import UserError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make(path: Path) -> None:
    with exclusive(path):
        open_home(path)


def test_a_home_is_open_to_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make(tmp_path / "home")
    finally:
        os.umask(before)
    assert mode(tmp_path / "home") == 0o700
    assert mode(tmp_path / "home" / "postgres.password") == 0o600
    assert mode(tmp_path / "home" / "settings.json") == 0o600


def test_a_folder_that_exists_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o750)
    make(tmp_path / "home")
    assert mode(tmp_path / "home") == 0o750


def test_ports_and_password_are_remembered(tmp_path: Path) -> None:
    make(tmp_path)
    first = read_home(tmp_path)
    make(tmp_path)
    second = read_home(tmp_path)
    assert first is not None
    assert second is not None
    assert first == second
    assert first.dsn() == second.dsn()


def test_two_homes_do_not_share_a_port(tmp_path: Path) -> None:
    ports = []
    for name in ("one", "two"):
        make(tmp_path / name)
        home = read_home(tmp_path / name)
        assert home is not None
        kept = home.remembered
        ports += [kept.kafka_port, kept.controller_port, kept.postgres_port]
    assert len(set(ports)) == 6


def test_no_home_was_made_is_not_an_error(tmp_path: Path) -> None:
    assert read_home(tmp_path / "absent") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        b"\xff\xfe",
        '{"kafka_port": "1", "controller_port": 2, "postgres_port": 3, "cluster_id": "x"}',
        '{"kafka_port": true, "controller_port": 2, "postgres_port": 3, "cluster_id": "x"}',
        '{"kafka_port": 70000, "controller_port": 2, "postgres_port": 3, "cluster_id": "x"}',
    ],
)
def test_a_garbled_settings_file_is_named(tmp_path: Path, text: str | bytes) -> None:
    make(tmp_path)
    (tmp_path / "settings.json").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=r"settings\.json is garbled"):
        make(tmp_path)


def test_a_lost_password_is_named_and_not_made_anew(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "postgres.password").unlink()
    make(tmp_path)
    home = read_home(tmp_path)
    assert home is not None
    with pytest.raises(UserError, match=r"postgres\.password cannot be read"):
        home.dsn()


def test_a_home_killed_while_it_was_made_is_made_anew(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "settings.json").rename(tmp_path / "settings.json.new")
    make(tmp_path)
    assert json.loads((tmp_path / "settings.json").read_bytes())["cluster_id"]


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written.*set TAPE_HOME to another folder"):
        make(tmp_path / "file" / "home")


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 299_000_000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(UserError, match="is full: 299 MB are free, at least 300 MB are needed"):
        check_space(tmp_path)


@pytest.mark.parametrize("name", ["kafka_port", "controller_port", "postgres_port"])
def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path, name: str) -> None:
    make(tmp_path)
    home = read_home(tmp_path)
    assert home is not None
    port = getattr(home.remembered, name)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(UserError, match=f'port {port} .*"{name}" into .*settings.json'),
    ):
        check_port(home, name)
    check_port(home, name)

"""Recordings keep frames as they came, and are read whatever their format, even cut off."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from streams.connectors.base import Frame
from streams.errors import UserError
from streams.recording import Recording, RecordingWriter, read

T = 1_700_000_000_000_000
FRAMES = [
    Frame(T, "coinbase", "c1", b'{"type":"subscriptions"}'),
    Frame(T + 1, "binance", "c2", b"\xff\x00 not text"),
    Frame(T + 2, "coinbase", "c1", 'line\nbreak, "quotes", ü'.encode()),
    Frame(T + 3, "simulated", "c3", b""),
]


def written(path: Path, frames: list[Frame]) -> Path:
    with RecordingWriter(path) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    recording = Recording(written(tmp_path / "r", FRAMES))
    assert list(recording) == FRAMES
    assert not recording.truncated
    assert recording.position == (tmp_path / "r").stat().st_size


@given(data=st.lists(st.binary(max_size=50), max_size=20))
def test_any_bytes_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: list[bytes]
) -> None:
    frames = [Frame(T + n, "coinbase", "c", one) for n, one in enumerate(data)]
    path = written(tmp_path_factory.mktemp("any") / "r", [*FRAMES, *frames])
    assert list(read(path)) == [*FRAMES, *frames]


def test_a_recording_of_nothing_holds_no_frames(tmp_path: Path) -> None:
    recording = Recording(written(tmp_path / "r", []))
    assert list(recording) == []
    assert not recording.truncated


def test_it_is_json_lines_that_zstd_reads(tmp_path: Path) -> None:
    data = written(tmp_path / "r", FRAMES).read_bytes()
    lines = zstandard.ZstdDecompressor().stream_reader(data).read().splitlines()
    assert json.loads(lines[0]) == {
        "t": T,
        "feed": "coinbase",
        "connection": "c1",
        "frame": '{"type":"subscriptions"}',
    }
    assert json.loads(lines[1])["frame64"] == "/wAgbm90IHRleHQ="


def test_two_recordings_in_one_file_are_both_read(tmp_path: Path) -> None:
    first, second = written(tmp_path / "a", FRAMES[:2]), written(tmp_path / "b", FRAMES[2:])
    both = tmp_path / "both"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    assert list(read(both)) == FRAMES


@pytest.mark.parametrize("lost", [1, 5, 40, 100])
def test_a_cut_off_file_is_read_to_its_last_complete_line(tmp_path: Path, lost: int) -> None:
    # A second apart: each is flushed as a block of its own.
    frames = [Frame(T + n * 1_000_000, "coinbase", "c", b"frame %d" % n) for n in range(50)]
    path = written(tmp_path / "r", frames)
    path.write_bytes(path.read_bytes()[:-lost])
    recording = Recording(path)
    found = list(recording)
    assert recording.truncated
    assert found == frames[: len(found)]
    assert len(found) >= 50 - lost


def test_a_line_that_was_cut_in_two_is_left_out(tmp_path: Path) -> None:
    # Noise of several blocks of zstd's 128 KiB.
    frames = [Frame(T + n, "coinbase", "c", Random(n).randbytes(300_000)) for n in range(2)]
    path = written(tmp_path / "r", frames)
    path.write_bytes(path.read_bytes()[:-1000])
    recording = Recording(path)
    assert list(recording) == frames[:1]
    assert recording.truncated


def test_a_killed_recorder_has_written_all_but_the_last_half_second(tmp_path: Path) -> None:
    path = tmp_path / "r"
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from streams.connectors.base import Frame\n"
        "from streams.recording import RecordingWriter\n"
        "writer = RecordingWriter(Path(sys.argv[1]))\n"
        f"for n in range(1000): writer.write(Frame({T} + n * 10_000, 'coinbase', 'c', b'%d' % n))\n"
        "print('written', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE
    ) as recorder:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == b"written\n"
        os.kill(recorder.pid, signal.SIGKILL)
    recording = Recording(path)
    assert len(list(recording)) >= 950
    assert recording.truncated


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path / "r", FRAMES)
    with pytest.raises(UserError, match="exists already"):
        RecordingWriter(path)
    assert list(read(path)) == FRAMES


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with limited_file_size(100), pytest.raises(UserError, match=f"cannot write {path}"):
        written(path, [Frame(T + n * 1_000_000, "coinbase", "c", b"%d" % n) for n in range(100)])


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Writing a file beyond `size` bytes fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


CRYPTOFEED = """\
wss://ws-feed.pro.coinbase.com <-> 1618677816.8434298
wss://ws-feed.pro.coinbase.com <- 1618677817.020616: {"type":"subscribe"}
1618677817.0618958: {"a":": b"}

wss://stream.binance.com:9443/stream?streams=x@depth@100ms <-> 1618677818.5
1618677819: {}
"""


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_cryptofeed_files_are_known_by_content(tmp_path: Path, compress: object) -> None:
    path = tmp_path / "r"
    assert callable(compress)
    path.write_bytes(compress(CRYPTOFEED.encode()))
    first, second = read(path)
    assert (first.received, first.feed, first.data) == (
        1_618_677_817_061_895,
        "coinbase",
        b'{"a":": b"}',
    )
    assert (second.received, second.feed) == (1_618_677_819_000_000, "binance")
    assert first.connection != second.connection


def test_hftbacktest_files_are_known_by_content(tmp_path: Path) -> None:
    path = tmp_path / "r"
    path.write_bytes(gzip.compress(b'1723161253937085768 {"stream":"x"}\n'))
    [frame] = read(path)
    assert (frame.received, frame.feed, frame.data) == (
        1_723_161_253_937_085,
        "binance",
        b'{"stream":"x"}',
    )


def test_connections_of_a_file_do_not_depend_on_its_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(CRYPTOFEED)
    assert list(read(tmp_path / "a")) == list(read(tmp_path / "b"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"date,price\n1,2\n", "is no recording"),
        (b"\x00" * 100, "is no recording"),
        (b"\x1f\x8b\x08garbage", "damaged"),
        (b"wss://ws.kraken.com <-> 1618678132.3\n", "line 1: no connector reads ws.kraken.com"),
        (CRYPTOFEED.encode() + b"garbage\n", "line 7: "),
        (b"1723161253937085768 {}\n1723161253937085768 {}\noops {}\n", "line 3: "),
        (b"1231006505000000000000 {}\n", "is no recording"),
        (b"1000000000000000000 {}\n", "line 1: the receive time is out of range"),
        (b'{"t":1}\n', "line 1: "),
        (b'{"t":1,', "line 1: "),
        (b'{"t":%d,"venue":"mtgox","connection":"c","frame":""}\n' % T, "'mtgox'; known are"),
        (b'{"t":%d,"venue":"coinbase","connection":"","frame":""}\n' % T, "connection"),
        (b'{"t":%d,"venue":"coinbase","connection":"c","frame64":"?"}\n' % T, "line 1: "),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "r"
    path.write_bytes(content)
    with pytest.raises(UserError, match=complaint) as caught:
        list(read(path))
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="cannot read"):
            list(read(path))

"""A replay sends what the recording holds, the same each time, at the pace that was asked for."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from streams.connectors.base import Frame
from streams.errors import UserError
from streams.events import EncodedEvent, Event, PriceGap, PriceTrade, PriceUnparsed, decode, encode
from streams.recording import RecordingWriter, read
from streams.replay import Summary, parse_speed, parsed, replay

T = 1_700_000_000_000_000


class ListSink(list[Event]):
    async def send(self, event: Event, trace: str | None = None) -> None:
        self.append(event)


class BulkListSink(ListSink):
    bulk_calls = 0

    async def send_records(self, records: Iterable[EncodedEvent]) -> None:
        self.bulk_calls += 1
        self.extend(decode(record.value, record.headers) for record in records)


def match(trade_id: int, received: int = T, connection: str = "c1", **changes: Any) -> Frame:
    data = {
        "type": "match",
        "trade_id": trade_id,
        "side": "sell",
        "size": "1",
        "price": "60000.01",
        "product_id": "BTC-USD",
        "sequence": trade_id,
        "time": "2023-11-14T22:13:20.000001Z",
        **changes,
    }
    return Frame(received, "coinbase", connection, json.dumps(data).encode())


def replayed(frames: Iterable[Frame], speed: float | None = None) -> tuple[Summary, list[Event]]:
    summary, sink = Summary(), ListSink()
    asyncio.run(replay(frames, sink, speed, summary))
    return summary, sink


def identities(events: Iterable[Event]) -> list[tuple[str, bytes]]:
    return [(event.event_id(), encode(event).value) for event in events]


MIXED = [match(1), match(4), match(4), Frame(T, "coinbase", "c1", b"garbage"), match(9, side="")]


def test_everything_is_counted() -> None:
    summary, events = replayed(MIXED)
    assert summary == Summary(frames=5, trades=3, quotes=0, gaps=1, unparsed=2)
    assert len(events) == 6


def test_a_second_replay_of_a_file_and_of_its_copy_gives_the_same_events(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a") as writer:
        for frame in MIXED:
            writer.write(frame)
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    first, again, copied = (replayed(read(tmp_path / name))[1] for name in "aab")
    assert identities(first) == identities(again) == identities(copied)


def test_connections_that_alternate_are_numbered_apart() -> None:
    garbage = [Frame(T, "coinbase", connection, b"?") for connection in ("a", "b", "a")]
    _, events = replayed(garbage)
    arrivals = [(one.connection, one.arrival) for one in events if isinstance(one, PriceUnparsed)]
    assert arrivals == [("a", 0), ("b", 0), ("a", 1)]


def test_trades_missed_between_the_connections_of_a_recording_are_a_gap() -> None:
    _, events = replayed([match(1), match(5, connection="c2")])
    assert [type(event) for event in events] == [PriceTrade, PriceGap, PriceTrade]


def test_an_error_that_the_venue_sent_does_not_end_the_replay() -> None:
    error = Frame(T, "coinbase", "c1", b'{"type":"error","message":"no"}')
    summary, _ = replayed([match(1), error, match(2)])
    assert summary == Summary(frames=3, trades=2)


def test_at_full_speed_a_sink_that_can_gets_all_in_bulk() -> None:
    summary, sink = Summary(), BulkListSink()
    asyncio.run(replay(MIXED, sink, None, summary))
    assert sink.bulk_calls == 1
    assert identities(sink) == identities(replayed(MIXED)[1])


def test_a_paced_replay_keeps_the_recorded_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    now, pauses = 5.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        pauses.append(seconds)

    monkeypatch.setattr("streams.replay.time.monotonic", lambda: now)
    monkeypatch.setattr("streams.replay.asyncio.sleep", sleep)
    frames = [match(n, received=T + n**2 * 1_000_000) for n in range(3)]
    summary, _ = replayed(frames, speed=10.0)
    assert pauses == pytest.approx([0.1, 0.3])
    assert summary.trades == 3


def test_receive_times_that_go_back_do_not_stop_a_paced_replay() -> None:
    frames = [match(1, received=T), match(2, received=T - 3_600_000_000)]
    assert replayed(frames, speed=1.0)[0].trades == 2


def test_progress_is_told_after_each_frame() -> None:
    told: list[int] = []
    summary = Summary()
    asyncio.run(replay(MIXED, ListSink(), None, summary, lambda: told.append(summary.frames)))
    assert told == [1, 2, 3, 4, 5]


def test_a_replay_parses_as_the_live_connector_does() -> None:
    [one] = parsed([match(1)])
    assert one.frame == match(1)
    assert [type(event) for event in one.events] == [PriceTrade]


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("1x", 1.0), ("2.5x", 2.5)])
def test_speeds_are_multiples_or_max(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "0x", "fast", "10", "-1x", "1e3x"])
def test_other_speeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="neither a multiple"):
        parse_speed(text)

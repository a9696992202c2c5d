"""Every Coinbase and Binance sample gives as many trades and quotes as its raw file holds.

The numbers are found twice: by `raw_frames` and `count`, which know nothing of our parsers, and
by our reader and parsers. Both must be the literals here.
"""

import asyncio
import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streams.errors import UserError
from streams.events import Event, PriceQuote, PriceTrade
from streams.recording import read
from streams.replay import Summary, replay


@dataclass(frozen=True)
class Count:
    """Distinct trades, quotes, and the price of each symbol's last trade in the file."""

    trades: int
    quotes: int
    last: dict[str, str]


EXPECTED = {
    "cryptofeed-XFree86/COINBASE.ws.28.0": Count(
        trades=107,
        quotes=107,
        last={
            "BAND-BTC": "0.00033396",
            "BAND-GBP": "14.7646",
            "CRV-EUR": "3.2981",
            "DASH-BTC": "0.00619947",
            "NMR-EUR": "66.9254",
            "NU-GBP": "0.4393",
            "SKL-BTC": "0.00001304",
            "SKL-GBP": "0.5762",
            "SKL-USD": "0.7902",
            "YFI-BTC": "0.82601",
        },
    ),
    "cryptofeed-XFree86/BINANCE.ws.1.0": Count(
        trades=2, quotes=84, last={"LRC-BTC": "0.00000638", "NKN-USDT": "0.35280000"}
    ),
    "hftbacktest-MIT/btcusdt_20240808.gz": Count(
        trades=9757, quotes=28040, last={"BTC-USDT": "61685.99000000"}
    ),
}
FRAMES = {
    "cryptofeed-XFree86/COINBASE.ws.28.0": 9946,
    "cryptofeed-XFree86/BINANCE.ws.1.0": 265,
    "hftbacktest-MIT/btcusdt_20240808.gz": 41249,
}
#: Of WebSocket v1 and of the futures.
REFUSED = (
    "cryptofeed-XFree86/KRAKEN.ws.48.0",
    "cryptofeed-XFree86/KRAKEN.ws.49.0",
    "cryptofeed-XFree86/KRAKEN.ws.50.0",
    "ssmd-MIT/kraken_ticker.jsonl",
    "ssmd-MIT/kraken_trade.jsonl",
)
BINANCE_SYMBOLS = {"LRCBTC": "LRC-BTC", "NKNUSDT": "NKN-USDT", "BTCUSDT": "BTC-USDT"}


def raw_frames(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            if re.match(r"[0-9.]+:? \{", line):
                frame = json.loads(line.split(" ", 1)[1])
                yield frame.get("data", frame)


def count(path: Path) -> Count:
    trades, quotes, last = set(), 0, {}
    for frame in raw_frames(path):
        kind = frame.get("type") or frame.get("e")
        if kind in ("match", "last_match"):
            trades.add((frame["product_id"], frame["trade_id"]))
            last[frame["product_id"]] = frame["price"]
        elif kind in ("trade", "aggTrade"):
            trades.add((frame["s"], frame.get("t", frame.get("a"))))
            last[BINANCE_SYMBOLS[frame["s"]]] = frame["p"]
        elif kind == "ticker" or (kind is None and "B" in frame):
            quotes += 1
    return Count(len(trades), quotes, last)


class ListSink(list[Event]):
    async def send(self, event: Event, trace: str | None = None) -> None:
        self.append(event)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_gives_what_its_raw_file_holds(samples: Path, name: str) -> None:
    summary, sink = Summary(), ListSink()
    asyncio.run(replay(read(samples / name), sink, None, summary))
    trades = [event for event in sink if isinstance(event, PriceTrade)]
    found = Count(
        trades=len({trade.event_id() for trade in trades}),
        quotes=len({event.event_id() for event in sink if isinstance(event, PriceQuote)}),
        last={trade.symbol: str(trade.price) for trade in trades},
    )
    assert found == EXPECTED[name] == count(samples / name)
    assert summary.frames == FRAMES[name]
    assert (summary.gaps, summary.unparsed) == (0, 0)


def test_every_coinbase_and_binance_sample_is_counted(samples: Path) -> None:
    there = {
        str(path.relative_to(samples))
        for pattern in ("cryptofeed*/COINBASE*", "cryptofeed*/BINANCE*", "hftbacktest*/*.gz")
        for path in samples.glob(pattern)
    }
    assert there == set(EXPECTED)


@pytest.mark.parametrize("name", REFUSED)
def test_krakens_former_formats_are_refused_before_any_event(samples: Path, name: str) -> None:
    sink = ListSink()
    with pytest.raises(
        UserError, match="Kraken's formats only WebSocket v2 .*is served"
    ) as refusal:
        asyncio.run(replay(read(samples / name), sink, None, Summary()))
    assert str(samples / name) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert sink == []


def test_every_kraken_sample_is_refused(samples: Path) -> None:
    there = {str(path.relative_to(samples)) for path in samples.glob("*/[Kk][Rr][Aa][Kk]*")}
    assert there == set(REFUSED)

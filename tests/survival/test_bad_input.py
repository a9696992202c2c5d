"""Bad records by the real path: each becomes a dead letter, its neighbours land."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from tests.survival.scene import Scene

Header = tuple[str, bytes]

_NOW = time.time_ns() // 1000
_GOOD = {
    "venue": "coinbase",
    "symbol": "BTC-USD",
    "trade_id": "1",
    "price": "1.50",
    "size": "0.1",
    "side": "buy",
    "time": _NOW,
    "sequence": 1,
    "received": _NOW,
}
_HEADERS: list[Header] = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"coinbase:BTC-USD:1"),
    ("ce_type", b"price.trade.v1"),
    ("ce_source", b"/venues/coinbase"),
]
_DAY = 86_400_000_000


def value(**changes: Any) -> bytes:
    return json.dumps({**_GOOD, **changes}, separators=(",", ":")).encode()


def without(name: str) -> bytes:
    return json.dumps({k: v for k, v in _GOOD.items() if k != name}).encode()


def headers(**changes: bytes | None) -> list[Header]:
    kept = {**dict(_HEADERS), **changes}
    return [(name, raw) for name, raw in kept.items() if raw is not None]


BAD_VALUES: dict[str, bytes | None] = {
    "not JSON": b"hello",
    "cut off": value()[:-1],
    "two values": value() + value(),
    "an array": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "empty": b"",
    "no value": None,
    "not UTF-8": value().replace(b"buy", b"b\xff\xfe"),
    "UTF-16": value().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + value(),
    "NUL raw": value().replace(b"BTC", b"B\0C"),
    "NUL escaped": value(symbol="B\0C"),
    "NUL as trade id": value(trade_id="\0"),
    "all NUL": b"\0" * 100,
    "lone surrogate": value().replace(b'"1"', b'"\\ud800"'),
    "line break": value(symbol="BTC-USD\n"),
    "price a number": value(price=1.5),
    "size a number": value(size=1),
    "price null": value(price=None),
    "price NaN": value().replace(b'"1.50"', b"NaN"),
    "price NaN text": value(price="NaN"),
    "price infinite": value().replace(b'"1.50"', b"Infinity"),
    "price infinite text": value(price="Infinity"),
    "price -Infinity text": value(price="-Infinity"),
    "price exponent": value(price="1e5"),
    "price negative": value(price="-1"),
    "price zero": value(price="0.00"),
    "price too long": value(price="1" * 21),
    "price too exact": value(price="1." + "1" * 11),
    "price with plus": value(price="+1"),
    "price leading zero": value(price="01"),
    "price with underscore": value(price="1_000"),
    "price of other digits": value(price="١٢"),
    "side unknown": value(side="hold"),
    "side wrong type": value(side=True),
    "time text": value(time=str(_NOW)),
    "time float": value(time=_NOW + 0.5),
    "time whole float": value().replace(b'"time":', b'"time":1e15,"x":'),
    "time true": value(time=True),
    "time before 2009": value(time=1_230_767_999_999_999),
    "time negative": value(time=-1),
    "time in ms": value(time=_NOW // 1000),
    "time two days ahead": value(time=_NOW + 2 * _DAY),
    "time in ns": value(time=_NOW * 1000),
    "time huge": value(time=10**30),
    "received zero": value(received=0),
    "sequence negative": value(sequence=-1),
    "sequence huge": value(sequence=2**63),
    "sequence text": value(sequence="1"),
    "sequence missing": without("sequence"),
    "trade id missing": without("trade_id"),
    "trade id a number": value(trade_id=1),
    "trade id empty": value(trade_id=""),
    "trade id long": value(trade_id="1" * 65),
    "venue capital": value(venue="Coinbase"),
    "symbol long": value(symbol="X" * 49),
    "deep": b"[" * 100_000,
    "10 MB": value(raw="x" * 10_000_000),
    "10 MB of zeros": b"0" * 10_000_000,
}
BAD_HEADERS: dict[str, list[Header]] = {
    "none": [],
    "no type": headers(ce_type=None),
    "no id": headers(ce_id=None),
    "empty id": headers(ce_id=b""),
    "no spec version": headers(ce_specversion=None),
    "other spec version": headers(ce_specversion=b"0.3"),
    "unknown type": headers(ce_type=b"price.rumour.v1"),
    "unknown version": headers(ce_type=b"price.trade.v999"),
    "type without version": headers(ce_type=b"price.trade"),
    "type not UTF-8": headers(ce_type=b"\xff\xfe"),
    "type NUL": headers(ce_type=b"\0"),
}
#: What looks odd, and is good.
GOOD_HEADERS: dict[str, list[Header]] = {
    "source not UTF-8": headers(ce_source=b"\xff\xfe"),
    "one more": [*headers(), ("traceparent", b"\xff\0")],
    "no source": headers(ce_source=None),
    "other order": headers()[::-1],
}
GOOD_VALUES: dict[str, bytes] = {
    "unknown field": value(trade_id="odd1", mood="fine"),
    "spaces": json.dumps({**_GOOD, "trade_id": "odd2"}, indent=1).encode(),
    "longest decimals": value(trade_id="odd3", price="9" * 20 + "." + "9" * 10),
    "large sequence": value(trade_id="odd4", sequence=2**63 - 1),
    "far receive time": value(trade_id="odd5", received=253_402_300_799_999_999),
    "first time": value(trade_id="odd6", time=1_230_768_000_000_000),
    "almost a day ahead": value(trade_id="odd7", time=_NOW + _DAY - 60_000_000),
    "escaped": value(trade_id="odd8").replace(b"odd8", b"\\u006fdd8"),
    "price in zeros": value(trade_id="odd9", price="0.0000000001", size="0.0000000000"),
}


class Writer:
    """Sends records to one topic: a good one after each, so that bad ones are never in a row."""

    def __init__(self, client: AIOKafkaProducer, topic: str) -> None:
        self._client = client
        self._topic = topic
        self._good = 0

    async def send(self, raw: bytes | None, attributes: list[Header], key: bytes | None) -> None:
        await self._client.send(self._topic, raw, key=key, headers=attributes)

    async def good(self, count: int = 2) -> None:
        for _ in range(count):
            self._good += 1
            name = str(self._good)
            await self.send(
                value(trade_id=name, sequence=self._good), _HEADERS, b"coinbase:BTC-USD"
            )


async def write_all(brokers: str, topic: str, together: int) -> None:
    """Everything bad and everything odd, each between `together` good records."""
    async with AIOKafkaProducer(
        bootstrap_servers=brokers, max_request_size=16 * 1024 * 1024, acks="all"
    ) as client:
        writer = Writer(client, topic)
        for raw in BAD_VALUES.values():
            await writer.good(together)
            await writer.send(raw, _HEADERS, b"coinbase:BTC-USD")
        for attributes in BAD_HEADERS.values():
            await writer.good(together)
            await writer.send(value(trade_id="bad"), attributes, b"coinbase:BTC-USD")
        for attributes in GOOD_HEADERS.values():
            await writer.good(together)
            await writer.send(value(trade_id="odd0"), attributes, b"coinbase:BTC-USD")
        for raw in GOOD_VALUES.values():
            await writer.send(raw, _HEADERS, b"coinbase:BTC-USD")
        await writer.send(value(trade_id=f"odd10-{together}"), _HEADERS, None)
        await writer.send(value(trade_id="odd11"), _HEADERS, b"\xff\xfe\0")
        await writer.good(together)
        await client.flush()


def test_each_bad_record_is_a_dead_letter(scene: Scene) -> None:
    asyncio.run(write_all(scene.home.brokers, scene.topic, together=2))
    worker = scene.worker()
    scene.wait_until_drained()
    asyncio.run(write_all(scene.home.brokers, scene.topic, together=100))
    scene.wait_until_drained()
    assert worker.lives, worker.output
    scene.verify()
    [(count,)] = scene.query("select count(*) from dead_letters")
    assert count == 2 * (len(BAD_VALUES) + len(BAD_HEADERS))
    [(landed,)] = scene.query("select count(*) from price_history where trade_id like 'odd%%'")
    assert landed == len(GOOD_VALUES) + 1 + 3


class NotUtf8(str):
    """A header name of bytes that no client means to send."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


async def write_bad_header_name(brokers: str, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=brokers, acks="all") as client:
        writer = Writer(client, topic)
        await writer.good(3)
        odd = [*_HEADERS, (NotUtf8("x"), b"y")]
        await writer.send(value(trade_id="bad"), odd, b"coinbase:BTC-USD")
        await writer.good(3)
        await client.flush()


def test_header_name_not_utf8(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka's own parser fails on it, time and again; the fold cannot read it either."""
    for module in (producer, message_accumulator):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    asyncio.run(write_bad_header_name(scene.home.brokers, scene.topic))
    worker = scene.worker()
    scene.wait_until_drained(seconds=60)
    assert worker.lives, worker.output
    assert scene.query('select "offset" from dead_letters') == [(3,)]
    found = scene.query('select "offset" from price_history order by 1')
    assert found == [(offset,) for offset in (0, 1, 2, 4, 5, 6)]

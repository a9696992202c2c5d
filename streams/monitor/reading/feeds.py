"""Services by their heartbeats: feeds of producers, and projections of workers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams import tolerant
from streams.clients import running
from streams.errors import UserError
from streams.events import DecodeError, decode
from streams.events.system_health import TOPIC, Heartbeat
from streams.heartbeat import EVERY
from streams.monitor.model import Feed
from streams.settings import Endpoints

__all__ = ["GONE", "GONE_AFTER_S", "Feeds", "HeartbeatTail"]

#: The state of a service that stopped telling of itself without saying so.
GONE = "gone"
#: A heartbeat may be late by so much.
GONE_AFTER_S = EVERY + 3.0
#: How long one is known that has stopped, or is gone, and which no other has replaced.
_KNOWN_S = 2 * 86_400.0
_SIMULATED_KNOWN_S = 600.0
#: What is usual follows what is by a twelfth each heartbeat: about a minute's mean.
_USUAL_BEATS = 12
_BACK_MS = 60_000
#: Heartbeats are gathered for so long, by the broker as well (unless there are so many bytes).
_GATHER_MS = 1000
_GATHER_BYTES = 256 * 1024
_SECOND = 1_000_000


class Feeds:
    """The newest heartbeat of each service's instances."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Heartbeat] = {}
        self._usual: dict[tuple[str, str], float] = {}

    def take(self, beat: Heartbeat) -> None:
        """Take a heartbeat in; an older one than is known changes nothing."""
        key = beat.service, beat.instance
        known = self._newest.get(key)
        if known is None or known.time <= beat.time:
            self._newest[key] = beat
            rate = float(beat.frames_per_second)
            usual = self._usual.get(key, rate)
            self._usual[key] = usual + (rate - usual) / _USUAL_BEATS

    def seen(self, now: int) -> list[Feed]:
        """Each service as it does at `now`: all instances that live, else the last one that did.

        What has ended stays known for some days, for what was stopped is not to be missed.
        """
        by_service: dict[str, list[Feed]] = {}
        for key, beat in self._newest.items():
            by_service.setdefault(beat.service, []).append(_feed(beat, self._usual[key], now))
        found = [
            one
            for some in by_service.values()
            for one in _living(some) or [max(some, key=lambda one: one.heard)]
            if now - one.heard <= _known_for_s(one) * _SECOND
        ]
        here = {(one.service, one.instance) for one in found}
        self._newest = {key: beat for key, beat in self._newest.items() if key in here}
        self._usual = {key: rate for key, rate in self._usual.items() if key in here}
        return sorted(found, key=lambda one: (one.service, one.instance))


def _living(some: list[Feed]) -> list[Feed]:
    return [one for one in some if one.state not in (GONE, "stopped")]


def _known_for_s(feed: Feed) -> float:
    """Each run of a simulated venue has an account of its own, which never comes back."""
    return _SIMULATED_KNOWN_S if "@simulated/" in feed.service else _KNOWN_S


def _feed(beat: Heartbeat, usual: float, now: int) -> Feed:
    is_gone = beat.state != "stopped" and now - beat.time > GONE_AFTER_S * _SECOND
    return Feed(
        service=beat.service,
        instance=beat.instance,
        state=GONE if is_gone else beat.state,
        since=beat.time if is_gone else beat.since,
        detail=beat.detail,
        crash_loop=beat.crash_loop,
        heard=beat.time,
        last_frame=beat.last_frame,
        frames_per_second=float(beat.frames_per_second),
        usual_frames_per_second=usual,
        events=beat.events,
        reconnects=beat.reconnects,
        gaps=beat.gaps,
        unparsed=beat.unparsed,
        clock_skew_s=None if beat.clock_skew is None else beat.clock_skew / _SECOND,
        cpu_percent=float(beat.cpu_percent),
        memory=beat.memory_bytes,
    )


class HeartbeatTail:
    """The end of `system.health`, from a minute ago on: assigned, in no group."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoints: Endpoints) -> AsyncIterator[HeartbeatTail]:
        """Connect. Raises UserError: the broker is out of reach, or lacks the topic."""
        tolerant.install()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=endpoints.brokers,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_GATHER_MS,
            fetch_min_bytes=_GATHER_BYTES,
            **endpoints.kafka,
        )
        try:
            async with running(consumer):
                await _place(consumer)
                yield cls(consumer)
        except KafkaError as error:
            raise UserError(
                f"no heartbeats from the broker {endpoints.brokers}: {error!r};"
                " `tape doctor` tries the connection"
            ) from error

    async def read(self) -> list[Heartbeat]:
        """What has come since the last time; waits for a moment where nothing has."""
        found = []
        for records in (await self._consumer.getmany(timeout_ms=_GATHER_MS)).values():
            for record in records:
                try:
                    event = decode(record.value, record.headers)
                except DecodeError:
                    continue  # the projection `health` makes a dead letter of it
                if isinstance(event, Heartbeat):
                    found.append(event)
        return found


async def _place(consumer: AIOKafkaConsumer) -> None:
    numbers = await consumer._client.fetch_all_metadata()
    partitions = numbers.partitions_for_topic(TOPIC)
    if not partitions:
        raise UserError(f"no topic {TOPIC}; `tape topics create` makes the topics")
    places = [TopicPartition(TOPIC, number) for number in sorted(partitions)]
    consumer.assign(places)
    since = time.time_ns() // 1_000_000 - _BACK_MS
    starts = await consumer.offsets_for_times(dict.fromkeys(places, since))
    ends = await consumer.end_offsets(places)
    for place in places:
        found = starts[place]
        consumer.seek(place, ends[place] if found is None else found.offset)

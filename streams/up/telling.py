"""What `tape up` tells of its children that died: to `system.health`, and to a log of its own.

Best effort: nothing waits for the broker, which may be what the children died of.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException, Producer

from streams.events import Restart, encode
from streams.events.types import moment
from streams.live import Live
from streams.settings import Endpoints, librdkafka_config, load_settings

__all__ = ["Teller"]

#: An event that the broker has not taken by then is given up. Milliseconds.
_GIVEN_UP_AFTER_MS = 30_000
#: How long (seconds) the end waits for the last events.
_FAREWELL = 3.0


class Teller:
    """A context manager; `tell` never waits and never fails.

    By confluent_kafka's producer, which works in a thread of its own and is quiet.
    """

    def __init__(self, endpoints: Endpoints, log: Path) -> None:
        self._live = Live()  # nothing is written where the log is read again
        config: dict[str, Any] = librdkafka_config(load_settings()) if endpoints.kafka else {}
        config |= {
            "bootstrap.servers": endpoints.brokers,
            "log_level": 0,
            "enable.idempotence": True,
            "message.timeout.ms": _GIVEN_UP_AFTER_MS,
        }
        self._producer = Producer(config)
        self._log = log

    def tell(self, restart: Restart) -> None:
        """Note it in the log, and send it."""
        self._note(restart.time, _sentence(restart))
        record = encode(restart)

        def delivered(error: object, _: object) -> None:
            if error is not None:
                self._note(restart.time, f"{restart.service}: not sent: {error}")

        try:
            self._producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                on_delivery=delivered,
            )
            self._producer.poll(0)
        except (BufferError, KafkaException) as error:
            self._note(restart.time, f"{restart.service}: not sent: {error}")

    def _note(self, time: int, text: str) -> None:
        with suppress(OSError), self._log.open("a") as stream:
            stream.write(f"{moment(time):%Y-%m-%dT%H:%M:%SZ} {' '.join(text.split())}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._producer.flush(_FAREWELL)


def _sentence(restart: Restart) -> str:
    if restart.action == "gave_up":
        return f"{restart.service}: {restart.reason}: not started again"
    loop = " (a crash loop)" if restart.action == "crash_loop" else ""
    pause = f"starts again in {restart.pause_ms / 1000:.1f} s"
    return f"{restart.service}: {restart.reason}: {pause}{loop}"

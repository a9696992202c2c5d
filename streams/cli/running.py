"""What commands that run for a while share: how long, how they stop, where they log."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import sys
from collections.abc import Awaitable, Coroutine, Sequence
from datetime import UTC, datetime

import structlog

from streams.errors import UserError

__all__ = [
    "log_nothing",
    "log_to_stderr",
    "parse_duration",
    "parse_time",
    "together",
    "until_stopped",
]

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of "30s", "5m", "1h", "250ms" or "30". Raises UserError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UserError(f"{text!r} is no duration; write it as 30s, 5m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def parse_time(text: str, name: str) -> datetime:
    """A time in ISO 8601, in UTC unless it says otherwise. Raises UserError for anything else."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        message = f"{name} {text!r} is no time; write it as 2026-01-31 or 2026-01-31T14:30"
        raise UserError(message) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def log_to_stderr() -> None:
    """Logs go to standard error, a line each; standard output is for results."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # The pretty one prints every local variable: records, and the DSN with its secret.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    for name in ("client", "cluster", "conn", "consumer.fetcher", "consumer.group_coordinator"):
        logging.getLogger(f"aiokafka.{name}").addFilter(Seldom(10.0))
    for name in ("aiokafka", "aiokafka.producer.sender"):
        logging.getLogger(name).addFilter(Seldom(10.0))


def log_nothing() -> None:
    """For a command that looks once: what does not answer is part of its report."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class Seldom(logging.Filter):
    """Lets each message of a logger through once in so many seconds.

    A broker that is away is otherwise told about ten times a second by each client.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        last = self._last.get(str(record.msg))
        if last is not None and record.created - last < self._seconds:
            return False
        self._last[str(record.msg)] = record.created
        return True


async def until_stopped(work: Coroutine[None, None, None], seconds: float | None) -> None:
    """Run until the work ends, the time is over, or SIGINT or SIGTERM comes.

    All of these end it cleanly, by cancellation. Raises what the work raises.
    """
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
        await asyncio.wait({task})
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if not task.cancelled():
        task.result()


async def together(works: Sequence[Awaitable[None]]) -> None:
    """Run all at once; the first error stops the others and is raised.

    Each is cancelled once, and may take its time to end: a second time would cut its clean-up.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()

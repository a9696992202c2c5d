"""Stopping early without leaving anything behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def stop_on_sigterm() -> None:
    """A stop from outside takes the same way out as Ctrl-C, through every `finally`."""
    signal.signal(signal.SIGTERM, _as_ctrl_c)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Holds off Ctrl-C and SIGTERM: for the cleaning up that a second one would cut short."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _as_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    # Not KeyboardInterrupt at once: asyncio turns SIGINT into a cancellation of its main task.
    signal.raise_signal(signal.SIGINT)

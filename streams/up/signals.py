"""Signals of `tape up`: the first asks for a clean stop, the second for an immediate one."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType, TracebackType
from typing import Self

__all__ = ["StopSignals"]

#: A signal so soon after the first is its echo: a terminal signals `tape up` and the program that
#: started it, which may pass the signal on. Seconds.
_ECHO = 0.5
#: How long a sleep may overlook a signal, seconds.
_SLICE = 0.05
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Takes the signals over while inside; only in the main thread.

    A signal while `patient` is false (nothing runs yet that must be stopped with care), and the
    second one in any case, is a KeyboardInterrupt. All further ones are ignored, so that the
    clean-up which follows comes to its end.
    """

    def __init__(self) -> None:
        self.asked = False
        self.patient = False
        self._interrupted = False
        self._asked_at = 0.0
        self._terminals = [number for number in (1, 2) if os.isatty(number)]
        self._before = {number: signal.getsignal(number) for number in _NUMBERS}

    def __enter__(self) -> Self:
        for number in _NUMBERS:
            signal.signal(number, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def sleep(self, seconds: float) -> None:
        """Sleep, but wake up soon after a first signal."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(_SLICE, left))

    def _take(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._leave_terminal()
        if self._interrupted or (self.asked and time.monotonic() - self._asked_at < _ECHO):
            return
        if self.asked or not self.patient:
            self._interrupted = True
            raise KeyboardInterrupt
        self.asked, self._asked_at = True, time.monotonic()

    def _leave_terminal(self) -> None:
        """The terminal is gone: to write to it would be an error in the middle of the stop."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in self._terminals:
            os.dup2(nowhere, number)
        os.close(nowhere)

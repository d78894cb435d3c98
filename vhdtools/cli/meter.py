"""How far a task has come, how fast, and how long it will take; and these as text."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Meter", "amounts_text", "clock_text", "rate_text"]

_MIB = 1024 * 1024
_GIB = 1024 * _MIB
_WINDOW_SECONDS = 15.0
_STILL_SECONDS = 5.0


class Meter:
    """Counts the bytes of one task, from any thread; `done` of `total` were done at the start."""

    def __init__(
        self, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.done = done
        self._clock = clock
        self._lock = threading.Lock()
        self._moved = clock()
        self._samples = deque([(self._moved, done)])

    def advance(self, amount: int) -> None:
        """`amount` more bytes are done."""
        with self._lock:
            self.done += amount
            self._moved = self._clock()

    @property
    def percent(self) -> int:
        """Whole percent, 100 only when all is done."""
        return 100 * self.done // self.total if self.total else 100

    def rate(self) -> float | None:
        """Bytes per second over the last quarter of a minute; None while nothing moves."""
        with self._lock:
            now = self._clock()
            if now > self._samples[-1][0]:
                self._samples.append((now, self.done))
            while len(self._samples) > 2 and self._samples[1][0] <= now - _WINDOW_SECONDS:
                self._samples.popleft()
            start, before = self._samples[0]
            if now - self._moved > _STILL_SECONDS or self.done == before:
                return None
            return (self.done - before) / (now - start)

    def seconds_left(self) -> float | None:
        """Seconds until all is done at this rate; None while nothing moves."""
        rate = self.rate()
        return (self.total - self.done) / rate if rate else None


def amounts_text(done: int, total: int) -> str:
    """Two amounts in the unit of the second: "3.4 of 8.0 MiB", "1.25 of 30.00 GiB"."""
    if total >= _GIB:
        return f"{done / _GIB:,.2f} of {total / _GIB:,.2f} GiB"
    return f"{done / _MIB:,.1f} of {total / _MIB:,.1f} MiB"


def rate_text(rate: float | None, none: str = "–") -> str:
    """A rate in MiB/s; `none` where there is none."""
    return none if rate is None else f"{rate / _MIB:,.1f} MiB/s"


def clock_text(seconds: float | None, none: str = "–") -> str:
    """A time as "m:ss" or "h:mm:ss", seconds rounded up; `none` where there is none."""
    if seconds is None:
        return none
    whole = int(-(-seconds // 1))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

"""One event for all threads of a transfer: there is no point in waiting any longer."""

from __future__ import annotations

import threading
import time

__all__ = ["Halt"]

_POLL_SECONDS = 0.25


class Halt(threading.Event):
    """An event that counts as set when `stop` is, too, which belongs to whoever asks to stop."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def is_set(self) -> bool:
        """Whether either is set."""
        return super().is_set() or self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until either is set, or `timeout` seconds have passed; whether one is set."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _POLL_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                return False
            super().wait(min(left, _POLL_SECONDS))
        return True

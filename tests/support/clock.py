"""A clock that tests move by hand, and an event that moves it by being waited for."""

from __future__ import annotations

import threading


class FakeClock:
    """Seconds as ``time.monotonic`` gives them; stands still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeEvent(threading.Event):
    """An event whose ``wait`` lets the time pass on *clock* at once; ``waits`` are its lengths.

    With ``set_at``, it is set when the clock gets there.
    """

    def __init__(self, clock: FakeClock, set_at: float | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._set_at = set_at
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return super().is_set() or (self._set_at is not None and self._clock.now >= self._set_at)

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "an endless wait"
        if self.is_set():
            return True
        self.waits.append(timeout)
        end = self._clock.now + timeout
        if self._set_at is not None and end >= self._set_at:
            self._clock.now = self._set_at
            return True
        self._clock.now = end
        return False

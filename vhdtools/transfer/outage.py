"""Failures of several requests at the same time, reported as the one event that they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vhdtools.progress import Progress, RecoveredEvent, RetryEvent

__all__ = ["Failure", "Outage"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed `attempts` times since `since`, for the last time for `reason`.

    It is made again at `next_at`, and given up at `give_up_at`; all of one clock, in seconds.
    """

    operation: str
    subject: str
    reason: str
    cause: str
    attempts: int
    since: float
    next_at: float
    give_up_at: float


class Outage:
    """Which calls of a transfer are failing now, from any thread.

    An outage begins when the first call fails and ends when none is failing. While it lasts,
    `progress` receives an event whenever a call has failed more often than any before it: with
    eight workers one stream of events, not eight.
    """

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._lock = threading.Lock()
        self._failing: dict[object, Failure] = {}
        self._began = 0.0
        self._reported = 0
        self._last: Failure | None = None

    def failed(self, call: object, failure: Failure) -> None:
        """`call` (any object that stands for it) failed, and will be made again."""
        with self._lock:
            if not self._failing:
                self._began, self._reported = failure.since, 0
            self._failing[call] = self._last = failure
            if failure.attempts <= self._reported:
                return
            self._reported = failure.attempts
            now = self._clock()
            event = RetryEvent(
                failure.operation,
                failure.subject,
                failure.reason,
                failure.cause,
                failure.attempts,
                max(0.0, min(item.next_at for item in self._failing.values()) - now),
                max(0.0, min(item.give_up_at for item in self._failing.values()) - now),
                now - self._began,
            )
            self._progress.retrying(event)

    def succeeded(self, call: object) -> None:
        """`call`, which had failed before, succeeded."""
        with self._lock:
            failure = self._failing.pop(call, None)
            if failure is not None and not self._failing:
                self._last = None
                seconds = self._clock() - self._began
                self._progress.recovered(RecoveredEvent(failure.subject, seconds))

    def abandoned(self, call: object) -> None:
        """`call` is not made again: it failed for good, or the transfer was stopped."""
        with self._lock:
            self._failing.pop(call, None)

    @property
    def unresolved(self) -> Failure | None:
        """The last failure, unless everything has succeeded since."""
        return self._last

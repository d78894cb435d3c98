"""How many requests may be in flight, and how fast bytes may go.

Three limits hold together:

- The user's rate (`max_rate`, bytes/s): all workers together, evenly spread.
- Requests in flight: at most the number of workers; fewer when the service throttles, growing
  back with each success.
- The service's rate, learnt from its throttling (`ServicePace`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vhdtools.transfer.plan import MERGE_GAP

__all__ = ["Pacer", "Permit", "ServicePace"]

_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request, and when it was given."""

    issued: float


class ServicePace:
    """The rate that a service takes, in cost per second; unlimited until it first throttles.

    The *cost* of a request is its bytes, but at least `MERGE_GAP`, as services limit requests as
    well as bytes. Once throttled, the rate starts a little below the 60 MiB/s that Azure publishes
    for a blob, and doubles every half second until the service throttles again: then its limit,
    the *ceiling*, is about known. From there the rate follows TCP CUBIC's curve (RFC 9438): a
    little below the ceiling, quickly near it, slowly past it, then faster, in case the service has
    room again. It never falls far below 1 MiB/s: a service that refuses everything for minutes is
    waited for by each request's own pauses, and must not be sent to in drops when it is back.
    Times are in seconds of any one clock.
    """

    FIRST_RATE = 48 * 1024 * 1024
    LEAST_RATE = 1024 * 1024
    DOUBLE_SECONDS = 0.5
    MOST_DOUBLINGS = 32
    OVERSHOT = 0.8
    BACK_OFF = 0.9
    RETURN_SECONDS = 5.0
    PAUSE_SECONDS = 0.07
    LATE_SECONDS = 0.05

    def __init__(self) -> None:
        self._ceiling: float | None = None
        self._searching = True
        self._since = float("-inf")
        self.free_at = float("-inf")

    def rate(self, now: float) -> float | None:
        """Cost per second that may go now; None while there is no limit."""
        if self._ceiling is None:
            return None
        passed = max(0.0, now - self._since)
        if self._searching:
            doublings = min(passed / self.DOUBLE_SECONDS, float(self.MOST_DOUBLINGS))
            return self._ceiling * math.pow(2, doublings)
        bend = math.pow(passed / self.RETURN_SECONDS - 1, 3)
        return self._ceiling * (1 + (1 - self.BACK_OFF) * bend)

    def sent(self, now: float, cost: int) -> None:
        """A request of this cost goes; the next one may at `free_at`.

        One that goes a little late does not delay those after it.
        """
        rate = self.rate(now)
        if rate is not None:
            self.free_at = max(self.free_at, now - self.LATE_SECONDS) + cost / rate

    def throttled(self, now: float, issued: float) -> bool:
        """The service refused a request that was sent at `issued`; True if that is news.

        Refusals of requests sent before the last change of pace say nothing new.
        """
        if issued <= self._since:
            return False
        rate = self.rate(now)
        if rate is None:
            # What was taken so far is what the service had saved up, and no measure.
            self._ceiling = float(self.FIRST_RATE)
        elif self._searching:
            self._searching = False
            self._ceiling = rate * self.OVERSHOT
        else:
            self._ceiling = max(rate, float(self.LEAST_RATE))
        self._since = now
        self.free_at = now + self.PAUSE_SECONDS
        return True


class Pacer:
    """Hands out permits to send, from any thread; see the module for its rules.

    Threads take their turn one after the other, so that a change of pace counts for all that have
    not gone yet.
    """

    SHRINK = 0.7
    GROW = 0.5

    def __init__(
        self,
        workers: int,
        max_rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._max_rate = max_rate
        self._clock = clock
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._in_flight = 0
        self._limit = float(workers)
        self._user_free_at = clock()
        self._service = ServicePace()
        self.throttled = 0

    @property
    def in_flight_limit(self) -> int:
        """Requests that may be in flight now."""
        return max(1, int(self._limit))

    def wait_turn(self, size: int, halt: threading.Event) -> Permit:
        """Wait until a request with a body of `size` bytes may go; at once when `halt` is set."""
        with self._turn, self._changed:
            while not halt.is_set():
                wait = self._wait(self._clock())
                if wait <= 0:
                    break
                self._changed.wait(min(wait, _POLL_SECONDS))
            now = self._clock()
            self._in_flight += 1
            self._service.sent(now, max(size, MERGE_GAP))
            if self._max_rate is not None:
                self._user_free_at = max(self._user_free_at, now) + size / self._max_rate
        return Permit(now)

    def took(self) -> None:
        """The service answered a request well."""
        with self._changed:
            self._leave()
            self._limit = min(float(self._workers), self._limit + self.GROW / self._limit)

    def failed(self, permit: Permit, *, throttled: bool) -> None:
        """A request failed; `throttled` when the service asked for fewer."""
        with self._changed:
            self._leave()
            if not throttled:
                return
            self.throttled += 1
            if self._service.throttled(self._clock(), permit.issued):
                self._limit = max(1.0, self._limit * self.SHRINK)

    def _leave(self) -> None:
        self._in_flight -= 1
        self._changed.notify()

    def _wait(self, now: float) -> float:
        if self._in_flight >= self.in_flight_limit:
            return _POLL_SECONDS
        return max(self._service.free_at, self._user_free_at) - now

"""How many requests may be in flight, and how fast bytes may go.

Three limits hold together:

- The user's rate (`max_rate`, bytes/s): all workers together, evenly spread.
- Requests in flight: at most the number of workers; fewer when the service throttles, growing
  back slowly.
- The service's rate, learnt from its throttling: unknown (unlimited) until it first throttles, then
  a little under what it took lately, then rising until it throttles again. It counts the *cost*
  of a request, as the service limits requests as well as bytes: a small one weighs as much as
  `MERGE_GAP` bytes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from vhdtools.transfer.plan import MERGE_GAP

__all__ = ["Pacer", "Permit"]

_SHRINK_IN_FLIGHT = 0.7
_SHRINK_RATE = 0.95
_GROWTH_PER_SECOND = 0.01
_WINDOW_SECONDS = 2.0
_SETTLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request: when it was given, and what it costs."""

    issued: float
    cost: int


class Pacer:
    """Hands out permits to send, from any thread; see the module for its rules."""

    def __init__(
        self,
        workers: int,
        max_rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._max_rate = max_rate
        self._clock = clock
        self._changed = threading.Condition()
        self._in_flight = 0
        self._limit = float(workers)
        self._user_free_at = clock()
        self._service_free_at = self._user_free_at
        self._service_rate: float | None = None
        self._shrunk_at = float("-inf")
        self._grown_at = 0.0
        self._taken: deque[tuple[float, int]] = deque()
        self._taken_cost = 0
        self.throttled = 0

    def wait_turn(self, size: int, halt: threading.Event) -> Permit:
        """Wait until a request with a body of `size` bytes may go; at once when `halt` is set."""
        cost = max(size, MERGE_GAP)
        with self._changed:
            while self._in_flight >= max(1, int(self._limit)) and not halt.is_set():
                self._changed.wait(0.25)
            self._in_flight += 1
            go_at = self._reserve(size, cost)
        delay = go_at - self._clock()
        if delay > 0:
            halt.wait(delay)
        return Permit(self._clock(), cost)

    def took(self, permit: Permit) -> None:
        """The service answered a request well."""
        with self._changed:
            self._leave()
            now = self._clock()
            self._taken.append((now, permit.cost))
            self._taken_cost += permit.cost
            self._forget(now)
            if self._limit < self._workers:
                self._limit = min(float(self._workers), self._limit + 0.5 / self._limit)
            self._grow(now)

    def failed(self, permit: Permit, *, throttled: bool) -> None:
        """A request failed; `throttled` when the service asked for fewer."""
        with self._changed:
            self._leave()
            if not throttled:
                return
            self.throttled += 1
            now = self._clock()
            # One burst of refusals is one message: those sent before we slowed down don't count.
            if permit.issued <= self._shrunk_at + _SETTLE_SECONDS:
                return
            self._limit = max(1.0, self._limit * _SHRINK_IN_FLIGHT)
            observed = self._observed_rate(now)
            if self._service_rate is not None:
                observed = min(observed, self._service_rate) if observed else self._service_rate
            if observed:
                self._service_rate = observed * _SHRINK_RATE
            self._shrunk_at = self._grown_at = now
            self._service_free_at = max(self._service_free_at, now)

    def _leave(self) -> None:
        self._in_flight -= 1
        self._changed.notify()

    def _reserve(self, size: int, cost: int) -> float:
        now = self._clock()
        go_at = now
        if self._max_rate is not None:
            self._user_free_at = max(self._user_free_at, now)
            go_at = self._user_free_at
            self._user_free_at += size / self._max_rate
        if self._service_rate is not None:
            self._service_free_at = max(self._service_free_at, now)
            go_at = max(go_at, self._service_free_at)
            self._service_free_at += cost / self._service_rate
        return go_at

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] < now - _WINDOW_SECONDS:
            self._taken_cost -= self._taken.popleft()[1]

    def _observed_rate(self, now: float) -> float:
        self._forget(now)
        if not self._taken:
            return 0.0
        return self._taken_cost / max(now - self._taken[0][0], _SETTLE_SECONDS)

    def _grow(self, now: float) -> None:
        if self._service_rate is not None and now > self._grown_at:
            self._service_rate *= 1 + _GROWTH_PER_SECOND * (now - self._grown_at)
            self._grown_at = now

"""Rates: how long a request or a piece of a body must wait for its share."""

from __future__ import annotations

from collections.abc import Callable

from .options import BlobLimits
from .storage import MAX_WRITE


class Bucket:
    """A token bucket that lends: `take` gives the seconds until the tokens would be there."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._then = now

    def wait(self, tokens: float, now: float) -> float:
        """Seconds until `tokens` are there; nothing is taken."""
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate)
        self._then = now
        return max(0.0, (tokens - self._tokens) / self._rate)

    def take(self, tokens: float, now: float) -> float:
        """Take `tokens`, going into debt if need be; seconds until the debt is paid."""
        waiting = self.wait(tokens, now)
        self._tokens -= tokens
        return waiting


class BlobPace:
    """The limits of one blob."""

    def __init__(self, limits: BlobLimits, now: float) -> None:
        bytes_burst = max(MAX_WRITE, limits.bytes_per_second * limits.burst_seconds)
        requests_burst = max(1.0, limits.requests_per_second * limits.burst_seconds)
        self._bytes = Bucket(limits.bytes_per_second, bytes_burst, now)
        self._requests = Bucket(limits.requests_per_second, requests_burst, now)
        self._patience = limits.queue_seconds

    def admit(self, length: int, now: float) -> float | None:
        """Seconds to wait before a request that moves `length` bytes; None to refuse it."""
        waiting = max(self._bytes.wait(length, now), self._requests.wait(1, now))
        if waiting > self._patience:
            return None
        self._bytes.take(length, now)
        self._requests.take(1, now)
        return waiting


class Link:
    """A slow line: pieces of bodies wait so that they come at `rate` bytes per second."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        # A burst as small as a byte, so that the first piece is no faster than the others.
        self._bucket = Bucket(rate, 1.0, clock())

    def carry(self, length: int) -> float:
        """The seconds that `length` bytes still take, after those before them."""
        return self._bucket.take(length, self._clock())

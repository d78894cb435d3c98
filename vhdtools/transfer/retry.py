"""The one layer of retries: what is tried again, after how long, and when patience ends."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vhdtools.errors import (
    AccessError,
    ChecksumError,
    TargetBusyError,
    TargetError,
    TransferInterruptedError,
    UnavailableError,
)
from vhdtools.logs import logger

__all__ = ["Retrier", "RetryPolicy"]

T = TypeVar("T")

_log = logger(__name__)

_MAX_RECOVERIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try again. All in seconds.

    Pauses start around `first_delay`, double up to `max_delay`, and are shortened at random by up
    to a half, so that workers do not come back together. A request that has failed for `patience`
    is given up. A pause the service asks for (Retry-After) is kept, if patience allows.
    """

    first_delay: float = 0.5
    max_delay: float = 60.0
    patience: float = 900.0


class Retrier:
    """Calls operations until they succeed, fail for good, patience ends or `halt` is set.

    UnavailableError and ChecksumError are tried again. AccessError and TargetBusyError are when
    `recover` says that it mended the cause: there are fresh credentials, the lease is ours again.
    `recover` may raise UnavailableError itself: then it is asked again.
    Everything else is raised as it comes. `retries` counts the tries again by reason.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        halt: threading.Event,
        recover: Callable[[TargetError], bool],
        random_fraction: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._halt = halt
        self._recover = recover
        self._random = random_fraction
        self._clock = clock
        self._lock = threading.Lock()
        self.retries: Counter[str] = Counter()

    def call(self, operation: Callable[[], T]) -> T:
        """The result of `operation`, whose errors are the target's, made as often as it takes."""
        failures = recoveries = 0
        since = 0.0
        while True:
            try:
                try:
                    return operation()
                except (AccessError, TargetBusyError) as error:
                    if recoveries == _MAX_RECOVERIES or not self._recover(error):
                        raise
                    recoveries += 1
                    self._count("access" if isinstance(error, AccessError) else "lease", error)
            except (UnavailableError, ChecksumError) as error:
                failures += 1
                since = since if failures > 1 else self._clock()
                self._count(_reason(error), error)
                self._pause(error, failures, since)

    def _pause(self, error: TargetError, failures: int, since: float) -> None:
        policy = self._policy
        delay = min(policy.max_delay, policy.first_delay * 2.0 ** min(failures - 1, 32))
        delay *= 1 - self._random() / 2
        asked = error.retry_after if isinstance(error, UnavailableError) else None
        if asked is not None:
            delay = max(delay, asked)
        if self._clock() + delay - since > policy.patience:
            raise error
        if self._halt.is_set() or self._halt.wait(delay):
            raise TransferInterruptedError(
                error.subject, f"stopped while waiting to try again after: {error.problem}"
            ) from error

    def _count(self, reason: str, error: TargetError) -> None:
        with self._lock:
            self.retries[reason] += 1
        _log.info("trying again: %s", error)


def _reason(error: TargetError) -> str:
    if isinstance(error, ChecksumError):
        return "checksum"
    return str(error.status) if error.status else "connection"

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
from vhdtools.progress import NoProgress
from vhdtools.transfer.outage import Failure, Outage

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
    Everything else is raised as it comes. `retries` counts the tries again by reason; `outage`
    learns of each failure that is waited for.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        halt: threading.Event,
        recover: Callable[[TargetError], bool],
        random_fraction: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
        outage: Outage | None = None,
    ) -> None:
        self._policy = policy
        self._halt = halt
        self._recover = recover
        self._random = random_fraction
        self._clock = clock
        self._outage = Outage(NoProgress(), clock) if outage is None else outage
        self._lock = threading.Lock()
        self.retries: Counter[str] = Counter()

    def call(self, operation: Callable[[], T], what: str = "a request") -> T:
        """The result of `operation`, whose errors are the target's, made as often as it takes.

        `what` it does, such as "writing pages", is for whoever watches it being made again.
        """
        call = object()
        try:
            result = self._call(operation, what, call)
        except (UnavailableError, ChecksumError, TransferInterruptedError):
            self._outage.abandoned(call)
            raise
        except TargetError:
            self._outage.succeeded(call)  # an answer at last, if not the one that was hoped for
            raise
        self._outage.succeeded(call)
        return result

    def _call(self, operation: Callable[[], T], what: str, call: object) -> T:
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
                delay = self._delay(error, failures, since)
                failure = Failure(
                    what,
                    error.subject,
                    error.problem,
                    _reason(error),
                    failures,
                    since,
                    self._clock() + delay,
                    since + self._policy.patience,
                )
                self._outage.failed(call, failure)
                self._pause(error, delay)

    def _delay(self, error: TargetError, failures: int, since: float) -> float:
        """Seconds until the next try; raises `error` where patience ends before."""
        policy = self._policy
        delay = min(policy.max_delay, policy.first_delay * 2.0 ** min(failures - 1, 32))
        delay *= 1 - self._random() / 2
        asked = error.retry_after if isinstance(error, UnavailableError) else None
        if asked is not None:
            delay = max(delay, asked)
        if self._clock() + delay - since > policy.patience:
            raise error
        return delay

    def _pause(self, error: TargetError, delay: float) -> None:
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

"""A target as a transfer uses it: each call paced, and tried until it works or cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from vhdtools.errors import (
    AccessError,
    TargetBusyError,
    TargetError,
    TransferInterruptedError,
    UnavailableError,
)
from vhdtools.progress import NoProgress, Progress
from vhdtools.ranges import PageRange, RangeList, split
from vhdtools.target.page_target import PageTarget, TargetState
from vhdtools.transfer.outage import Outage
from vhdtools.transfer.pacing import Pacer
from vhdtools.transfer.retry import Retrier, RetryPolicy

__all__ = ["Connection"]

T = TypeVar("T")

_CLEAR_AT_ONCE = 64 * 1024**3
"""One Clear Pages may span a whole blob (REST: Put Page), but what takes too long is cut off."""


class Connection:
    """`target` behind one layer of retries and one pacer, for all threads of a transfer.

    `progress` receives what is being retried.

    With `holds_lease` set, a lost lease is asked for again before it is believed: after a sleep or
    a long break it may have run out with nobody else there. `lease_lock` is for whoever changes
    the lease, or renews it unasked.
    """

    def __init__(
        self,
        target: PageTarget,
        policy: RetryPolicy,
        pacer: Pacer,
        halt: threading.Event,
        progress: Progress | None = None,
    ) -> None:
        self.target = target
        self.outage = Outage(NoProgress() if progress is None else progress)
        self.pacer = pacer
        self.holds_lease = False
        self.lease_lock = threading.Lock()
        self._halt = halt
        self._retrier = Retrier(policy, halt, self._recover, outage=self.outage)

    @property
    def retries(self) -> dict[str, int]:
        """Tries again so far, by reason."""
        return dict(self._retrier.retries)

    @property
    def name(self) -> str:
        """The target's name."""
        return self.target.name

    def call(self, operation: Callable[[], T], what: str) -> T:
        """The result of one of the target's methods, tried again as the policy has it.

        `what` it does is for whoever watches: "creating the blob".
        """
        return self._retrier.call(operation, what)

    def state(self) -> TargetState | None:
        """`PageTarget.state`, tried again as the policy has it."""
        return self._retrier.call(self.target.state, "reading the properties")

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        """`PageTarget.write`, in its turn, tried again as the policy has it."""
        return self._retrier.call(
            lambda: self._in_turn(len(data), lambda: self.target.write(offset, data, crc64)),
            "writing pages",
        )

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """`PageTarget.read_into`, in its turn, tried again as the policy has it."""
        self._retrier.call(
            lambda: self._in_turn(len(buffer), lambda: self.target.read_into(offset, buffer)),
            "reading pages",
        )

    def page_ranges(self, offset: int, length: int) -> RangeList:
        """All of `PageTarget.page_ranges`; a try again goes on where the last one broke off."""
        found = RangeList()

        def collect() -> None:
            start = max(offset, found.end)
            if start == offset + length:
                return  # all was told, and asking whether there is more failed
            for item in self.target.page_ranges(start, offset + length - start):
                found.append(item)

        self._retrier.call(collect, "listing page ranges")
        return found

    def clear(self, ranges: RangeList) -> None:
        """Clear all from the first range's start to the last one's end, in few requests."""
        first = next(iter(ranges), None)
        if first is None:
            return
        for item in split((PageRange(first.offset, ranges.end - first.offset),), _CLEAR_AT_ONCE):
            self._clear_one(item)

    def _clear_one(self, item: PageRange) -> None:
        self._retrier.call(lambda: self.target.clear(item.offset, item.length), "clearing pages")

    def _in_turn(self, size: int, operation: Callable[[], T]) -> T:
        """The result of one try at moving `size` bytes, when the pacer lets it go."""
        permit = self.pacer.wait_turn(size, self._halt)
        try:
            if self._halt.is_set():
                raise TransferInterruptedError(self.target.name, "stopped before a request")
            result = operation()
        except BaseException as error:
            throttled = isinstance(error, UnavailableError) and error.throttled
            self.pacer.failed(permit, throttled=throttled)
            raise
        self.pacer.took()
        return result

    def _recover(self, error: TargetError) -> bool:
        if isinstance(error, AccessError):
            return self.target.refresh_access()
        if isinstance(error, TargetBusyError) and self.holds_lease:
            try:
                self.target.renew_lease()
            except TargetBusyError:
                return False
            except AccessError:
                return self.target.refresh_access()
            return True
        return False

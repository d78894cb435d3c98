"""Progress for programs: one JSON object a line on stderr.

    {"event": "start", "task": 1, "name": "uploading", "disk": "disk.vhd", "done": 0, "total": …}
    {"event": "progress", "task": 1, "done": …, "total": …, "bytes_per_second": …}
    {"event": "retry", "operation": "writing pages", "subject": …, "reason": …, "cause": "503",
     "attempts": 2, "next_seconds": …, "give_up_seconds": …, "failing_seconds": …}
    {"event": "recovered", "subject": …, "failing_seconds": …}
    {"event": "note", "text": …}
    {"event": "end", "task": 1, "done": …, "total": …, "complete": true}

Sizes are in bytes. A task's progress is written at most once a second.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from itertools import count
from typing import Any

from vhdtools.cli.meter import Meter
from vhdtools.cli.output import tell_json
from vhdtools.progress import RecoveredEvent, RetryEvent, Task

__all__ = ["JsonProgress"]

_SECONDS = 1.0


class JsonProgress:
    """A `Progress` that writes events."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def task(self, name: str, total: int, done: int = 0, *, subject: str = "") -> Task:
        """Write "start"."""
        number = next(self._numbers)
        tell_json(
            {
                "event": "start",
                "task": number,
                "name": name,
                "disk": subject,
                "done": done,
                "total": total,
            }
        )
        return _JsonTask(number, Meter(total, done))

    def note(self, text: str) -> None:
        """Write "note"."""
        tell_json({"event": "note", "text": text})

    def retrying(self, event: RetryEvent) -> None:
        """Write "retry"."""
        tell_json({"event": "retry", **_rounded(asdict(event))})

    def recovered(self, event: RecoveredEvent) -> None:
        """Write "recovered"."""
        tell_json({"event": "recovered", **_rounded(asdict(event))})

    def close(self) -> None:
        """Nothing is open."""


class _JsonTask:
    def __init__(self, number: int, meter: Meter) -> None:
        self._number = number
        self._meter = meter
        self._lock = threading.Lock()
        self._said = time.monotonic()
        self._open = True

    def advance(self, amount: int) -> None:
        self._meter.advance(amount)
        with self._lock:
            now = time.monotonic()
            if now - self._said >= _SECONDS:
                self._said = now
                rate = self._meter.rate()
                known = None if rate is None else round(rate)
                self._tell("progress", {"bytes_per_second": known})

    def close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                self._tell("end", {"complete": self._meter.done == self._meter.total})

    def _tell(self, event: str, more: dict[str, Any]) -> None:
        meter = self._meter
        amounts = {"done": meter.done, "total": meter.total}
        tell_json({"event": event, "task": self._number, **amounts, **more})


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()
    }

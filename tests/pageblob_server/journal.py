"""What the server saw: a log of requests and counters."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

from .calls import Operation


@dataclass(frozen=True, slots=True)
class Record:
    """One request. `status` is None when no answer was sent; `code` is the service's error code.

    `offset` and `length` are the range it names, `received` the bytes of its body that came, `sent`
    those of the answer's body,
    `waited` the seconds for which latency, limits and slow lines held it up; `started` counts
    seconds from the server's start.
    """

    number: int
    method: str
    operation: Operation
    name: str
    offset: int | None
    length: int | None
    status: int | None
    code: str | None
    fault: str | None
    received: int
    sent: int
    waited: float
    started: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters since the server's start.

    `rewritten_bytes` are bytes of Put Pages that took effect on pages an earlier Put Page of the
    same blob had already written: what a client sent again. `peak` is the most requests ever under
    way at once, `connections` how many connections were ever opened.
    """

    requests: int
    by_operation: dict[str, int]
    by_status: dict[str, int]
    by_code: dict[str, int]
    faults: dict[str, int]
    received_bytes: int
    sent_bytes: int
    written_bytes: int
    rewritten_bytes: int
    peak: int
    connections: int


class Journal:
    """The log and the counters, fed by the server's thread and read by others."""

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._records: deque[Record] = deque(maxlen=size)
        self._by_operation: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._by_code: Counter[str] = Counter()
        self._received = 0
        self._sent = 0
        self._under_way = 0
        self._peak = 0
        self._connections = 0
        self._number = 0
        self._epoch = time.monotonic()

    def begin(self) -> int:
        """Count a request in; its number, from 1."""
        with self._lock:
            self._number += 1
            self._under_way += 1
            self._peak = max(self._peak, self._under_way)
            return self._number

    def connected(self) -> None:
        """Count a connection in."""
        with self._lock:
            self._connections += 1

    def clock(self) -> float:
        """Seconds since the server's start."""
        return time.monotonic() - self._epoch

    def end(self, record: Record) -> None:
        """Count a request out."""
        with self._lock:
            self._under_way -= 1
            self._records.append(record)
            self._by_operation[record.operation.value] += 1
            self._by_status[str(record.status or "none")] += 1
            if record.code is not None:
                self._by_code[record.code] += 1
            self._received += record.received
            self._sent += record.sent

    def records(self) -> tuple[Record, ...]:
        """The requests that ended, in the order in which they did."""
        with self._lock:
            return tuple(self._records)

    def stats(self, faults: Counter[str], written: int, rewritten: int) -> Stats:
        """The counters now."""
        with self._lock:
            return Stats(
                requests=self._number,
                by_operation=dict(self._by_operation),
                by_status=dict(self._by_status),
                by_code=dict(self._by_code),
                faults=dict(faults),
                received_bytes=self._received,
                sent_bytes=self._sent,
                written_bytes=written,
                rewritten_bytes=rewritten,
                peak=self._peak,
                connections=self._connections,
            )

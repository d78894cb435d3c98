"""Faults on demand: what can go wrong, and the schedule that says when.

A schedule is a list of rules; the first rule that applies to a request decides its fault. Rules are
plain values and can be drawn from a seed; what was already spent of them is counted by `Schedule`.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .calls import Operation
from .errors import ServiceError


class Moment(str, Enum):
    """When a fault strikes."""

    BEFORE_BODY = "before the request's body is read"
    BEFORE_EFFECT = "when the request was read, before it takes effect"
    AFTER_EFFECT = "when the request took effect, before it is answered"


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with `error`; with AFTER_EFFECT although the request took effect."""

    error: ServiceError
    moment: Moment = Moment.BEFORE_EFFECT


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection off with a TCP reset and no answer.

    With BEFORE_BODY the first `body_bytes` of the body are still read.
    """

    moment: Moment
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """Do nothing for `seconds`, or, with None, until the server releases its stalls; then go on."""

    seconds: float | None
    moment: Moment = Moment.BEFORE_EFFECT


@dataclass(frozen=True, slots=True)
class CutBody:
    """Answer with whole headers and the first `keep` bytes of the body, then close."""

    keep: int = 0


@dataclass(frozen=True, slots=True)
class CutHeaders:
    """Answer with the first `keep` bytes of the status line and headers, then close.

    Beware: Python's http.client takes headers that end anywhere behind the status for whole ones.
    """

    keep: int = 5


@dataclass(frozen=True, slots=True)
class WrongChecksum:
    """Answer with a CRC-64 (and MD5) that is not the body's."""


@dataclass(frozen=True, slots=True)
class NoChecksum:
    """Answer without any checksum."""


@dataclass(frozen=True, slots=True)
class FlipRequest:
    """Change one bit of the request's body under way.

    Before the service checks it, which it notices; or, with `unnoticed`, behind the check: the
    damage is stored and the request answered as done.
    """

    position: int = 0
    unnoticed: bool = False


@dataclass(frozen=True, slots=True)
class FlipReply:
    """Change one bit of the answer's body, its checksum headers being those of the true one."""

    position: int = 0


@dataclass(frozen=True, slots=True)
class Foreign:
    """Somebody else answers, such as a proxy or a sign-in page: the service never hears of it.

    The answer has these headers and this body alone, also to HEAD its Content-Length.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Repack:
    """A proxy packs the answer otherwise: in chunks, behind a 103, and with `gzip` compressed."""

    gzip: bool = False


@dataclass(frozen=True, slots=True)
class OldVersion:
    """The answer comes in HTTP/1.0, and the connection closes, a while after it."""


@dataclass(frozen=True, slots=True)
class WrongStatus:
    """The service does what it is asked for, and its answer has another status."""

    status: int = 200


Fault = (
    Refuse
    | Foreign
    | Repack
    | OldVersion
    | WrongStatus
    | Reset
    | Stall
    | CutBody
    | CutHeaders
    | WrongChecksum
    | NoChecksum
    | FlipRequest
    | FlipReply
)


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}


def server_busy(retry_after: int | None = None) -> Refuse:
    """503 ServerBusy."""
    message = "The server is busy."
    return Refuse(ServiceError(503, "ServerBusy", message, headers=_retry_after(retry_after)))


def operation_timed_out(moment: Moment = Moment.BEFORE_EFFECT) -> Refuse:
    """500 OperationTimedOut; "the page may or may not have been updated": by `moment`."""
    message = "Operation could not be completed within the specified time."
    return Refuse(ServiceError(500, "OperationTimedOut", message), moment)


def internal_error(moment: Moment = Moment.BEFORE_EFFECT) -> Refuse:
    """500 InternalError."""
    message = "Server encountered an internal error. Please try again after some time."
    return Refuse(ServiceError(500, "InternalError", message), moment)


def too_many_requests(retry_after: int | None = None) -> Refuse:
    """429 TooManyRequests."""
    message = "The request is being throttled."
    return Refuse(ServiceError(429, "TooManyRequests", message, headers=_retry_after(retry_after)))


def request_timeout() -> Refuse:
    """408, as a gateway before the service answers when a body comes too slowly."""
    return Refuse(ServiceError(408, "RequestTimeout", "The request timed out."))


def bad_request(code: str = "InvalidInput") -> Refuse:
    """A 400 that nobody can do anything about."""
    return Refuse(ServiceError(400, code, "One of the request inputs is not valid."))


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests a rule is about; what is None or empty matches all.

    `offset` matches requests whose range covers that byte.
    """

    operations: frozenset[Operation] = frozenset()
    blob: str | None = None
    offset: int | None = None

    def covers(self, operation: Operation, name: str, span: tuple[int, int] | None) -> bool:
        """Whether a request is of this kind."""
        if self.operations and operation not in self.operations:
            return False
        if self.blob is not None and name != self.blob:
            return False
        if self.offset is None:
            return True
        return span is not None and span[0] <= self.offset < span[0] + span[1]


def on(*operations: Operation, blob: str | None = None, offset: int | None = None) -> Match:
    """A match, shorter to write."""
    return Match(frozenset(operations), blob, offset)


WRITES = on(Operation.PUT_PAGE, Operation.CLEAR_PAGES)


@dataclass(frozen=True, slots=True)
class Rule:
    """`fault` for the matching requests after the first `skip`, `times` times (None: for ever).

    With a `probability` below 1 each of them is drawn, by the schedule's seed.
    """

    fault: Fault
    match: Match = WRITES
    skip: int = 0
    times: int | None = 1
    probability: float = 1.0


class Schedule:
    """The rules in force, and how often each was met. Safe to change while requests run."""

    def __init__(self, rules: Iterable[Rule] = (), seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._rules: list[Rule] = []
        self._seen: list[int] = []
        self._struck: list[int] = []
        self._fired: Counter[str] = Counter()
        self.add(*rules)

    def add(self, *rules: Rule) -> None:
        """Append rules."""
        with self._lock:
            for rule in rules:
                self._rules.append(rule)
                self._seen.append(0)
                self._struck.append(0)

    def clear(self) -> None:
        """Forget all rules; what they did stays counted."""
        with self._lock:
            self._rules.clear()
            self._seen.clear()
            self._struck.clear()

    def fired(self) -> Counter[str]:
        """How many faults of each kind struck."""
        with self._lock:
            return Counter(self._fired)

    def choose(self, operation: Operation, name: str, span: tuple[int, int] | None) -> Fault | None:
        """The fault for a request, if any."""
        with self._lock:
            chosen: Fault | None = None
            for index, rule in enumerate(self._rules):
                if not rule.match.covers(operation, name, span):
                    continue
                self._seen[index] += 1
                if chosen is not None or self._seen[index] <= rule.skip:
                    continue
                if rule.times is not None and self._struck[index] >= rule.times:
                    continue
                if rule.probability < 1 and self._random.random() >= rule.probability:
                    continue
                self._struck[index] += 1
                chosen = rule.fault
            if chosen is not None:
                self._fired[kind_of(chosen)] += 1
            return chosen


def kind_of(fault: Fault) -> str:
    """A short name of a fault, for logs and counters."""
    if isinstance(fault, Refuse):
        kind = f"{fault.error.status} {fault.error.code}"
        return f"{kind}, done" if fault.moment is Moment.AFTER_EFFECT else kind
    if isinstance(fault, (Reset, Stall)):
        return f"{type(fault).__name__}, {fault.moment.name.lower().replace('_', ' ')}"
    if isinstance(fault, FlipRequest) and fault.unnoticed:
        return "FlipRequest, unnoticed"
    return type(fault).__name__

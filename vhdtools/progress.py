"""How work reports what it is doing, and what it waits for, to whoever shows it.

One protocol for everything that takes long: an upload, a verification, a deep inspection. Several
may run side by side, each a task of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["NoProgress", "NoTask", "Progress", "RecoveredEvent", "RetryEvent", "Task"]


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """A request has failed, and is to be sent again.

    `operation` says what was requested ("writing pages"), `subject` of what (a URL without its
    query, or a path), `reason` why it failed: none holds a secret. `cause` is the same for
    programs: an HTTP status, "connection" or "checksum". `attempts` were made so far;
    the next one follows in `next_seconds`. If nothing changes, it is given up in
    `give_up_seconds`. `failing_seconds` have passed since the first failure.

    Where several requests fail at the same time, one event stands for all of them: the one that
    failed most often.
    """

    operation: str
    subject: str
    reason: str
    cause: str
    attempts: int
    next_seconds: float
    give_up_seconds: float
    failing_seconds: float


@dataclass(frozen=True, slots=True)
class RecoveredEvent:
    """All requests that had failed have succeeded, `failing_seconds` after the first failure."""

    subject: str
    failing_seconds: float


class Task(Protocol):
    """One piece of work with a known size. Methods are called from any thread."""

    def advance(self, amount: int) -> None:
        """`amount` more bytes are done. In a task that ends well they sum to its total."""
        ...

    def close(self) -> None:
        """The task has ended, well or not; harmless when closed before."""
        ...


class Progress(Protocol):
    """Receives tasks, notes and retries. Methods are called from any thread, and must not block."""

    def task(self, name: str, total: int, done: int = 0, *, subject: str = "") -> Task:
        """A task begins: "checking", "uploading", "verifying" or "reading" the disk `subject`.

        `done` of its `total` bytes are done already, as in an upload that is resumed.
        """
        ...

    def note(self, text: str) -> None:
        """One sentence for the user."""
        ...

    def retrying(self, event: RetryEvent) -> None:
        """A request failed and will be sent again: once when that begins, then with each try."""
        ...

    def recovered(self, event: RecoveredEvent) -> None:
        """The failures that `retrying` reported are over."""
        ...


class NoTask:
    """A task that nobody watches."""

    def advance(self, amount: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class NoProgress:
    """Progress that nobody watches."""

    def task(self, name: str, total: int, done: int = 0, *, subject: str = "") -> Task:
        """A task that does nothing."""
        return NoTask()

    def note(self, text: str) -> None:
        """Nothing."""

    def retrying(self, event: RetryEvent) -> None:
        """Nothing."""

    def recovered(self, event: RecoveredEvent) -> None:
        """Nothing."""

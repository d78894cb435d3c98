"""What a user reads of requests that fail and are sent again."""

from __future__ import annotations

import time
from collections.abc import Callable

from vhdtools.cli.meter import clock_text
from vhdtools.progress import RecoveredEvent, RetryEvent

__all__ = ["Announcer", "Countdown", "seconds_text"]

_QUIET_SECONDS = 30.0
"""Time between two announcements, so that throttling does not fill the screen."""
_BRIEF_SECONDS = 5.0


class Announcer:
    """Decides which retries are worth a line of their own.

    The first of an outage always is, at once; then one every half minute. Outages that follow each
    other within that time, as a service's throttling makes them, are announced when they last.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said_at: float | None = None
        self._announced = False

    def retrying(self, event: RetryEvent) -> str | None:
        """The line to print for a retry, if any."""
        now = self._clock()
        recent = self._said_at is not None and now - self._said_at < _QUIET_SECONDS
        if recent and (self._announced or event.failing_seconds < _BRIEF_SECONDS):
            return None
        self._said_at = now
        self._announced = True
        count = "once" if event.attempts == 1 else f"{event.attempts} times"
        return (
            f"Retrying: {event.operation} failed {count}: {event.reason} ({event.subject}). "
            f"Next try in {seconds_text(event.next_seconds)}, giving up in "
            f"{clock_text(event.give_up_seconds)}."
        )

    def recovered(self, event: RecoveredEvent) -> str | None:
        """The line to print when an outage is over, if its beginning was printed."""
        if not self._announced:
            return None
        self._announced = False
        return f"Recovered after {seconds_text(event.failing_seconds)}: {event.subject}"


class Countdown:
    """A retry as it looks while its time passes."""

    def __init__(self, event: RetryEvent, clock: Callable[[], float] = time.monotonic) -> None:
        self._event = event
        self._clock = clock
        self._at = clock()

    def __str__(self) -> str:
        event, passed = self._event, self._clock() - self._at
        left = event.next_seconds - passed
        when = f"attempt {event.attempts + 1} " + (f"in {left:.0f} s" if left >= 0.5 else "now")
        give_up = clock_text(max(0.0, event.give_up_seconds - passed))
        return f"{when}, giving up in {give_up}: {event.reason}"


def seconds_text(seconds: float) -> str:
    """A short time: "0.5 s", "42 s", or as a clock from two minutes on."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else clock_text(seconds)

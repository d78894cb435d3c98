"""Progress for people: a bar on a terminal, a line now and then elsewhere, always on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vhdtools.cli.output import tell
from vhdtools.transfer.progress import NoProgress, Progress

__all__ = ["choose_progress", "shown_progress"]

_LINE_SECONDS = 10.0


def choose_progress(*, wanted: bool) -> Progress:
    """What fits where stderr goes to; nothing at all where it is not wanted."""
    if not wanted:
        return NoProgress()
    return _Bar() if sys.stderr.isatty() else _Lines()


@contextmanager
def shown_progress(*, wanted: bool) -> Iterator[Progress]:
    """`choose_progress`, with no bar left open: an error is told on a line of its own."""
    progress = choose_progress(wanted=wanted)
    try:
        yield progress
    finally:
        if isinstance(progress, _Bar):
            progress.close()


class _Bar:
    """A tqdm bar for each stage."""

    def __init__(self) -> None:
        from tqdm import tqdm

        class Bar(tqdm):  # type: ignore[type-arg]
            monitor_interval = 0  # no thread beside ours

        self._tqdm = Bar
        self._bar: Bar | None = None
        self._lock = threading.Lock()
        self._left = 0

    def start(self, stage: str, total: int) -> None:
        self.close()
        if not total:
            return
        self._bar = self._tqdm(
            total=total,
            desc=stage.capitalize(),
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            file=sys.stderr,
            dynamic_ncols=True,
            mininterval=0.2,
        )
        self._left = total

    def advance(self, amount: int) -> None:
        with self._lock:
            if self._bar is None:
                return
            self._bar.update(amount)
            self._left -= amount
        if self._left <= 0:
            self.close()

    def note(self, text: str) -> None:
        with self._lock, suppress(OSError):
            self._tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it stands."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None


class _Lines:
    """A line every ten seconds, and one at the end of each stage."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stage = ""
        self._total = self._done = 0
        self._said = 0.0

    def start(self, stage: str, total: int) -> None:
        with self._lock:
            self._stage, self._total, self._done = stage, total, 0
            self._said = time.monotonic()

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount
            now = time.monotonic()
            if self._done >= self._total or now - self._said >= _LINE_SECONDS:
                self._said = now
                share = 100 * self._done // max(self._total, 1)
                tell(f"{self._stage}: {share} % ({self._done:,} of {self._total:,} bytes)")

    def note(self, text: str) -> None:
        with self._lock:
            tell(text)

"""Progress for people: a bar on a terminal, a line now and then elsewhere, always on stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import Any, Literal, Protocol, TypeAlias

from vhdtools.cli.formatting import printable
from vhdtools.cli.logs import logs_to
from vhdtools.cli.meter import Meter, amounts_text, clock_text, rate_text
from vhdtools.cli.outage_text import Announcer, Countdown
from vhdtools.cli.output import tell
from vhdtools.progress import NoProgress, Progress, RecoveredEvent, RetryEvent, Task

__all__ = ["ProgressKind", "shown_progress"]

ProgressKind: TypeAlias = Literal["auto", "lines", "json", "none"]
"""`auto` is a bar on a terminal and lines elsewhere."""

_LINE_SECONDS = 10.0
_TICK_SECONDS = 0.25


@contextmanager
def shown_progress(kind: ProgressKind) -> Iterator[Progress]:
    """Progress as it is wanted, with no bar left open: what follows has a line of its own.

    Warnings and log lines meanwhile are written so that they stand on lines of their own, too.
    """
    if kind == "none":
        with logs_to(tell):
            yield NoProgress()
        return
    progress: _Shown
    if kind == "json":
        from vhdtools.cli.progress_json import JsonProgress

        progress = JsonProgress()
    elif kind == "auto" and sys.stderr.isatty():
        progress = _Bars()
    else:
        progress = _Lines()
    try:
        with logs_to(progress.note):
            yield progress
    finally:
        progress.close()


class _Shown(Progress, Protocol):
    def close(self) -> None: ...


def _title(name: str, subject: str) -> str:
    title = name.capitalize()
    return f"{title} {printable(PurePath(subject).name)}" if subject else title


class _Bars:
    """A tqdm bar for each task; a thread draws them, so that workers never wait for a terminal."""

    def __init__(self) -> None:
        from tqdm import tqdm

        class Line(tqdm):  # type: ignore[type-arg]
            monitor_interval = 0  # no thread beside ours
            status = ""

            @property
            def format_dict(self) -> Any:
                return {**super().format_dict, "status": self.status}

        self._new_line = Line
        self._lock = threading.Lock()
        self._bars: list[_Bar] = []
        self._announcer = Announcer()
        self._countdown: Countdown | None = None
        self._waiting: Any = None
        self._none = "–" if _can_write("–") else "-"
        self._closed = threading.Event()
        self._drawer = threading.Thread(target=self._draw, name="vhdtool-progress", daemon=True)
        self._drawer.start()

    def task(self, name: str, total: int, done: int = 0, *, subject: str = "") -> Task:
        bar = _Bar(_title(name, subject), Meter(total, done), self._remove)
        if total:
            with self._lock, suppress(OSError):
                self._bars.append(bar)
                self._drop_waiting()
                bar.line = self._open_line(total)
                self._show(bar)
        return bar

    def note(self, text: str) -> None:
        tell(printable(text))

    def retrying(self, event: RetryEvent) -> None:
        with self._lock:
            self._countdown = Countdown(event)
            text = self._announcer.retrying(event)
        if text is not None:
            self.note(text)

    def recovered(self, event: RecoveredEvent) -> None:
        with self._lock, suppress(OSError):
            self._countdown = None
            self._drop_waiting()
            text = self._announcer.recovered(event)
        if text is not None:
            self.note(text)

    def close(self) -> None:
        """Leave the bars as they stand."""
        self._closed.set()
        self._drawer.join()
        for bar in list(self._bars):
            bar.close()
        with self._lock, suppress(OSError):
            self._drop_waiting()

    def _open_line(self, total: int | None) -> Any:
        return self._new_line(
            total=total, file=sys.stderr, dynamic_ncols=True, bar_format="{status}"
        )

    def _remove(self, bar: _Bar) -> None:
        with self._lock:
            if bar not in self._bars:
                return
            self._bars.remove(bar)
            with suppress(OSError):
                self._show(bar)
                bar.line.close()

    def _draw(self) -> None:
        while not self._closed.wait(_TICK_SECONDS):
            with self._lock, suppress(OSError):
                for bar in self._bars:
                    self._show(bar)
                if not self._bars and self._countdown is not None:
                    if self._waiting is None:
                        self._waiting = self._open_line(None)
                        self._waiting.leave = False
                    self._waiting.status = f"Waiting: {printable(str(self._countdown))}"
                    self._waiting.refresh()

    def _show(self, bar: _Bar) -> None:
        meter, line = bar.meter, bar.line
        amounts = amounts_text(meter.done, meter.total)
        head = f"{bar.title} {meter.percent:3}%"
        line.n = min(meter.done, meter.total)
        rate = meter.rate()
        if self._countdown is None:
            speed = f"{rate_text(rate, self._none)}, {clock_text(_left(meter, rate), self._none)}"
            line.status = f"| {amounts}, {speed} left"
            line.bar_format = _escape(head) + " |{bar}{status}"
        else:
            # Nothing may be moving: then neither a rate nor a time left means anything.
            speed = rate_text(rate, self._none)
            line.status = f"{head}, {speed}, {printable(str(self._countdown))}"
            line.bar_format = "{status}"
        line.refresh()

    def _drop_waiting(self) -> None:
        line, self._waiting = self._waiting, None
        if line is not None:
            line.close()


class _Bar:
    """One task of `_Bars`."""

    def __init__(self, title: str, meter: Meter, remove: Callable[[_Bar], None]) -> None:
        self.title = title
        self.meter = meter
        self.line: Any = None
        self._remove = remove

    def advance(self, amount: int) -> None:
        self.meter.advance(amount)

    def close(self) -> None:
        self._remove(self)


class _Lines:
    """A line every ten seconds, and one at the end of each task."""

    def __init__(self) -> None:
        self._announcer = Announcer()
        self._lock = threading.Lock()

    def task(self, name: str, total: int, done: int = 0, *, subject: str = "") -> Task:
        return _LineTask(_title(name, subject), Meter(total, done))

    def note(self, text: str) -> None:
        tell(printable(text))

    def retrying(self, event: RetryEvent) -> None:
        with self._lock:
            text = self._announcer.retrying(event)
        if text is not None:
            self.note(text)

    def recovered(self, event: RecoveredEvent) -> None:
        with self._lock:
            text = self._announcer.recovered(event)
        if text is not None:
            self.note(text)

    def close(self) -> None:
        """Nothing is open."""


class _LineTask:
    """One task of `_Lines`."""

    def __init__(self, title: str, meter: Meter) -> None:
        self._title = title
        self._meter = meter
        self._lock = threading.Lock()
        self._said = time.monotonic()
        self._at = -1

    def advance(self, amount: int) -> None:
        self._meter.advance(amount)
        with self._lock:
            now = time.monotonic()
            if now - self._said >= _LINE_SECONDS:
                self._said = now
                self._tell()

    def close(self) -> None:
        with self._lock:
            if self._meter.total:
                self._tell()

    def _tell(self) -> None:
        meter = self._meter
        if meter.done == self._at:
            return
        self._at = meter.done
        rate = meter.rate()
        speed = "" if rate is None else f", {rate_text(rate)}"
        if rate is not None and meter.done < meter.total:
            speed += f", {clock_text(_left(meter, rate))} left"
        amounts = amounts_text(meter.done, meter.total)
        tell(f"{self._title}: {meter.percent}% ({amounts}{speed})")


def _left(meter: Meter, rate: float | None) -> float | None:
    return (meter.total - meter.done) / rate if rate else None


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _escape(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")

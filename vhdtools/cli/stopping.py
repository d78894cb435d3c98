"""Ctrl-C and SIGTERM: once stops in order, twice at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["stop_on_signals"]

_INTERRUPTED = 130
_SAID = b"\nStopping: what is in flight ends first. Once more stops at once.\n"


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second ends the process with 130."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(_INTERRUPTED)
        stop.set()
        # Not through sys.stderr: a handler may interrupt a write to the same stream.
        with suppress(OSError):
            os.write(2, _SAID)

    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

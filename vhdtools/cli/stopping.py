"""Ctrl-C, SIGTERM and SIGHUP: once stops in order, twice at once; and how to resume afterwards."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from vhdtools.text import holds_secret, shell_quoted

__all__ = ["command_text", "stop_on_signals"]

_INTERRUPTED = 130
_SAID = b"\nStopping: requests in flight end first. Interrupt again to stop at once.\n"
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""SIGHUP: the terminal was closed, or the connection to it lost. SIGBREAK: Ctrl-Break, Windows."""


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the first signal sets; the same signal again ends the process with 130.

    A signal that is ignored, as SIGHUP is under nohup, stays ignored. SIGHUP never ends at once: a
    terminal that is closed may send it twice, and systemd may send it beside SIGTERM.
    """
    stop = threading.Event()
    seen = set[int]()
    hangup = getattr(signal, "SIGHUP", None)

    def handle(number: int, _frame: FrameType | None) -> None:
        if number in seen and number != hangup:
            os._exit(_INTERRUPTED)
        seen.add(number)
        if stop.is_set():
            return
        stop.set()
        # Not through sys.stderr: a handler may interrupt a write to the same stream.
        with suppress(OSError):
            os.write(2, _SAID)

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    before = {
        number: signal.signal(number, handle)
        for number in numbers
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command_text(arguments: Sequence[str]) -> str | None:
    """The command with these arguments, quoted for the shell; None where one holds a secret."""
    if any(map(holds_secret, arguments)):
        return None
    words = (
        shlex.quote(word) if word.startswith("-") else shell_quoted(word) for word in arguments
    )
    return " ".join(["vhdtool", *words])

"""Standard output and standard error, whatever their state: closed, full, or without a reader.

Results go to stdout, and what it does not take is an error. All else goes to stderr, and is lost
where that takes nothing: no work fails because its progress cannot be told.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from traceback import walk_tb
from typing import Any

import click

from vhdtools.errors import VhdToolsError
from vhdtools.text import name_bytes, printable, redact

__all__ = [
    "prepare_streams",
    "say",
    "say_json",
    "say_json_array",
    "settle_streams",
    "tell",
    "tell_error",
    "tell_json",
    "told_of_stdout",
]


def prepare_streams() -> None:
    """Make stdout and stderr fit for any text, and keep the numbers of closed ones from files.

    The next file to be opened, perhaps the disk, would otherwise be what a closed stream writes
    to. A closed stdout is opened for reading, so that writing to it fails, and is told.
    """
    for number, flags in enumerate([os.O_RDONLY, os.O_RDONLY, os.O_WRONLY]):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free: this one
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # What cannot show a character gets its escape, never a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def settle_streams() -> None:
    """Give up what could not be written, which the interpreter would try once more, and tell."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(text: str, *, done: str = "", end: str = "\n") -> None:
    """Print a result to stdout.

    Raises VhdToolsError where that fails, with `done`, which says what was achieved all the same.
    Where there is nothing to say, a reader that went away is left to click, which ends quietly.
    """
    try:
        # With `file` given, click does not write UTF-8 where the locale has ASCII alone.
        click.echo(redact(text) + end, file=sys.stdout, nl=False, color=_color())
    except OSError as error:
        if error.errno == errno.EPIPE and not done:
            raise
        raise _unwritable(error, done) from error


def say_json(value: Any, *, done: str = "") -> None:
    r"""Print a JSON document as `say` does, in ASCII.

    Bytes of a name that are no UTF-8 stand there as "\\xff": many readers of JSON refuse the
    lone surrogates that Python has for them.
    """
    say(_json_text(value), done=done)


def say_json_array(values: Iterable[Any]) -> None:
    """Print an array as `say_json` does, each value as soon as it is there."""
    before = "["
    for value in values:
        say(f"{before}\n  " + _json_text(value).replace("\n", "\n  "), end="")
        before = ","
    say("\n]")


def tell(text: str) -> None:
    """Print to stderr, if that takes it; on lines of its own, also where progress is shown."""
    with suppress(OSError), _beside_bars():
        click.echo(redact(text), file=sys.stderr, color=_color())


def tell_json(value: Any) -> None:
    """Print one JSON object on a line of stderr, in ASCII, if that takes it."""
    with suppress(OSError):
        click.echo(redact(json.dumps(_unicode(value))), file=sys.stderr)


def _beside_bars() -> AbstractContextManager[None]:
    """Bars that are drawn on stderr are taken away meanwhile."""
    tqdm = sys.modules.get("tqdm")
    bars: AbstractContextManager[None]
    bars = nullcontext() if tqdm is None else tqdm.tqdm.external_write_mode(file=sys.stderr)
    return bars


def tell_error(message: str) -> None:
    """Print an error to stderr, escaped."""
    tell(click.style("Error: ", fg="red", bold=True) + printable(message))


def told_of_stdout(error: Exception) -> Exception:
    """The same error, but one of printing, as click prints help by itself, as `say` tells it."""
    echo = click.echo.__code__
    printing = any(frame.f_code is echo for frame, _ in walk_tb(error.__traceback__))
    return _unwritable(error) if printing and isinstance(error, OSError) else error


def _unwritable(error: OSError, done: str = "") -> VhdToolsError:
    why = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
    return VhdToolsError("standard output", f"the result cannot be written: {why}", done)


def _color() -> bool | None:
    """Colour for terminals, each stream by itself; none where it is not wanted."""
    return False if os.environ.get("NO_COLOR") else None


def _json_text(value: Any) -> str:
    return json.dumps(_unicode(value), indent=2)


def _unicode(value: Any) -> Any:
    if isinstance(value, dict):
        return {redact(key): _unicode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unicode(item) for item in value]
    if not isinstance(value, str):
        return value
    value = redact(value)
    return value if value.isascii() else name_bytes(value).decode("utf-8", "backslashreplace")

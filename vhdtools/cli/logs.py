"""Log records on stderr, each on a line of its own, whatever else is shown there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vhdtools.cli.output import tell
from vhdtools.logs import RedactingFormatter

__all__ = ["log_to_stderr", "logs_to"]


def log_to_stderr(level: int) -> None:
    """Log what vhdtools does from `level` on, unless somebody else has set up logging."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_Handler("%(asctime)s %(name)s: %(message)s"))
    logging.getLogger("vhdtools").setLevel(level)


@contextmanager
def logs_to(write: Callable[[str], None]) -> Iterator[None]:
    """What is logged is written by `write` meanwhile: warnings, or with `-v` what that asks for."""
    root = logging.getLogger()
    added = _Handler("Warning: %(message)s", logging.WARNING)
    if not root.handlers:
        root.addHandler(added)
    ours = [handler for handler in root.handlers if isinstance(handler, _Handler)]
    for handler in ours:
        handler.write = write
    try:
        yield
    finally:
        for handler in ours:
            handler.write = tell
        root.removeHandler(added)


class _Handler(logging.Handler):
    """Writes records through `write`."""

    def __init__(self, form: str, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.setFormatter(RedactingFormatter(form))
        self.write: Callable[[str], None] = tell

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.write(self.format(record))
        except Exception:  # noqa: BLE001  # as every handler of the standard library does
            self.handleError(record)

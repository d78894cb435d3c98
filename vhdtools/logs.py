"""Loggers whose records carry no secrets, whatever handler they reach."""

from __future__ import annotations

import logging
import traceback

from vhdtools.text import redact as _redact

__all__ = ["RedactingFormatter", "logger"]


def logger(name: str) -> logging.Logger:
    """The logger of that name, with the secrets taken out of all that is logged through it."""
    found = logging.getLogger(name)
    if not any(isinstance(each, _Redaction) for each in found.filters):
        found.addFilter(_Redaction())
    return found


class _Redaction(logging.Filter):
    """Redacts a record before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _redact(record.getMessage()), ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = _redact("".join(traceback.format_exception(record.exc_info[1])))
            record.exc_info = None
        return True


class RedactingFormatter(logging.Formatter):
    """Redacts what loggers of other packages say, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return _redact(super().format(record))

"""`-v`: what is done goes to stderr through the standard logging module."""

from __future__ import annotations

import click

__all__ = ["verbose_option"]


def _log(_context: click.Context, _parameter: click.Parameter, count: int) -> None:
    if not count:
        return
    import logging

    from vhdtools.cli.logs import log_to_stderr

    log_to_stderr(logging.DEBUG if count > 1 else logging.INFO)


verbose_option = click.option(
    "-v",
    "--verbose",
    count=True,
    expose_value=False,
    callback=_log,
    help="Log what is done to stderr; twice for more, and for the traceback of a bug.",
)
"""Given before or after a command's name."""

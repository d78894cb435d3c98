"""`-v`: what is done goes to stderr through the standard logging module."""

from __future__ import annotations

import click

__all__ = ["verbose_option"]


def _log(_context: click.Context, _parameter: click.Parameter, count: int) -> None:
    if not count:
        return
    import logging

    from vhdtools.logs import RedactingFormatter

    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter("%(asctime)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("vhdtools").setLevel(logging.DEBUG if count > 1 else logging.INFO)


verbose_option = click.option(
    "-v",
    "--verbose",
    count=True,
    expose_value=False,
    callback=_log,
    help="Log what is done to stderr; twice for more, and for the traceback of a bug.",
)
"""Given before or after a command's name."""

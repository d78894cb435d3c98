"""What a command says of a target that is not the disk: the commands that help, and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from vhdtools.cli.output import say_json
from vhdtools.cli.stopping import command_text
from vhdtools.errors import VerificationError

__all__ = ["told_difference"]


@contextmanager
def told_difference(*, as_json: bool) -> Iterator[None]:
    """A VerificationError names the upload that helps; with `as_json` it is on stdout, too."""
    try:
        yield
    except VerificationError as error:
        error.remedy = _remedy(error, click.get_current_context().obj or ())
        if as_json:
            told = {
                "blob_url": error.subject,
                "verified": False,
                "difference_offset": error.offset,
                "ranges": [[item.offset, item.length] for item in error.ranges],
                "changed": error.changed,
                "unfinished_at": error.unfinished_at,
                "message": str(error),
            }
            say_json(told, done=str(error))
        raise


def _remedy(error: VerificationError, arguments: Sequence[str]) -> str:
    at = next((at for at, word in enumerate(arguments) if word in ("verify", "upload")), None)
    if at is None or (not error.ranges and error.unfinished_at is None):
        return error.remedy
    words = [*arguments[:at], "upload", *arguments[at + 1 :]]
    if error.unfinished_at is None and "--overwrite" not in words:
        words.append("--overwrite")
    command = command_text(words)
    if command is None:
        extra = "" if error.unfinished_at is not None else ", and --overwrite"
        return f"{error.remedy} The upload is `vhdtool upload` with the same arguments{extra}"
    return f"{error.remedy} The upload: `{command}`"

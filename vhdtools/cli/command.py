"""Commands that look at what was typed before click does, whose errors repeat it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

import click

from vhdtools.errors import UsageError
from vhdtools.inputs import local_path, looks_like_url, refuse_secret
from vhdtools.text import holds_secret, printable, redact

__all__ = ["ARGUMENTS", "DISK", "Command", "redacted", "refuse_secrets"]

ARGUMENTS = "vhdtools.arguments"
"""Under this name, the context's `meta` has the words of the whole command line."""

_SECRET_OPTIONS = ("--connection-string",)


class Command(click.Command):
    """A command that refuses a secret in the wrong place, and does not repeat it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, as click does, once it is known to have no misplaced secret."""
        refuse_secrets(self.params, args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if type(error) is not click.UsageError:
                raise  # the others name a parameter, whose value was looked at
            # Too many arguments, which click repeats: one may be a piece of a URL or of a key.
            raise click.UsageError(
                "There are more arguments than the command takes. Put quotation marks around "
                "a URL, and around a name with blanks in it.",
                ctx,
            ) from None


def refuse_secrets(parameters: Sequence[click.Parameter], args: Sequence[str]) -> None:
    """Raise UsageError where a secret is not where one belongs.

    It belongs into a blob's name, among the arguments, and into the value of --connection-string.
    Arguments are judged by the command, which knows which of them names a blob.
    """
    before = ""
    for option, value in _values(parameters, args):
        if option is not None:
            if option not in _SECRET_OPTIONS:
                refuse_secret(option, value)
            before = ""
            continue
        if not looks_like_url(value) and "?" not in value and "%3f" not in value.lower():
            refuse_secret("an argument", value)
        if _are_pieces(before, value):
            raise UsageError(
                "an argument",
                "this is a piece of the argument before it, which holds a SAS or a key "
                "(it is not repeated)",
                "Put a URL between quotation marks, on one line.",
            )
        before = value


def _are_pieces(first: str, second: str) -> bool:
    """Whether a line break or a blank cut a SAS or a key in two."""
    if os.path.lexists(second) or looks_like_url(second) or holds_secret(second):
        return False
    if holds_secret(first):
        return "." not in second  # what has a dot is another disk's name
    return holds_secret(first + second)


def _values(
    parameters: Sequence[click.Parameter], args: Sequence[str]
) -> Iterator[tuple[str | None, str]]:
    """Each option with its value, and each argument with None in place of an option.

    An option that is not known has its whole text for its value, and "an option" for its name.
    """
    takes_value = {
        name: not option.is_flag and not option.count
        for option in parameters
        if isinstance(option, click.Option)
        for name in option.opts
    }
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            yield from ((None, each) for each in rest)
        elif not arg.startswith("-") or arg == "-":
            yield None, arg
        else:
            name, equals, value = arg.partition("=")
            if name not in takes_value:
                yield "an option", arg
            elif equals:
                yield name, value
            elif takes_value[name]:
                yield name, next(rest, "")


class _Disk(click.Path):
    """A disk in a file on this machine, the only kind that most commands read."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        local_path(value)
        return super().convert(value, param, ctx)


DISK = _Disk(dir_okay=False)
"""A file's path. A URL is refused with the reason, and without its query."""


def redacted(error: click.ClickException) -> str:
    """What click prints of an error, usage included, without secrets and without control codes."""
    text = io.StringIO()
    error.show(text)
    return "\n".join(map(printable, redact(text.getvalue()).rstrip("\n").split("\n")))

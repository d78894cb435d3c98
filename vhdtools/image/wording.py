"""Text that came out of a file, or names one, made fit for a message."""

from __future__ import annotations

import shlex

__all__ = ["name_bytes", "printable", "shell_quoted"]


def printable(text: str) -> str:
    """`text` with everything escaped that could move a terminal's cursor, or deceive the eye."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def name_bytes(name: str) -> bytes:
    """The bytes of a file's name: UTF-8, but for those that Python shows as lone surrogates."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as Windows allows in names
        return name.encode("utf-8", "backslashreplace")


def shell_quoted(path: str) -> str:
    """A file's name for a command that is shown, to be copied: one word, and no option."""
    if path.startswith("-"):
        path = f"./{path}"
    if path.isprintable():
        return shlex.quote(path)
    # What is shown escaped can be copied only if the shell undoes it.
    shown = "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in name_bytes(path)
    )
    return f"$'{shown}'"

"""Text that came out of a file, made fit for a message."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """`text` with everything escaped that could move a terminal's cursor, or deceive the eye."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )

"""How things look on a terminal: sizes, tables, colours."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

import click

from vhdtools.inspection.describe import printable, quantity, size_text

__all__ = [
    "can_show",
    "format_size",
    "heading",
    "paragraph",
    "printable",
    "quantity",
    "share_text",
    "table",
    "terminal_width",
]

_MAX_WIDTH = 110

format_size = size_text
"""A size in bytes as people read it: "30 GiB (32,212,254,720 bytes)"."""


def terminal_width() -> int:
    """Columns to write in; 80 where stdout is no terminal."""
    if not sys.stdout.isatty():
        return 80
    return max(40, min(shutil.get_terminal_size().columns, _MAX_WIDTH))


def can_show(characters: str) -> bool:
    """Whether stdout's encoding has all of these characters."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def share_text(part: int, whole: int) -> str:
    """A share in per cent; one that is neither none nor all is never shown as such."""
    if part in (0, whole):
        return "100%" if part else "0%"
    share = 100 * part / whole
    return "< 0.1%" if share < 0.1 else "> 99.9%" if 99.9 < share < 100 else f"{share:.1f}%"


def heading(text: str) -> str:
    """The title of a part of the output."""
    return click.style(text, bold=True)


def paragraph(text: str, indent: int, width: int, hanging: int | None = None) -> str:
    """`text` in lines of at most `width`, `indent` columns in; words are never broken.

    All lines but the first are `hanging` columns in, where that is given.
    """
    return textwrap.fill(
        text,
        max(width, indent + 20),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent if hanging is None else hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(rows: Sequence[Sequence[str]], indent: int = 2) -> list[str]:
    """Lines of columns that line up. Cells may be styled."""
    if not rows:
        return []
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return lines


def _width(cell: str) -> int:
    return len(click.unstyle(cell))

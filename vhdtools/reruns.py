"""What to do that is to make the same call again, with one more argument.

An error or a finding does not know which command was run, or whether any was: the library tells
of its argument, the command line of its option, in the command that the user typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = [
    "BASE_END",
    "BASE_START",
    "BITMAPS_COUNT",
    "DATA_COUNTS",
    "PARENT_DIR",
    "PARENT_FILE",
    "RAW_PARENT",
    "RAW_PARENT_FILE",
    "SIZE_CURRENT",
    "SIZE_GEOMETRY",
    "Rerun",
    "as_shown",
    "with_reruns",
]


class Rerun(NamedTuple):
    """A way for the same call to succeed: made again, with one more argument.

    `when` it is right, as a clause; `argument` as Python writes it; `options` of the command line
    that mean the same, a word in capitals being what the user has to put there.
    """

    when: str
    argument: str
    options: tuple[str, ...]


def with_reruns(remedy: str, reruns: Sequence[Rerun]) -> str:
    """`remedy`, and after it each way to make the call again: as Python and the command say it."""
    ways = [f"{rerun.when}: {_neutral(rerun)}" for rerun in reruns]
    ways[1:] = [way[:1].lower() + way[1:] for way in ways[1:]]
    return f"{remedy} {'; '.join(ways)}".strip()


def as_shown(text: str, reruns: Sequence[Rerun], shown: Callable[[Rerun], str]) -> str:
    """The text of `with_reruns`, with each of them `shown` as whoever made the call writes it."""
    for rerun in reruns:
        text = text.replace(_neutral(rerun), shown(rerun))
    return text


def _neutral(rerun: Rerun) -> str:
    return f"{rerun.argument} ({' '.join(rerun.options)})"


PARENT_DIR = Rerun(
    "If it is in another folder", 'parent_dirs=["FOLDER"]', ("--parent-dir", "FOLDER")
)
PARENT_FILE = Rerun("If you know the file", 'parents=["FILE"]', ("--parent", "FILE"))
RAW_PARENT = Rerun("If you trust the name", "raw_parent=True", ("--raw-parent",))
RAW_PARENT_FILE = Rerun(
    "If you know the file",
    'parents=["FILE"], raw_parent=True',
    ("--parent", "FILE", "--raw-parent"),
)
BASE_START = Rerun(
    "If the disk begins at the file's start, as qemu reads it",
    'fixed_base="start"',
    ("--fixed-base", "start"),
)
BASE_END = Rerun(
    "If the disk ends at the footer, as 7-Zip reads it",
    'fixed_base="end"',
    ("--fixed-base", "end"),
)
SIZE_CURRENT = Rerun(
    "If the disk has its current size", 'size_rule="current"', ("--size-rule", "current")
)
SIZE_GEOMETRY = Rerun(
    "If the disk has the geometry's size", 'size_rule="geometry"', ("--size-rule", "geometry")
)
BITMAPS_COUNT = Rerun(
    "If a clear bit means that the sector was not written here, as VirtualBox reads it",
    'bitmap_rule="bitmap"',
    ("--bitmap-rule", "bitmap"),
)
DATA_COUNTS = Rerun(
    "If all of an allocated block counts, as qemu reads it",
    'bitmap_rule="data"',
    ("--bitmap-rule", "data"),
)

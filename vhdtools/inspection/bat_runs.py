"""The BAT in runs: blocks that follow each other on the disk and in the file alike."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from vhdtools.layout import UNALLOCATED

__all__ = ["BatRun", "bat_runs"]


@dataclass(frozen=True, slots=True)
class BatRun:
    """`count` blocks from block `first`; the first at `sector` of the file (None: not in it)."""

    first: int
    count: int
    sector: int | None


def bat_runs(bat: array[int], span: int) -> Iterator[BatRun]:
    """All of `bat` in runs; `span` is the sectors that a block with its bitmap takes."""
    first = 0
    expected = start = None
    for block, entry in enumerate(bat):
        sector = None if entry == UNALLOCATED else entry
        if block and sector != expected:
            yield BatRun(first, block - first, start)
            first, start = block, sector
        elif not block:
            start = sector
        expected = None if sector is None else sector + span
    if bat:
        yield BatRun(first, len(bat) - first, start)

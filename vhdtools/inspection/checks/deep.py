"""What is to be said about the blocks once all of them were read."""

from __future__ import annotations

from collections.abc import Iterator

from vhdtools.image.structure import Structure
from vhdtools.inspection.deep import DeepResult
from vhdtools.inspection.describe import quantity
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.kinds import blocks as kinds
from vhdtools.layout import DiskType

__all__ = ["check_deep"]


def check_deep(deep: DeepResult, structure: Structure) -> Iterator[Finding]:
    """Clear bits over data, and blocks that are all zeros."""
    blocks = deep.blocks
    if blocks is None:
        return
    if blocks.clear_over_data:
        differencing = (
            structure.footer is not None and structure.footer.disk_type == DiskType.DIFFERENCING
        )
        told = "not to be in this disk" if differencing else "never to have been written"
        read = "they are read from the parent" if differencing else "they are read as zeros"
        yield kinds.BITMAP_CLEAR_DATA.found(
            f"the sector bitmaps call {quantity(blocks.clear_over_data, 'sector')} {told} "
            f"that hold data; {read}",
            blocks.first_clear_over_data,
            level=Level.INFO if differencing else None,
        )
    if blocks.all_zero:
        yield kinds.BLOCKS_ALL_ZERO.found(
            f"{quantity(blocks.all_zero, 'block')} of {blocks.allocated:,} "
            f"{'holds' if blocks.all_zero == 1 else 'hold'} nothing but zeros"
        )

"""What is to be said about the blocks once all of them were read."""

from __future__ import annotations

from collections.abc import Iterator

from vhdtools.image.chain import Link
from vhdtools.inspection.deep import DeepResult
from vhdtools.inspection.describe import quantity
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.kinds import blocks as kinds
from vhdtools.layout import DiskType

__all__ = ["check_deep"]


def check_deep(deep: DeepResult, link: Link) -> Iterator[Finding]:
    """Clear bits over data, and blocks that are all zeros."""
    blocks = deep.blocks
    if blocks is None:
        return
    if blocks.clear_over_data:
        footer, made = link.structure.footer, link.reading.bitmaps
        differencing = footer is not None and footer.disk_type == DiskType.DIFFERENCING
        told = "not to be in this disk" if differencing else "never to have been written"
        if made is not None and made.reason == "option":
            read = "they are read as data" if made.choice == "data" else _CLEAR[differencing]
            level = Level.INFO if differencing and made.choice == "bitmap" else Level.WARNING
        else:
            read = _CLEAR[True] if differencing else "which of the two is right must be said"
            level = Level.INFO if differencing else Level.ERROR
        yield kinds.BITMAP_CLEAR_DATA.found(
            f"the sector bitmaps call {quantity(blocks.clear_over_data, 'sector')} {told} "
            f"that hold data; {read}",
            blocks.first_clear_over_data,
            level=level,
        )
    if blocks.all_zero:
        yield kinds.BLOCKS_ALL_ZERO.found(
            f"{quantity(blocks.all_zero, 'block')} of {blocks.allocated:,} "
            f"{'holds' if blocks.all_zero == 1 else 'hold'} nothing but zeros"
        )


_CLEAR = {True: "they are read from the parent", False: "they are read as zeros"}

"""What is to be said about the BAT, the blocks and the batmap, where nothing is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

from vhdtools.image.batmap import batmap_problems, full_but_absent
from vhdtools.image.soundness import Soundness
from vhdtools.image.structure import FoundBatmap, Structure
from vhdtools.image.survey import BlockSurvey
from vhdtools.inspection.describe import quantity, size_text, version_text
from vhdtools.inspection.finding import Finding
from vhdtools.inspection.kinds import blocks as kinds
from vhdtools.layout import BAT_ENTRY_SIZE, DynamicHeader

__all__ = ["check_blocks"]


def check_blocks(structure: Structure, soundness: Soundness) -> Iterator[Finding]:
    """How the BAT is made, how the blocks lie, what the batmap says. Nothing without a header."""
    header = structure.header
    if header is None or not header.block_size:
        return
    yield from _check_table(structure, header, soundness.guest_size)
    if soundness.blocks is not None:
        yield from _check_order(soundness.blocks, header)
    if structure.batmap is not None:
        yield from _check_batmap(structure.batmap, structure, header)


def _check_table(structure: Structure, header: DynamicHeader, size: int) -> Iterator[Finding]:
    needed = -(-size // header.block_size)
    end = header.table_offset + header.max_table_entries * BAT_ENTRY_SIZE
    if needed < header.max_table_entries and end <= structure.data_end:
        yield kinds.BAT_EXTRA.found(
            f"the BAT has {header.max_table_entries:,} entries, the disk needs {needed:,}",
            header.table_offset + needed * BAT_ENTRY_SIZE,
        )
    if structure.bat_padding and not any(structure.bat_padding):
        yield kinds.BAT_ZERO_PADDING.found(
            f"the BAT is padded with {quantity(len(structure.bat_padding), 'zero byte')}", end
        )


def _check_order(blocks: BlockSurvey, header: DynamicHeader) -> Iterator[Finding]:
    if not blocks.ascending and blocks.overlapping is None:
        yield kinds.BAT_UNSORTED.found(
            "the blocks are not in the order of the disk", header.table_offset
        )
    if blocks.gaps:
        yield kinds.BLOCK_GAPS.found(
            f"{size_text(blocks.gaps)} between the blocks belong to none", blocks.lowest
        )


def _check_batmap(
    batmap: FoundBatmap, structure: Structure, header: DynamicHeader
) -> Iterator[Finding]:
    yield kinds.BATMAP.found(
        f"there is a batmap of version {version_text(batmap.header.version)}", batmap.offset
    )
    problems = list(batmap_problems(batmap, header))
    if problems:
        yield kinds.BATMAP_DAMAGED.found("the batmap " + ", ".join(problems), batmap.offset)
    elif batmap.bitmap is not None:
        absent = full_but_absent(batmap.bitmap, structure)
        if absent:
            yield kinds.BATMAP_CONTRADICTS.found(
                f"the batmap calls {quantity(len(absent), 'block')} full that the file does not "
                f"hold, the first is block {absent[0]:,}",
                batmap.header.map_offset,
            )
    if batmap.header.encrypted:
        yield kinds.ENCRYPTED.found("the batmap holds the hash of an encryption key", batmap.offset)

"""A chain followed, and then looked at for which of its bytes are the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vhdtools.image.assembling import image_of
from vhdtools.image.batmap import blocks_called_full
from vhdtools.image.bitmap_sample import sample_bitmaps
from vhdtools.image.chain import Chain, Link, follow_chain
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.flat import FlatImage
from vhdtools.image.reading import (
    BitmapRule,
    Choice,
    FixedBase,
    choose_base,
    choose_footer_of,
    choose_size,
)
from vhdtools.image.size import SizeRule
from vhdtools.image.soundness import Flaw, Soundness, examine
from vhdtools.image.source import Source
from vhdtools.image.structure import Structure
from vhdtools.image.zeros import is_zero
from vhdtools.layout import DiskType
from vhdtools.ranges import PAGE, align_down
from vhdtools.reruns import BITMAPS_COUNT, DATA_COUNTS, SIZE_CURRENT, SIZE_GEOMETRY

__all__ = ["Rules", "decide_chain", "undecided_size"]

_LOOKED_AT = 256 << 20
_PIECE = 1 << 20


class Rules(NamedTuple):
    """What the user said of how to read a disk; the options of `vhdtools.open`."""

    size_rule: SizeRule = "auto"
    fixed_base: FixedBase | None = None
    bitmap_rule: BitmapRule = "auto"


def decide_chain(
    source: Source,
    structure: Structure,
    rules: Rules,
    *,
    parents: Sequence[Path] = (),
    parent_dirs: Sequence[Path] = (),
    raw_parent: bool = False,
) -> Chain:
    """`follow_chain`, with the reading of each of its disks decided.

    What is left undecided is a flaw of that disk. Raises SourceReadError where a file cannot be
    read, and closes all then.
    """
    chain = follow_chain(
        source,
        structure,
        size_rule=rules.size_rule,
        parents=parents,
        parent_dirs=parent_dirs,
        raw_parent=raw_parent,
    )
    try:
        links = [_with_base_and_bitmaps(link, rules) for link in chain.links]
        chain = replace(chain, links=tuple(links))
        links[0] = _with_size(chain, rules)
        return replace(chain, links=tuple(links))
    except BaseException:
        chain.close()
        raise


def undecided_size(choice: Choice, structure: Structure) -> Flaw:
    """The flaw of a disk whose size only the user can tell."""
    return Flaw(
        "size-undecided",
        f"the disk may have either of its sizes: {choice.text}",
        None if structure.used is None else structure.used.offset + 48,
        "",
        reruns=(SIZE_CURRENT, SIZE_GEOMETRY),
    )


def _with_base_and_bitmaps(link: Link, rules: Rules) -> Link:
    soundness, structure = link.soundness, link.structure
    if soundness.flaws or structure.footer is None:
        return link
    if structure.header is None:
        return replace(link, reading=replace(link.reading, base=_base(link, rules)))
    return _with_bitmaps(link, rules)


def _base(link: Link, rules: Rules) -> Choice | None:
    soundness, structure = link.soundness, link.structure
    if not soundness.surplus:
        return None
    if rules.fixed_base is not None:
        return Choice(rules.fixed_base, "option", _BASES[rules.fixed_base])
    file = FlatImage(link.source, 0, structure.data_end, None)
    return choose_base(structure, structure.data_end - soundness.surplus, _Image(file))


_BASES = {
    "start": "the disk begins at the file's start, as asked for",
    "end": "the disk ends at the footer, as asked for",
}


def _with_bitmaps(link: Link, rules: Rules) -> Link:
    structure, soundness = link.structure, link.soundness
    header, rule = structure.header, rules.bitmap_rule
    assert header is not None
    if rule != "auto":
        made = Choice(rule, "option", _BITMAPS[rule])
        return replace(link, reading=replace(link.reading, bitmaps=made))
    sample = sample_bitmaps(
        link.source,
        structure.bat,
        header.block_size,
        min(soundness.guest_size, len(structure.bat) * header.block_size),
        blocks_called_full(structure),
    )
    if sample.empty_over_data:
        more = "" if sample.empty_over_data == 1 else f" ({sample.empty_over_data:,} such blocks)"
        flaw = Flaw(
            "bitmap-clear-over-data",
            f"block {sample.first_block:,} holds data, and its sector bitmap says that nothing "
            f"was written to it{more}",
            sample.first_offset,
            "",
            reruns=(BITMAPS_COUNT, DATA_COUNTS),
        )
        return replace(link, soundness=_flawed(soundness, flaw))
    if sample.full_by_batmap:
        text = "blocks that the batmap calls full are read whole, whatever their sector bitmaps say"
        made = Choice("auto", "batmap", text)
    else:
        made = Choice("auto", "bitmap", "by the sector bitmaps", contested=False)
    return replace(link, reading=replace(link.reading, bitmaps=made))


_BITMAPS = {
    "bitmap": "only sectors whose bits are set in the sector bitmaps count, as asked for",
    "data": "all data of allocated blocks counts, whatever the sector bitmaps say, as asked for",
}


def _with_size(chain: Chain, rules: Rules) -> Link:
    link = chain.links[0]
    structure = link.structure
    if structure.footer is None:
        return link
    choice = choose_size(structure, rules.size_rule, _guest(chain, rules))
    reading = replace(link.reading, size=choice, footer=choose_footer_of(structure))
    known = [flaw for flaw in link.soundness.flaws if flaw.code == "bitmap-clear-over-data"]
    soundness = _flawed(
        examine(structure, "geometry" if choice.choice == "geometry" else "current"), *known
    )
    if not soundness.surplus:
        reading = replace(reading, base=None)
    if not choice.decided:
        soundness = _flawed(soundness, undecided_size(choice, structure))
    return Link(link.source, structure, soundness, reading)


def _guest(chain: Chain, rules: Rules) -> _Image | None:
    """What the first disk holds by the larger of its sizes; None where it cannot be read."""
    link = chain.links[0]
    footer = link.structure.footer
    whole = chain.failure is None and not (chain.too_deep or chain.too_large)
    flaws = {flaw.code for each in chain.links for flaw in each.soundness.flaws}
    if footer is None or not whole or flaws - {"bitmap-clear-over-data"}:
        return None
    large = max(footer.current_size, footer.geometry.size)
    if link.structure.header is None:
        if footer.disk_type != DiskType.FIXED or (
            link.soundness.surplus and link.reading.base is None
        ):
            return None
        large = min(large, link.structure.data_end)
    else:
        large = min(large, len(link.structure.bat) * link.structure.header.block_size)
    return _Image(image_of(chain, large, bitmap_rule=rules.bitmap_rule, unsure="data"))


class _Image:
    """The `Guest` of a disk image, which it neither owns nor closes."""

    def __init__(self, image: DiskImage) -> None:
        self._image = image

    def read(self, offset: int, length: int) -> bytes:
        data = bytearray(length)
        self._image.read_into(offset, data)
        return bytes(data)

    def may_hold_data(self, start: int, end: int) -> bool:
        left = _LOOKED_AT
        for extent in self._image.extents(align_down(start, PAGE)):
            if extent.offset >= end:
                return False
            first, last = max(extent.offset, start), min(extent.end, end)
            for at in range(first, last, _PIECE) if not extent.zero else ():
                left -= _PIECE
                if left < 0 or not is_zero(self.read(at, min(_PIECE, last - at))):
                    return True
        return False


def _flawed(soundness: Soundness, *flaws: Flaw) -> Soundness:
    return replace(soundness, flaws=(*soundness.flaws, *flaws))

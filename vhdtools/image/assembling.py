"""From the links of a chain to one disk image, once it is known how each is to be read."""

from __future__ import annotations

from typing import Literal, TypeAlias

from vhdtools.image.batmap import blocks_called_full
from vhdtools.image.blocks import BlockFile, Clear
from vhdtools.image.chain import Chain, Link
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.flat import FlatImage
from vhdtools.image.layered import LayeredImage
from vhdtools.image.reading import BitmapRule
from vhdtools.layout import FOOTER_SIZE, DiskType

__all__ = ["Unsure", "image_of", "layer_of"]

Unsure: TypeAlias = Literal["absent", "checked", "data"]
"""What a clear bit of a dynamic disk means as long as nobody said so (see `blocks.Clear`)."""


def image_of(
    chain: Chain, size: int, *, bitmap_rule: BitmapRule = "auto", unsure: Unsure = "checked"
) -> DiskImage:
    """The image of a complete chain, whose first disk has `size` bytes.

    It owns the chain's files. Parents are read as far as they reach.
    """
    layers = []
    base = None
    first = chain.links[0]
    if chain.raw is not None:
        base = FlatImage(chain.raw, 0, chain.raw.size, None)
    for link in chain.links:
        held = size if link is first else _held_size(link)
        if link.structure.header is not None:
            layers.append(layer_of(link, held, bitmap_rule, unsure))
        else:
            base = FlatImage(
                link.source, _base_of(link), held, link.structure.footer, first.reading
            )
    if not layers and base is not None:
        return base
    footer = first.structure.footer
    assert footer is not None
    return LayeredImage(layers, base, footer, first.reading)


def layer_of(link: Link, size: int, bitmap_rule: BitmapRule, unsure: Unsure) -> BlockFile:
    """The blocks of one dynamic or differencing disk of `size` bytes."""
    structure = link.structure
    header, footer = structure.header, structure.footer
    assert header is not None
    assert footer is not None
    clear: Clear = "absent"
    if bitmap_rule == "data":
        clear = "data"
    elif bitmap_rule == "auto" and footer.disk_type != DiskType.DIFFERENCING:
        clear = unsure
    elif bitmap_rule == "auto" and unsure == "checked":
        clear = "parent"
    full = blocks_called_full(structure) if bitmap_rule == "auto" else b""
    return BlockFile(
        link.source, structure.bat, header.block_size, size, clear=clear, called_full=full
    )


def _base_of(link: Link) -> int:
    base = link.reading.base
    return link.soundness.surplus if base is not None and base.choice == "end" else 0


def _held_size(link: Link) -> int:
    """How far a parent is read: as far as its file holds its current size.

    The size rule says what the guest of the first disk sees. A parent cut at its geometry would
    lack what its child, of the full size, was made over.
    """
    footer, header = link.structure.footer, link.structure.header
    if footer is None:
        return link.soundness.guest_size
    if header is not None:
        held = len(link.structure.bat) * header.block_size
    else:
        held = link.source.size - FOOTER_SIZE
    return max(link.soundness.guest_size, min(footer.current_size, held))

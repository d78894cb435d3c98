"""From a path to a disk that can be read, or the error that says why not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Literal, TypeAlias

from vhdtools.errors import (
    DamagedImageError,
    ImageError,
    ParentError,
    UnrecognizedImageError,
    UnsupportedImageError,
    UsageError,
)
from vhdtools.image.blocks import BlockFile
from vhdtools.image.chain import MAX_CHAIN_BYTES, MAX_DEPTH, Chain, Link, follow_chain
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.flat import FlatImage
from vhdtools.image.identify import identify
from vhdtools.image.layered import LayeredImage
from vhdtools.image.parents import ParentSearch
from vhdtools.image.size import SizeRule
from vhdtools.image.source import Source, open_source
from vhdtools.image.structure import read_structure
from vhdtools.inputs import local_folders, local_path, refuse_secret
from vhdtools.layout import FOOTER_SIZE
from vhdtools.text import printable

__all__ = ["FixedBase", "assemble", "check_options", "open", "open_chain", "unrecognized"]

FixedBase: TypeAlias = Literal["start", "end"]
"""Where a fixed disk begins in a file that is too long for it."""

_PLACES_TOLD = 12


def open(
    path: str | os.PathLike[str],
    *,
    parent_dirs: Iterable[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
) -> DiskImage:
    """Open a fixed, dynamic or differencing VHD for reading, its parents included.

    `path`: a file, or a block device that holds a VHD.
    `parent_dirs`: folders to look in for the parents of a differencing disk, besides where the
    disk says they are; a parent is known by its unique id.
    `raw_parent`: allow a parent that is a raw file, as blktap makes them, or a VHD with a null
    id, where the child asks for no id, so that only its name vouches for it.
    `size_rule`: what the virtual size is, for every disk of the chain: "auto" (the habit of the
    program that made it, see `guest_size`), "current" (the current size) or "geometry".
    `fixed_base`: where a fixed disk, or a fixed parent, begins in a file that is longer than disk
    and footer: at the file's "start", or so that it ends at the footer ("end"). None refuses such
    a file.

    The virtual size is in whole sectors; where the disk's own is not (pvhd writes such), the last
    sector is filled up with zeros.

    Raises SourceReadError (no such file, no permission, not a file, broken disk),
    UnrecognizedImageError (not a VHD), DamagedImageError, UnsupportedImageError, ParentError, and
    UsageError for an option that is none of the above.
    """
    check_options(path, size_rule, fixed_base)
    chain = open_chain(path, size_rule=size_rule, parent_dirs=parent_dirs, raw_parent=raw_parent)
    try:
        return assemble(chain, fixed_base)
    except BaseException:
        chain.close()
        raise


def check_options(
    path: str | os.PathLike[str], size_rule: SizeRule, fixed_base: FixedBase | None
) -> None:
    """Raise UsageError for a path that is a URL, and a size rule or base that does not exist."""
    local_path(path)
    refuse_secret("size rule", str(size_rule))
    refuse_secret("fixed base", str(fixed_base))
    if size_rule not in ("auto", "current", "geometry"):
        raise UsageError(
            str(path), f"there is no size rule {size_rule!r}", "Use auto, current or geometry."
        )
    if fixed_base not in (None, "start", "end"):
        raise UsageError(str(path), f"a fixed disk has no base {fixed_base!r}", "Use start or end.")


def open_chain(
    path: str | os.PathLike[str],
    *,
    size_rule: SizeRule = "auto",
    parent_dirs: Iterable[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
) -> Chain:
    """The chain of the disk in the file `path`; what is wrong with its disks is in the result.

    The options are as for `open`. Raises SourceReadError, and UnrecognizedImageError.
    """
    folders = local_folders(parent_dirs)
    source = open_source(local_path(path))
    try:
        structure = read_structure(source)
        if structure.footer is None:
            raise unrecognized(source)
    except BaseException:
        source.close()
        raise
    return follow_chain(
        source,
        structure,
        size_rule=size_rule,
        parent_dirs=folders,
        raw_parent=raw_parent,
    )


def unrecognized(source: Source) -> ImageError:
    """The error for a file without a footer: it says what the file is, where that can be seen."""
    found = identify(source, source.path)
    return UnrecognizedImageError(str(source.path), found.problem, found.remedy)


def assemble(chain: Chain, fixed_base: FixedBase | None = None) -> DiskImage:
    """The image of a chain's first disk, which owns the chain's files from now on.

    `fixed_base` as for `open`. Raises DamagedImageError, UnsupportedImageError and ParentError
    where the chain cannot be read; the files stay open, and the caller's, then.
    """
    for link in chain.links:
        _refuse_flaws(link)
    if chain.failure is not None:
        raise _parent_error(chain.links[-1], chain.failure)
    if chain.too_deep:
        raise ParentError(
            str(chain.links[0].structure.path),
            f"the chain of parents has more than {MAX_DEPTH} disks",
            "Merge some of them into one.",
        )
    if chain.too_large:
        raise ParentError(
            str(chain.links[0].structure.path),
            f"the BATs and parent locators of the first {len(chain.links)} disks alone "
            f"take more than {MAX_CHAIN_BYTES >> 20} MiB of memory",
            "Merge some of the disks into one.",
        )
    layers = []
    base = None
    if chain.raw is not None:
        base = FlatImage(chain.raw, 0, chain.raw.size, None)
    for number, link in enumerate(chain.links):
        footer, header = link.structure.footer, link.structure.header
        size = _held_size(link) if number else link.soundness.guest_size
        if header is not None:
            layers.append(BlockFile(link.source, link.structure.bat, header.block_size, size))
        else:
            base = FlatImage(link.source, _base_of(link, fixed_base), size, footer)
    if not layers and base is not None:
        return base
    footer = chain.links[0].structure.footer
    assert footer is not None
    return LayeredImage(layers, base, footer)


def _refuse_flaws(link: Link) -> None:
    for flaw in link.soundness.flaws:
        kind = UnsupportedImageError if flaw.unsupported else DamagedImageError
        raise kind(str(link.structure.path), flaw.problem, flaw.remedy, flaw.offset)


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


def _base_of(link: Link, fixed_base: FixedBase | None) -> int:
    surplus = link.soundness.surplus
    if surplus and fixed_base is None:
        raise DamagedImageError(
            str(link.structure.path),
            f"the file is {surplus:,} bytes longer than the fixed disk in it needs, "
            "so that it is not known where the disk begins",
            "Say whether it begins at the file's start (as qemu reads it) or ends at the footer "
            "(as 7-Zip does): fixed_base, or --fixed-base, start or end.",
        )
    return surplus if fixed_base == "end" else 0


def _parent_error(child: Link, search: ParentSearch) -> ParentError:
    name = str(child.structure.path)
    told = [f"{printable(str(path))} ({reason})" for path, reason in search.places[:_PLACES_TOLD]]
    if len(search.places) > _PLACES_TOLD:
        told.append(f"{len(search.places) - _PLACES_TOLD} more")
    looked = f"; looked at {', '.join(told)}" if told else "; it names no place to look at"
    header = child.structure.header
    wanted = "" if header is None else header.parent_unique_id.hex()
    if search.outcome == "cycle":
        return ParentError(
            name,
            f"the disk is its own ancestor: its parent is a disk of the chain itself{looked}",
            "Name the folder of the true parent with parent_dirs, or --parent-dir.",
        )
    if search.outcome == "raw-not-allowed":
        return ParentError(
            name,
            "the parent has no unique id, so that it is a raw file, if any, or a VHD without one, "
            f"which only its name vouches for{looked}",
            "If you trust that name, allow it with raw_parent, or --raw-parent.",
        )
    problem = "is none of the files" if search.outcome == "wrong-id" else "was not found"
    return ParentError(
        name,
        f"the parent, with the unique id {wanted}, {problem}{looked}",
        "Name the folder that it is in with parent_dirs, or --parent-dir.",
    )

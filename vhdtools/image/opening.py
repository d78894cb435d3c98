"""From a path to a disk that can be read, or the error that says why not."""

from __future__ import annotations

import os
from collections.abc import Iterable

from vhdtools.errors import (
    DamagedImageError,
    ImageError,
    ParentError,
    UnrecognizedImageError,
    UnsupportedImageError,
    UsageError,
)
from vhdtools.image.assembling import Unsure, image_of
from vhdtools.image.chain import MAX_CHAIN_BYTES, MAX_DEPTH, Chain, Link
from vhdtools.image.deciding import Rules, decide_chain
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.parents import ParentSearch
from vhdtools.image.reading import BitmapRule, FixedBase
from vhdtools.image.size import SizeRule
from vhdtools.image.source import Source, open_source
from vhdtools.image.structure import read_structure
from vhdtools.inputs import local_files, local_folders, local_path, refuse_secret
from vhdtools.layout.unique_id import guid
from vhdtools.reruns import (
    BASE_END,
    BASE_START,
    PARENT_DIR,
    PARENT_FILE,
    RAW_PARENT,
    RAW_PARENT_FILE,
)
from vhdtools.text import printable

__all__ = ["FixedBase", "assemble", "check_options", "open", "open_chain", "unrecognized"]

_PLACES_TOLD = 12


def open(
    path: str | os.PathLike[str],
    *,
    parents: Iterable[str | os.PathLike[str]] = (),
    parent_dirs: Iterable[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
    bitmap_rule: BitmapRule = "auto",
) -> DiskImage:
    """Open a fixed, dynamic or differencing VHD for reading, its parents included.

    `path`: a file, or a block device that holds a VHD.
    `parents`: files that are parents of a differencing disk, whatever they are called now.
    `parent_dirs`: folders to look in for parents, besides where the disk says they are. A parent
    is known by its unique id, wherever it is.
    `raw_parent`: allow a parent that is a raw file, as blktap makes them, or a VHD with a null
    id, where the child asks for no id, so that only its name vouches for it.
    `size_rule`: what the virtual size is: "current" (the current size), "geometry", or "auto":
    what the file shows decides, then the habit of the program that made it.
    `fixed_base`: where a fixed disk, or a fixed parent, begins in a file that is longer than disk
    and footer: at the file's "start", or so that it ends at the footer ("end"). None: where its
    partition table shows, else such a file is refused.
    `bitmap_rule`: what counts in an allocated block of a dynamic or differencing disk: "bitmap"
    (a sector whose bit is clear is not in it), "data" (all of it is), or "auto": a valid batmap,
    then the sector bitmap, and what lies under a clear bit of a dynamic disk must be zeros, or
    reading it raises DamagedImageError.
    What was decided is the image's `reading`.

    The virtual size is in whole sectors; where the disk's own is not (pvhd writes such), the last
    sector is filled up with zeros.

    Raises SourceReadError (no such file, no permission, not a file, broken disk),
    UnrecognizedImageError (not a VHD), DamagedImageError, UnsupportedImageError, ParentError, and
    UsageError for an option that is none of the above.
    """
    rules = check_options(path, size_rule, fixed_base, bitmap_rule)
    chain = open_chain(path, rules, parents=parents, parent_dirs=parent_dirs, raw_parent=raw_parent)
    try:
        return assemble(chain, bitmap_rule)
    except BaseException:
        chain.close()
        raise


def check_options(
    path: str | os.PathLike[str],
    size_rule: SizeRule,
    fixed_base: FixedBase | None,
    bitmap_rule: BitmapRule = "auto",
) -> Rules:
    """The rules as one; UsageError for a path that is a URL, and a rule that does not exist."""
    local_path(path)
    refuse_secret("size rule", str(size_rule))
    refuse_secret("fixed base", str(fixed_base))
    refuse_secret("bitmap rule", str(bitmap_rule))
    if size_rule not in ("auto", "current", "geometry"):
        raise UsageError(
            str(path), f"there is no size rule {size_rule!r}", "Use auto, current or geometry."
        )
    if fixed_base not in (None, "start", "end"):
        raise UsageError(str(path), f"a fixed disk has no base {fixed_base!r}", "Use start or end.")
    if bitmap_rule not in ("auto", "bitmap", "data"):
        raise UsageError(
            str(path), f"there is no bitmap rule {bitmap_rule!r}", "Use auto, bitmap or data."
        )
    return Rules(size_rule, fixed_base, bitmap_rule)


def open_chain(
    path: str | os.PathLike[str],
    rules: Rules,
    *,
    parents: Iterable[str | os.PathLike[str]] = (),
    parent_dirs: Iterable[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
) -> Chain:
    """The chain of the disk in the file `path`; what is wrong with its disks is in the result.

    The options are as for `open`. Raises SourceReadError, and UnrecognizedImageError.
    """
    files, folders = local_files(parents), local_folders(parent_dirs)
    source = open_source(local_path(path))
    try:
        structure = read_structure(source)
        if structure.footer is None:
            raise unrecognized(source)
    except BaseException:
        source.close()
        raise
    return decide_chain(
        source,
        structure,
        rules,
        parents=files,
        parent_dirs=folders,
        raw_parent=raw_parent,
    )


def unrecognized(source: Source) -> ImageError:
    """The error for a file without a footer: it says what the file is, where that can be seen."""
    from vhdtools.image.identify import identify  # of no use for a disk that opens

    found = identify(source, source.path)
    return UnrecognizedImageError(str(source.path), found.problem, found.remedy)


def assemble(
    chain: Chain, bitmap_rule: BitmapRule = "auto", *, unsure: Unsure = "checked"
) -> DiskImage:
    """The image of a chain's first disk, which owns the chain's files from now on.

    `bitmap_rule` as for `open`; `unsure` is what a clear bit means where it says nothing. Raises
    DamagedImageError, UnsupportedImageError and ParentError where the chain cannot be read; the
    files stay open, and the caller's, then.
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
    for link in chain.links:
        _refuse_unknown_base(link)
    return image_of(
        chain, chain.links[0].soundness.guest_size, bitmap_rule=bitmap_rule, unsure=unsure
    )


def _refuse_flaws(link: Link) -> None:
    for flaw in link.soundness.flaws:
        kind = UnsupportedImageError if flaw.unsupported else DamagedImageError
        raise kind(
            str(link.structure.path),
            flaw.problem,
            flaw.remedy,
            flaw.offset,
            reruns=flaw.reruns,
        )


def _refuse_unknown_base(link: Link) -> None:
    surplus = link.soundness.surplus
    if surplus and link.reading.base is None:
        raise DamagedImageError(
            str(link.structure.path),
            f"the file is {surplus:,} bytes longer than the fixed disk in it needs, "
            "so that it is not known where the disk begins",
            reruns=(BASE_START, BASE_END),
        )


def _parent_error(child: Link, search: ParentSearch) -> ParentError:
    name = str(child.structure.path)
    told = [f"{printable(str(path))} ({reason})" for path, reason in search.places[:_PLACES_TOLD]]
    if len(search.places) > _PLACES_TOLD:
        told.append(f"{len(search.places) - _PLACES_TOLD} more")
    looked = f"; looked at {', '.join(told)}" if told else "; it names no place to look at"
    header, footer = child.structure.header, child.structure.footer
    notation = b"" if footer is None else footer.creator_application
    wanted = "" if header is None else guid(header.parent_unique_id, notation)
    if search.outcome == "unnamed":
        return ParentError(
            name,
            "it is a differencing disk, and names no parent: it has no id, name or locator for one",
            reruns=(RAW_PARENT_FILE,),
        )
    if search.outcome == "raw-not-allowed":
        return ParentError(
            name,
            "the parent has no unique id, so that it is a raw file, if any, or a VHD without one, "
            f"which only its name vouches for{looked}",
            reruns=(RAW_PARENT, RAW_PARENT_FILE),
        )
    if search.outcome == "cycle":
        problem = "the disk is its own ancestor: its parent is a disk of the chain itself"
    else:
        problem = f"the parent, with the unique id {wanted}, {_OUTCOMES[search.outcome]}"
    several = search.outcome == "several"
    return ParentError(
        name,
        f"{problem}{looked}",
        reruns=(PARENT_FILE,) if several else (PARENT_DIR, PARENT_FILE),
    )


_OUTCOMES = {
    "wrong-id": "is none of the files",
    "missing": "was not found",
    "several": "may be either of several files",
}

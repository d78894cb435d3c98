"""The backing chain: a disk, its parent, and so on down to one that stands on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vhdtools.image.parents import ParentSearch, find_parent
from vhdtools.image.reading import UNQUESTIONED, Reading
from vhdtools.image.size import SizeRule
from vhdtools.image.soundness import Soundness, examine
from vhdtools.image.source import Source
from vhdtools.image.structure import Structure
from vhdtools.layout import DiskType

__all__ = ["MAX_CHAIN_BYTES", "MAX_DEPTH", "Chain", "Link", "follow_chain"]

MAX_DEPTH = 256
"""The most disks in a chain; producers allow far fewer (blktap 30, Hyper-V 50 snapshots)."""
MAX_CHAIN_BYTES = 256 * 1024 * 1024
"""The most memory for a chain's BATs and locators: 50 of 2040 GiB in 2 MiB blocks need less."""


@dataclass(frozen=True, slots=True)
class Link:
    """One disk of a chain: its open file, what is in it, whether that can be read, and how."""

    source: Source
    structure: Structure
    soundness: Soundness
    reading: Reading = UNQUESTIONED


@dataclass(frozen=True, slots=True)
class Chain:
    """The disks of a chain, the child first, and how it ends.

    It ends well in a fixed or dynamic disk, or in the file `raw`. `failure` is the search that
    did not find the last disk's parent; `too_deep` says that there are more than `MAX_DEPTH`,
    `too_large` that what is kept of them takes more than `MAX_CHAIN_BYTES`. A disk with flaws ends
    the chain too, as its last link. Owns all files: `close` it.
    """

    links: tuple[Link, ...]
    raw: Source | None = None
    failure: ParentSearch | None = None
    too_deep: bool = False
    too_large: bool = False

    def close(self) -> None:
        """Close every file; harmless when done before."""
        for link in self.links:
            link.source.close()
        if self.raw is not None:
            self.raw.close()


def follow_chain(
    source: Source,
    structure: Structure,
    *,
    size_rule: SizeRule = "auto",
    parents: Sequence[Path] = (),
    parent_dirs: Sequence[Path] = (),
    raw_parent: bool = False,
) -> Chain:
    """The chain of a disk whose file is open; the chain owns it from now on.

    See `vhdtools.image.open` for the options. Raises SourceReadError where a file cannot be
    read, and closes all then; what is wrong with the disks is in the result.
    """
    links: list[Link] = []
    kept = 0
    try:
        while True:
            soundness = examine(structure, size_rule)
            links.append(Link(source, structure, soundness))
            kept += structure.kept_bytes
            if kept > MAX_CHAIN_BYTES:
                return Chain(tuple(links), too_large=True)
            footer = structure.footer
            if soundness.flaws or footer is None or footer.disk_type != DiskType.DIFFERENCING:
                return Chain(tuple(links))
            if len(links) == MAX_DEPTH:
                return Chain(tuple(links), too_deep=True)
            search = find_parent(
                structure,
                [link.source.fingerprint.identity for link in links],
                parents=parents,
                parent_dirs=parent_dirs,
                raw_parent=raw_parent,
                notation=_creator(links[0].structure),
            )
            if search.source is None:
                return Chain(tuple(links), failure=search)
            if search.structure is None:
                return Chain(tuple(links), raw=search.source)
            source, structure = search.source, search.structure
    except BaseException:
        for link in links:
            link.source.close()
        source.close()
        raise


def _creator(structure: Structure) -> bytes:
    return b"" if structure.footer is None else structure.footer.creator_application

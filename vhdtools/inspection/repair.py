"""What would mend a disk's footers and checksums: a list of bytes to write, and nothing written.

Small on purpose: a lost or damaged footer is made anew from the other one, and a checksum is made
to fit where somebody says by name that the fields are right. BAT and blocks are never touched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vhdtools.errors import DamagedImageError, UsageError
from vhdtools.image.footers import POISON_COOKIE, FoundFooter
from vhdtools.image.soundness import Soundness, examine, metadata_regions
from vhdtools.image.source import Readable
from vhdtools.image.structure import Structure
from vhdtools.layout import (
    DYNAMIC_HEADER_FIELDS,
    FOOTER_FIELDS,
    FOOTER_SIZE,
    DiskType,
    build_footer,
)
from vhdtools.ranges import PAGE, align_up
from vhdtools.reruns import Rerun
from vhdtools.text import shell_quoted

__all__ = ["CHECKSUM_PARTS", "ChecksumPart", "Patch", "Which", "plan_checksums", "plan_footers"]

Which: TypeAlias = Literal["end", "copy"]
ChecksumPart: TypeAlias = Literal["footer", "copy", "header"]
CHECKSUM_PARTS: tuple[ChecksumPart, ...] = ("footer", "copy", "header")

_USE_END = Rerun("If the one at the end is right", 'use="end"', ("--use", "end"))
_USE_COPY = Rerun("If the copy is right", 'use="copy"', ("--use", "copy"))
_FOOTER_CHECKSUM = next(place for place in FOOTER_FIELDS if place.name == "checksum")
_HEADER_CHECKSUM = next(place for place in DYNAMIC_HEADER_FIELDS if place.name == "checksum")


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes to write: `new` at byte `offset`, in place of `old` (shorter where the file ends)."""

    offset: int
    old: bytes
    new: bytes
    why: str


def plan_footers(
    structure: Structure, source: Readable, use: Which | None = None
) -> tuple[Patch, ...]:
    """What makes both footers whole and equal; nothing, where they are.

    `use` says which of two valid footers that differ is right. Raises DamagedImageError where
    neither is good, where they differ and nobody said which one is right, or where more is
    damaged than footers; UsageError where the footer to use is not good.
    """
    used = _good_footer(structure, use)
    soundness = examine(structure)
    if soundness.flaws:
        raise DamagedImageError(
            str(structure.path),
            f"more than a footer is damaged: {soundness.flaws[0].problem}",
            "A new footer would not bring the data back. All that is wrong: `vhdtool inspect "
            f"{shell_quoted(str(structure.path))}`",
        )
    good = build_footer(used.footer)
    patches = [_patch(source, _end_place(structure, soundness), good, "the footer at the end")]
    if used.footer.disk_type != DiskType.FIXED:
        patches.append(_patch(source, 0, good, "the footer's copy at the start"))
    return tuple(patch for patch in patches if patch.old != patch.new)


def plan_checksums(
    structure: Structure, source: Readable, parts: Collection[ChecksumPart]
) -> tuple[Patch, ...]:
    """What makes the checksums of `parts` fit their fields, which somebody found to be right.

    Raises UsageError for a part that the file does not have, or that begins wrongly.
    """
    return tuple(
        patch
        for part in CHECKSUM_PARTS
        if part in parts
        for patch in _checksum_patch(structure, source, part)
    )


def _good_footer(structure: Structure, use: Which | None) -> FoundFooter:
    name = str(structure.path)
    end, copy, used = structure.end_footer, structure.footer_copy, structure.used
    if any(found and found.footer.cookie == POISON_COOKIE for found in (end, copy)):
        raise DamagedImageError(
            name,
            "Xen disabled this disk (its footer says v_poison)",
            "Ask the Xen host's administrator what failed; the footer is the least of it.",
        )
    if use is not None:
        chosen = end if use == "end" else copy
        if chosen is None or not chosen.valid:
            where = "at the end" if use == "end" else "at the start"
            raise UsageError(name, f"there is no good footer {where} to use")
        return chosen
    if used is None or not used.valid:
        raise DamagedImageError(
            name,
            "there is no good footer to repair the disk from",
            reruns=tuple(_checksums(end, copy)),
        )
    if end is not None and copy is not None and end.valid and copy.valid and _differ(end, copy):
        raise DamagedImageError(
            name,
            "the footer at the end and its copy at the start are both valid, and differ",
            reruns=(_USE_END, _USE_COPY) if not examine(structure).flaws else (),
        )
    return used


def _checksums(end: FoundFooter | None, copy: FoundFooter | None) -> Iterator[Rerun]:
    found = (("footer", "at the end", end), ("copy", "at the start", copy))
    for part, where, footer in found:
        if footer is not None and footer.cookie_ok:
            yield Rerun(
                f"If the fields of the footer {where} are right, and its checksum alone is wrong",
                f'plan_checksums(…, ["{part}"])',
                ("--fix-checksum", part),
            )


def _differ(end: FoundFooter, copy: FoundFooter) -> bool:
    # Of a short footer, the last byte is not known.
    return build_footer(end.footer)[: end.size] != build_footer(copy.footer)[: end.size]


def _end_place(structure: Structure, soundness: Soundness) -> int:
    """Where the footer at the end is, or belongs: in the last sector, or behind it if it is used.

    That the last sector is used is told by blocks and headers, which were found sound.
    """
    if structure.end_footer is not None:
        return structure.end_footer.offset
    ends = [offset + length for offset, length, _ in metadata_regions(structure)]
    blocks = soundness.blocks
    if blocks is not None and blocks.highest is not None:
        ends.append(blocks.highest + blocks.span)
    last_sector = align_up(structure.file_size, PAGE) - FOOTER_SIZE
    return max(last_sector, align_up(max(ends), PAGE))


def _patch(source: Readable, offset: int, new: bytes, what: str) -> Patch:
    old = source.read(offset, max(0, min(len(new), source.size - offset)))
    return Patch(offset, old, new, what)


def _checksum_patch(structure: Structure, source: Readable, part: ChecksumPart) -> Iterator[Patch]:
    name = str(structure.path)
    if part == "header":
        header, at = structure.header, structure.header_offset
        if header is None or at is None or header.cookie != b"cxsparse":
            raise UsageError(name, "there is no dynamic disk header whose checksum could be fixed")
        if not header.checksum_ok:
            new = header.computed_checksum.to_bytes(_HEADER_CHECKSUM.size, "big")
            place = at + _HEADER_CHECKSUM.offset
            yield _patch(source, place, new, "the checksum of the dynamic disk header")
        return
    found = structure.end_footer if part == "footer" else structure.footer_copy
    where = "at the end" if part == "footer" else "at the start"
    if found is None or not found.cookie_ok:
        raise UsageError(name, f"there is no footer {where} whose checksum could be fixed")
    if not found.checksum_ok:
        new = found.footer.computed_checksum.to_bytes(_FOOTER_CHECKSUM.size, "big")
        place = found.offset + _FOOTER_CHECKSUM.offset
        yield _patch(source, place, new, f"the checksum of the footer {where}")

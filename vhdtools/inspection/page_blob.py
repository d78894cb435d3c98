"""Inspection of a disk that already is in a page blob, by reading a few ranges of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from vhdtools.errors import TargetError
from vhdtools.image import SizeRule
from vhdtools.image.deciding import undecided_size
from vhdtools.image.reading import Reading, choose_footer_of, choose_size
from vhdtools.image.soundness import Soundness, examine
from vhdtools.image.structure import Structure, read_structure
from vhdtools.inspection.allocation import allocated_in_blocks
from vhdtools.inspection.azure import judge
from vhdtools.inspection.checks.structure import check_structure
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.kinds import parents as parent_kinds
from vhdtools.inspection.kinds import remote as kinds
from vhdtools.inspection.outcomes import finished, not_a_vhd, unreadable
from vhdtools.inspection.partitions import PartitionTables, read_partitions
from vhdtools.inspection.report import Inspection, RemoteState
from vhdtools.layout import DiskType, allocated_blocks
from vhdtools.ranges import PAGE, PageRange, align_down, align_up

__all__ = ["PageBlob", "UploadMarks", "inspect_page_blob"]

_READ_AT_ONCE = 4 * 1024 * 1024


class BlobState(Protocol):
    """What a service says of a blob besides its bytes."""

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Its metadata."""
        ...

    @property
    def leased(self) -> bool:
        """Whether somebody holds a lease on it."""
        ...

    @property
    def leased_forever(self) -> bool:
        """Whether that lease has no end."""
        ...

    @property
    def content_md5(self) -> bytes | None:
        """The MD5 that somebody recorded."""
        ...


class PageBlob(Protocol):
    """The part of a `vhdtools.target.page_target.PageTarget` that inspection uses."""

    @property
    def name(self) -> str:
        """The URL without its query."""
        ...

    def state(self) -> BlobState | None:
        """What is there now; None where there is nothing."""
        ...

    def page_ranges(self, offset: int, length: int) -> Iterable[PageRange]:
        """The ranges that were written."""
        ...

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Fill `buffer` with whole pages from `offset`."""
        ...


@dataclass(frozen=True, slots=True)
class UploadMarks:
    """What an upload of vhdtools left in the metadata.

    `checkpoint`: how far an unfinished one came, in bytes; `crc64`: what a finished one sent.
    Both None: no upload of vhdtools.
    """

    checkpoint: int | None
    crc64: int | None


def inspect_page_blob(
    blob: PageBlob,
    marks_in: Callable[[Mapping[str, str]], UploadMarks],
    *,
    size_rule: SizeRule = "auto",
    now: datetime | None = None,
) -> Inspection:
    """Look at the VHD in a page blob: its structure, its page ranges, what an upload left there.

    `marks_in` reads an upload's marks from the blob's metadata. Footers, header and BAT are read,
    and nothing of the disk but its first pages. Nothing raises but bugs: a blob that is missing
    or cannot be read is a finding.
    """
    try:
        state = blob.state()
        if state is None:
            remedy = "Check the names of the container and the blob."
            return unreadable(
                blob.name,
                TargetError(blob.name, "there is no such blob", remedy),
                kinds.BLOB_UNREADABLE,
            )
        return _inspect(blob, state, marks_in(state.metadata), size_rule, now)
    except TargetError as error:
        return unreadable(blob.name, error, kinds.BLOB_UNREADABLE)


def _inspect(
    blob: PageBlob,
    state: BlobState,
    marks: UploadMarks,
    size_rule: SizeRule,
    now: datetime | None,
) -> Inspection:
    source = _BlobBytes(blob, state.size)
    structure = read_structure(source)
    ranges = blob.page_ranges(0, state.size) if state.size else ()
    number, held, in_disk = _sums(ranges, structure.data_end)
    remote = RemoteState(
        state.leased,
        state.leased_forever,
        number,
        held,
        marks.checkpoint,
        marks.crc64,
        state.content_md5,
        dict(state.metadata),
    )
    findings = list(_check_remote(remote))
    if structure.footer is None:
        return not_a_vhd(source, structure, blob.name, findings, remote)
    size = choose_size(structure, size_rule, _BlobGuest(source, structure))
    reading = Reading(size=size, footer=choose_footer_of(structure))
    soundness = examine(structure, "geometry" if size.choice == "geometry" else "current")
    if not size.decided:
        undecided = undecided_size(size, structure)
        soundness = replace(soundness, flaws=(*soundness.flaws, undecided))
    findings += check_structure(
        structure, soundness, datetime.now(timezone.utc) if now is None else now, reading
    )
    if structure.footer.disk_type == DiskType.DIFFERENCING:
        findings.append(
            parent_kinds.PARENT_MISSING.found(
                "a differencing disk in a page blob has no parent to read from",
                remedy="Upload the disk with its parents: vhdtool upload makes it whole.",
            )
        )
    return Inspection(
        path=blob.name,
        format="vhd",
        structure=structure,
        soundness=soundness,
        allocated_bytes=allocated_in_blocks(structure, soundness)
        if structure.header is not None
        else min(in_disk, align_up(soundness.guest_size, PAGE)),
        ancestors=(),
        findings=finished(findings, blob.name, remote=True),
        azure=judge(
            structure,
            soundness,
            findings,
            base_known=False,
            partitions=_partitions(source, structure, soundness, findings),
        ),
        remote=remote,
        reading=reading,
    )


class _BlobBytes:
    """A page blob's bytes at any offset; whole pages are fetched, at most 4 MiB at once."""

    def __init__(self, blob: PageBlob, size: int) -> None:
        self.path = Path(blob.name)
        self.size = size
        self._blob = blob

    def read(self, offset: int, length: int) -> bytes:
        if not length:
            return b""
        start, end = align_down(offset, PAGE), align_up(offset + length, PAGE)
        data = bytearray(end - start)
        for at in range(0, len(data), _READ_AT_ONCE):
            self._blob.read_into(start + at, memoryview(data)[at : at + _READ_AT_ONCE])
        return bytes(data[offset - start : offset - start + length])


class _BlobGuest:
    """The `Guest` of a disk in a page blob, of which little is read: what is not known is data."""

    def __init__(self, source: _BlobBytes, structure: Structure) -> None:
        self._source = source
        self._structure = structure

    def read(self, offset: int, length: int) -> bytes:
        """Of a fixed disk alone."""
        inside = offset + length <= self._structure.data_end
        return self._source.read(offset, length) if inside and self._is_fixed else b""

    def may_hold_data(self, start: int, end: int) -> bool:
        """False where no block was allocated there."""
        header = self._structure.header
        if self._is_fixed or header is None or not header.block_size:
            return True
        block = next(allocated_blocks(self._structure.bat, start // header.block_size), None)
        return block is not None and block * header.block_size < end

    @property
    def _is_fixed(self) -> bool:
        footer = self._structure.footer
        return footer is not None and footer.disk_type == DiskType.FIXED


def _sums(ranges: Iterable[PageRange], data_end: int) -> tuple[int, int, int]:
    """How many ranges, their bytes, and those of them below `data_end`."""
    number = total = below = 0
    for item in ranges:
        number += 1
        total += item.length
        below += max(0, min(item.offset + item.length, data_end) - item.offset)
    return number, total, below


def _check_remote(state: RemoteState) -> Iterator[Finding]:
    if state.checkpoint is not None:
        yield kinds.UPLOAD_UNFINISHED.found(
            f"an upload of vhdtools stopped, or is going on, after byte {state.checkpoint:,}",
            state.checkpoint,
        )
    if state.leased:
        endless = " without an end, as Azure does on the disk of a virtual machine"
        yield kinds.BLOB_LEASED.found(
            f"somebody holds a lease on the blob{endless if state.leased_forever else ''}"
        )
    if not state.range_count:
        yield kinds.BLOB_EMPTY.found("the blob has no page ranges: nothing was written to it")


def _partitions(
    source: _BlobBytes, structure: Structure, soundness: Soundness, findings: Iterable[Finding]
) -> PartitionTables | None:
    """Of a fixed disk, which begins where the blob does."""
    fixed = structure.footer is not None and structure.footer.disk_type == DiskType.FIXED
    damaged = any(finding.level is Level.ERROR for finding in findings)
    if not fixed or damaged or soundness.surplus:
        return None
    return read_partitions(source.read, align_down(structure.data_end, PAGE))

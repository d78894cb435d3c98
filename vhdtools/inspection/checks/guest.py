"""What is to be said about the guest's first and last bytes, seen as a file's would be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vhdtools.image.disk_image import DiskImage
from vhdtools.image.footers import FoundFooter, find_copy, footer_at, last_footer_in
from vhdtools.image.partitions import find_partition_table
from vhdtools.image.recognizer import recognize
from vhdtools.image.signatures import Family
from vhdtools.image.structure import Structure
from vhdtools.inspection.describe import disk_type_name, size_text
from vhdtools.inspection.finding import Finding
from vhdtools.inspection.kinds import guest as kinds
from vhdtools.layout import DiskType
from vhdtools.ranges import PAGE, align_down

__all__ = ["check_guest"]

_SEARCHED = (1 << 20) + (64 << 10)
"""As much of the guest's end as is searched for a footer: what rounding up to a MiB leaves."""


@dataclass(frozen=True, slots=True)
class _Guest:
    """What the guest sees, as a file's bytes are read."""

    image: DiskImage

    @property
    def path(self) -> Path:
        return self.image.path

    @property
    def size(self) -> int:
        return self.image.virtual_size

    def read(self, offset: int, length: int) -> bytes:
        data = bytearray(length)
        self.image.read_into(offset, data)
        return bytes(data)


class _Inner(NamedTuple):
    """An image inside the disk: its `name`, its file's suffix, its `size` (None: all there is)."""

    name: str
    suffix: str
    size: int | None = None


def check_guest(image: DiskImage, structure: Structure) -> Iterator[Finding]:
    """A disk image inside the disk, and a partition table that does not fit it.

    Reads the guest's first and last bytes. Raises as `image.read_into` does.
    """
    guest = _Guest(image)
    inner = _inner(guest)
    if inner is not None:
        size = guest.size if inner.size is None else inner.size
        yield kinds.IMAGE_INSIDE.found(
            f"the disk holds {inner.name} of {size_text(size)}: it was probably made by qemu-img "
            "convert -f raw of that file, or by a program that takes any file for a raw disk",
            0,
            remedy=_get_out(structure, inner, size),
        )
        return
    table = find_partition_table(guest)
    if table is None:
        return
    if table.sector_size != PAGE:
        yield kinds.PARTITIONS_4096.found(
            f"the disk has a GPT at byte {table.sector_size:,}, for sectors of "
            f"{table.sector_size:,} bytes",
            None,
        )
    if table.end is not None and table.end > guest.size:
        what = "disk" if table.scheme == "gpt" else "last partition"
        yield kinds.PARTITION_PAST_END.found(
            f"the {what} ends at byte {table.end:,} by the {table.scheme.upper()}, the virtual "
            f"size is {guest.size:,} bytes",
            None,
        )


def _inner(guest: _Guest) -> _Inner | None:
    copy = find_copy(guest)
    if copy is not None and copy.valid and copy.footer.disk_type in tuple(DiskType):
        return _Inner(f"a VHD ({disk_type_name(copy.footer.disk_type)})", ".vhd")
    found = recognize(guest)
    if found is not None and found.family in (Family.CONTAINER, Family.DISK):
        return _Inner(found.name, f".{found.format}")
    table = find_partition_table(guest)
    end = None if table is None or table.end is None else footer_at(guest, table.end)
    if end is None or not _is_of_fixed(end):
        start = max(PAGE, align_down(guest.size, PAGE) - _SEARCHED)
        end = last_footer_in(guest, start, guest.size) if start < guest.size else None
    if end is None or not _is_of_fixed(end):
        return None
    return _Inner("a VHD (fixed)", ".vhd", end.end)


def _is_of_fixed(found: FoundFooter) -> bool:
    footer = found.footer
    return footer.disk_type == DiskType.FIXED and footer.current_size == found.offset


def _get_out(structure: Structure, inner: _Inner, size: int) -> str:
    footer = structure.footer
    new = f"{{new:-inner{inner.suffix}}}"
    if footer is None or footer.disk_type == DiskType.DIFFERENCING:
        return kinds.IMAGE_INSIDE.remedy
    if footer.disk_type == DiskType.FIXED and structure.data_end == footer.current_size:
        return f"Get it out, and use that: `head -c {size} {{disk}} > {new}`"
    if footer.disk_type == DiskType.DYNAMIC:
        return f"Get it out, and use that: `qemu-img convert --image-opts {{vpc}} -O raw {new}`"
    return kinds.IMAGE_INSIDE.remedy

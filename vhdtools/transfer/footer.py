"""The footer of what is uploaded: always that of a fixed disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from vhdtools.inspection.describe import time_of
from vhdtools.layout import EPOCH, FOOTER_COOKIE, NO_DATA_OFFSET, VERSION_1_0, DiskType, Footer
from vhdtools.layout import build_footer as _build

__all__ = ["MIB", "fixed_footer", "padded_size"]

MIB = 1024 * 1024

_CREATOR = b"vhdt"
_CREATOR_VERSION = 0x0001_0000
_RESERVED_FEATURE = 2
_UNKNOWN_ID_TIMESTAMP = 0
_MAXIMAL = {"cylinders": 65535, "heads": 16, "sectors_per_track": 255}


def padded_size(virtual_size: int) -> int:
    """`virtual_size` rounded up to a MiB, as Azure takes disks of whole MiB only."""
    return virtual_size + -virtual_size % MIB


def fixed_footer(source: Footer | None, size: int) -> bytes:
    """The 512 bytes that end a fixed disk of `size` bytes made from the disk with `source`.

    It depends on nothing else, so that an upload that is resumed ends in the same bytes. Unique
    id, time and host OS are the source's (zero where it has no footer); the time stamp counts from
    2000, whatever the source's counts from. The geometry is the maximal one, as Disk2vhd and
    `qemu-img -o force_size` write it: readers that go by geometry would cut the disk short
    otherwise (it has no whole number of cylinders).
    """
    blank = Footer(
        cookie=FOOTER_COOKIE,
        features=_RESERVED_FEATURE,
        version=VERSION_1_0,
        data_offset=NO_DATA_OFFSET,
        timestamp=_UNKNOWN_ID_TIMESTAMP,
        creator_application=_CREATOR,
        creator_version=_CREATOR_VERSION,
        creator_host_os=b"Wi2k",
        original_size=size,
        current_size=size,
        disk_type=DiskType.FIXED,
        checksum=0,
        unique_id=bytes(16),
        saved_state=0,
        reserved=bytes(427),
        **_MAXIMAL,
    )
    if source is not None:
        blank = replace(
            blank,
            timestamp=(time_of(source) - EPOCH) // timedelta(seconds=1),
            creator_host_os=source.creator_host_os,
            unique_id=source.unique_id,
        )
    return _build(blank.sealed())

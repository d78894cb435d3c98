"""What is said of a target that is not the disk: where they differ, and which of them changed."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import islice

from vhdtools.errors import Side, VerificationError
from vhdtools.image.disk_image import DiskImage
from vhdtools.ranges import RangeList
from vhdtools.target.page_target import PageTarget, TargetState
from vhdtools.transfer.checkpoint import finished_crc64

__all__ = ["differing", "ranges_text", "which_changed"]

_SHOWN = 8
_BOTH_WAYS = (
    "If the disk is right, upload it again and replace what is there. If what is there is right, "
    "keep it: this file is not the disk to compare it with."
)


def differing(
    image: DiskImage,
    target: PageTarget,
    state: TargetState,
    ranges: RangeList,
    first: int,
    changed: Side | None,
) -> VerificationError:
    """The error for `ranges` (ascending, at least one), the first byte of which is `first`.

    `changed` is what `which_changed` says.
    """
    total = sum(item.length for item in ranges)
    count = "1 range differs" if len(ranges) == 1 else f"{len(ranges):,} ranges differ"
    problem = (
        f"its content is not the disk's: {count}, {total:,} bytes: {ranges_text(ranges)}. "
        f"{_reason(changed, _blob_time(state), _disk_time(image))}"
    )
    return VerificationError(target.name, problem, _BOTH_WAYS, first, tuple(ranges), changed)


def ranges_text(ranges: RangeList) -> str:
    """The first eight ranges as (offset, length), and how many more there are."""
    shown = ", ".join(f"({item.offset:,}, {item.length:,})" for item in islice(ranges, _SHOWN))
    more = len(ranges) - _SHOWN
    return f"{shown}, and {more:,} more" if more > 0 else shown


def which_changed(state: TargetState, disk_crc64: int, target_crc64: int) -> Side | None:
    """Which side is not what was uploaded, by the CRC-64 that the upload recorded.

    None where nothing is recorded. The CRC-64s are those of the whole streams, with footers.
    """
    recorded = finished_crc64(state.metadata)
    if recorded is None:
        return None
    if disk_crc64 == recorded:
        return "target"
    return "disk" if target_crc64 == recorded else "both"


def _reason(changed: Side | None, blob: str, disk: str) -> str:
    if changed == "target":
        return (
            "The disk is the one that was uploaded (by the CRC-64 recorded then), so what is there "
            f"was written to since{blob}"
        )
    if changed == "disk":
        return (
            "What is there is as it was uploaded (by the CRC-64 recorded then), so the disk was "
            f"changed since{disk}"
        )
    if changed == "both":
        return f"Neither is what was uploaded: what is there was written to{blob}, the disk{disk}"
    return f"No upload recorded which is right: what is there was written{blob}, the disk{disk}"


def _blob_time(state: TargetState) -> str:
    return _time(state.last_modified)


def _disk_time(image: DiskImage) -> str:
    try:
        newest = max(file.stat().st_mtime for file in image.files)
        return _time(datetime.fromtimestamp(newest, timezone.utc))
    except (OSError, ValueError, OverflowError):
        return ""


def _time(moment: datetime | None) -> str:
    if moment is None:
        return ""
    return f" (last modified {moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC)"

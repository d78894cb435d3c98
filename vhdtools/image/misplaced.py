"""The footer of a disk whose file was made longer, so that it is not at the end any more."""

from __future__ import annotations

from vhdtools.image.footers import FoundFooter, footer_at, last_footer_in
from vhdtools.image.partitions import find_partition_table
from vhdtools.image.source import Source, data_runs
from vhdtools.layout import DYNAMIC_HEADER_COOKIE, FOOTER_SIZE, DiskType
from vhdtools.ranges import align_down

__all__ = ["find_misplaced_footer"]

_AT_ONCE = 1 << 20
_WINDOW = 64 << 20
_MOST_READ = 2 << 30
_SEARCHED = 64 << 10


def find_misplaced_footer(source: Source) -> FoundFooter | None:
    """The footer far in front of the end of a file that has none at either end.

    It is looked for where the partition table ends, and in front of the zeros that
    the file ends with (holes cost nothing; of zeros that are written, 2 GiB are read at the
    most). It must be right in all, and fit its place: what a guest stores may look like a footer.
    """
    table = find_partition_table(source)
    table_end = None if table is None else table.end
    if table_end is not None:
        found = footer_at(source, table_end)
        if found is not None and _fits(source, found):
            return found
    end = _end_of_data(source)
    if end is None:
        return None
    start = max(FOOTER_SIZE, align_down(end, FOOTER_SIZE) - _SEARCHED)
    stop = min(source.size, align_down(end - 1, FOOTER_SIZE) + FOOTER_SIZE)
    found = last_footer_in(source, start, stop) if start < stop else None
    if found is None or not _fits(source, found):
        return None
    # A table that reaches further says that the disk was grown, footer and all.
    return None if table_end is not None and table_end > found.offset else found


def _fits(source: Source, found: FoundFooter) -> bool:
    footer = found.footer
    if footer.disk_type == DiskType.FIXED:
        return footer.current_size == found.offset
    offset, size = footer.data_offset, len(DYNAMIC_HEADER_COOKIE)
    return offset + size <= found.offset and source.read(offset, size) == DYNAMIC_HEADER_COOKIE


def _end_of_data(source: Source) -> int | None:
    """The first byte of the zeros that the file ends with; None where they have no end."""
    read = 0
    end = source.size
    while end > 0:
        start = max(0, end - _WINDOW)
        runs = [run for run in data_runs(source, start, end) if run[2]]
        for offset, length, _ in reversed(runs):
            for at in reversed(range(offset, offset + length, _AT_ONCE)):
                data = source.read(at, min(_AT_ONCE, offset + length - at))
                kept = len(data.rstrip(b"\0"))
                if kept:
                    return at + kept
                read += len(data)
                if read >= _MOST_READ:
                    return None
        end = start if runs else _start_of_hole(source, start)
    return None


def _start_of_hole(source: Source, end: int) -> int:
    """About where the hole in front of byte `end` begins, in few looks, however large it is."""
    low, high = 0, end
    while high - low > _WINDOW:
        middle = (low + high) // 2
        stop, is_data = source.run_at(middle)
        if is_data or stop < end:
            low = middle
        else:
            high = middle
    return high

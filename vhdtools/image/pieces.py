"""What is asked of a disk, checked."""

from __future__ import annotations

from vhdtools.ranges import PAGE

__all__ = ["check_start", "checked_view"]


def check_start(start: int, size: int) -> None:
    """Raise ValueError where extents of a disk of `size` bytes cannot begin at `start`."""
    if start % PAGE or not 0 <= start <= size:
        raise ValueError(f"extents begin at a multiple of 512 from 0 to {size}, not at {start}")


def checked_view(offset: int, buffer: bytearray | memoryview, size: int) -> memoryview:
    """`buffer` as bytes to be filled from `offset` of a disk of `size` bytes.

    Raises ValueError where that goes past an end of the disk, or the buffer is read-only.
    """
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise ValueError("the buffer is read-only")
    if offset < 0 or offset + len(view) > size:
        raise ValueError(f"{len(view)} bytes from {offset} are not in a disk of {size} bytes")
    return view

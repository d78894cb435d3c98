"""Finding the pages that are not zero in a buffer, at memory speed.

`bytearray.startswith(zeros, at)` is memcmp on the spot: no copy, no Python loop over bytes. All
positions here are multiples of the page size, and all searches are by halving or doubling.
"""

from __future__ import annotations

from vhdtools.ranges import PAGE, align_down
from vhdtools.target.page_target import MAX_WRITE

__all__ = ["nonzero_runs"]

_ZEROS = memoryview(bytes(MAX_WRITE))


def nonzero_runs(buffer: bytearray, length: int, *, gap: int) -> list[tuple[int, int]]:
    """The runs of `buffer[:length]` worth sending, as (start, end) in bytes, whole pages.

    Every page that is not zero lies in a run; a run begins and ends with such a page, and holds no
    stretch of zero pages longer than `gap` bytes. `length` is a multiple of 512, at most 4 MiB.
    """
    runs: list[tuple[int, int]] = []
    start = _zeros_end(buffer, 0, length)
    # A stretch of zeros longer than `gap` holds a whole aligned probe of half of it.
    probe = max(align_down(gap // 2, PAGE), PAGE)
    while start < length:
        position = align_down(start, probe) + probe
        end = length
        following = length
        while position < length:
            size = min(probe, length - position)
            if not buffer.startswith(_ZEROS[:size], position):
                position += probe
                continue
            following = _zeros_end(buffer, position, length)
            zeros_start = _zeros_start(buffer, position, max(start, position - probe))
            if following - zeros_start > gap or following == length:
                end = zeros_start
                break
            position = align_down(following, probe) + probe
            following = length
        else:
            end = _zeros_start(buffer, length, start)
            following = length
        runs.append((start, end))
        start = following
    return runs


def _zeros_end(buffer: bytearray, start: int, length: int) -> int:
    """The first page at or after `start` that is not zero; `length` if there is none."""
    if start >= length or buffer.startswith(_ZEROS[: length - start], start):
        return length
    step = PAGE
    position = start
    while buffer.startswith(_ZEROS[: min(step, length - position)], position):
        position += step
        step *= 2
    # Not zero somewhere in [position, position + step): halve down to its page.
    high = min(position + step, length)
    while high - position > PAGE:
        middle = position + align_down((high - position) // 2, PAGE)
        if buffer.startswith(_ZEROS[: middle - position], position):
            position = middle
        else:
            high = middle
    return position


def _zeros_start(buffer: bytearray, end: int, floor: int) -> int:
    """Where the zero pages that end at `end` begin, looking back no further than `floor`."""
    low, high = floor, end
    while low < high:
        middle = align_down((low + high) // 2, PAGE)
        if buffer.startswith(_ZEROS[: end - middle], middle):
            high = middle
        else:
            low = middle + PAGE
    return high

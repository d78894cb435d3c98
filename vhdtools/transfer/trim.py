"""Finding the pages that are not zero in a buffer, at memory speed.

All positions here are multiples of the page size, and all searches are by halving or doubling.
"""

from __future__ import annotations

from vhdtools.image.zeros import is_zero
from vhdtools.ranges import PAGE, align_down

__all__ = ["nonzero_runs"]


def nonzero_runs(view: memoryview, *, gap: int) -> list[tuple[int, int]]:
    """The runs of `view` worth sending, as (start, end) in bytes, whole pages.

    Every page that is not zero lies in a run; a run begins and ends with such a page, and holds no
    stretch of zero pages longer than `gap` bytes. `view` is of whole pages, at most 4 MiB.
    """
    runs: list[tuple[int, int]] = []
    length = len(view)
    start = _zeros_end(view, 0)
    # A stretch of zeros longer than `gap` holds a whole aligned probe of half of it.
    probe = max(align_down(gap // 2, PAGE), PAGE)
    while start < length:
        position = align_down(start, probe) + probe
        end = length
        following = length
        while position < length:
            if not is_zero(view[position : position + probe]):
                position += probe
                continue
            following = _zeros_end(view, position)
            zeros_start = _zeros_start(view, position, max(start, position - probe))
            if following - zeros_start > gap or following == length:
                end = zeros_start
                break
            position = align_down(following, probe) + probe
            following = length
        else:
            end = _zeros_start(view, length, start)
            following = length
        runs.append((start, end))
        start = following
    return runs


def _zeros_end(view: memoryview, start: int) -> int:
    """The first page at or after `start` that is not zero; the view's length if there is none."""
    length = len(view)
    if is_zero(view[start:]):
        return length
    step = PAGE
    position = start
    while is_zero(view[position : position + step]):
        position += step
        step *= 2
    # Not zero somewhere in [position, position + step): halve down to its page.
    high = min(position + step, length)
    while high - position > PAGE:
        middle = position + align_down((high - position) // 2, PAGE)
        if is_zero(view[position:middle]):
            position = middle
        else:
            high = middle
    return position


def _zeros_start(view: memoryview, end: int, floor: int) -> int:
    """Where the zero pages that end at `end` begin, looking back no further than `floor`."""
    low, high = floor, end
    while low < high:
        middle = align_down((low + high) // 2, PAGE)
        if is_zero(view[middle:end]):
            high = middle
        else:
            low = middle + PAGE
    return high

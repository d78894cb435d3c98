"""Memory to read a disk into."""

from __future__ import annotations

import mmap

__all__ = ["page_buffer"]

# Not shared with the processes that this one may fork; Windows has no such thing.
_PRIVATE: dict[str, int] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
)


def page_buffer(size: int) -> memoryview:
    """`size` bytes of zeros, writable, at the start of a page of memory.

    The system copies a file into them twice as fast as into a large `bytearray`: that begins 16
    bytes into a page, so that a store's address has the low 12 bits of the next load's, which
    x86 processors take for the same place ("4K aliasing", Intel's and AMD's optimization manuals).
    """
    return memoryview(mmap.mmap(-1, size, **_PRIVATE))

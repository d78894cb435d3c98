"""Zeros in memory: telling them, and making them."""

from __future__ import annotations

__all__ = ["fill_zeros", "is_zero"]

_ZEROS = bytes(4 * 1024 * 1024)


def is_zero(data: bytes | memoryview) -> bool:
    """Whether all of `data`, at most 4 MiB, is zeros; ValueError for more.

    `bytes.startswith` is memcmp on the spot: no copy, no Python loop over bytes.
    """
    if len(data) > len(_ZEROS):
        raise ValueError(f"{len(data)} bytes are more than can be told to be zeros at once")
    return _ZEROS.startswith(data)


def fill_zeros(view: memoryview) -> None:
    """Make all of `view` zeros."""
    zeros = memoryview(_ZEROS)
    for start in range(0, len(view), len(zeros)):
        part = view[start : start + len(zeros)]
        part[:] = zeros[: len(part)]

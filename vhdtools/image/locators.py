"""What a differencing disk calls its parent: the parent name, and the parent locators' paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vhdtools.image.source import Readable
from vhdtools.layout import DynamicHeader, ParentLocator

__all__ = ["MAX_LOCATOR_DATA", "FoundLocator", "ParentName", "decode_parent_name", "find_locators"]

MAX_LOCATOR_DATA = 64 * 1024
"""The most bytes of a locator that are read: twice a Windows path's 32,767 UTF-16 units."""

_ENCODINGS = {b"W2ku": "utf-16-le", b"W2ru": "utf-16-le", b"MacX": "utf-8"}


class ParentName(NamedTuple):
    """The dynamic disk header's parent name.

    `raw` is its 512 bytes, `text` what they say ("" where they cannot be decoded), `encoding`
    "utf-16-be" as specified, "utf-16-le" as some write it, or "" where neither fits.
    """

    raw: bytes
    text: str
    encoding: str


@dataclass(frozen=True, slots=True)
class FoundLocator:
    """A parent locator in use, and the bytes it points to.

    `index` is its place among the header's eight. `data` is None where it lies outside the file
    or is longer than `MAX_LOCATOR_DATA`; `text` is None where it is no known encoding's.
    """

    index: int
    locator: ParentLocator
    data: bytes | None
    text: str | None


def decode_parent_name(raw: bytes) -> ParentName:
    """The text of the header's parent name field, up to its first NUL unit, if it has any."""
    units = [raw[i : i + 2] for i in range(0, len(raw) - 1, 2)]
    used = b"".join(units[: units.index(b"\0\0")] if b"\0\0" in units else units)
    swapped = _likeness(used, "utf-16-le") > _likeness(used, "utf-16-be")
    encoding = "utf-16-le" if swapped else "utf-16-be"
    try:
        return ParentName(raw, used.decode(encoding), encoding)
    except UnicodeDecodeError:
        return ParentName(raw, "", "")


def _likeness(data: bytes, encoding: str) -> tuple[int, int]:
    """How much a reading looks like a path: by its dots and slashes, then by its other ASCII.

    One kind of ASCII character says nothing: the Chinese "one" (U+4E00) is a swapped "N".
    """
    text = data.decode(encoding, errors="replace")
    return sum(text.count(mark) for mark in "./\\:"), max(len(set(filter(str.isascii, text))), 1)


def find_locators(source: Readable, header: DynamicHeader) -> tuple[FoundLocator, ...]:
    """The header's parent locators that are in use (a non-zero code), with their data."""
    return tuple(
        _read_locator(source, index, locator)
        for index, locator in enumerate(header.parent_locators)
        if any(locator.platform_code)
    )


def _read_locator(source: Readable, index: int, locator: ParentLocator) -> FoundLocator:
    length = locator.data_length
    if length > MAX_LOCATOR_DATA or locator.data_offset + length > source.size:
        return FoundLocator(index, locator, None, None)
    data = source.read(locator.data_offset, length)
    encoding = _ENCODINGS.get(locator.platform_code)
    text = None
    if encoding is not None:
        try:
            text = data.decode(encoding).rstrip("\0")
        except UnicodeDecodeError:
            text = None
    return FoundLocator(index, locator, data, text)

"""VHDs of any shape and damage, made of a word: one letter for each sector of the disk.

In the word "A0C-", a capital letter is a sector of that letter with its own number in front, "0" a
sector of zeros that is written, "-" one that is not: unallocated, or its bit is clear. So a small
dynamic disk of two blocks is ``build(Recipe("AB0-----", block_size=2048))``.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from vhdtools.layout import (
    DYNAMIC_HEADER_COOKIE,
    DYNAMIC_HEADER_SIZE,
    FOOTER_COOKIE,
    FOOTER_SIZE,
    NO_DATA_OFFSET,
    UNALLOCATED,
    VERSION_1_0,
    DiskType,
    DynamicHeader,
    Footer,
    ParentLocator,
    build_bat,
    build_dynamic_header,
    build_footer,
    geometry_for,
)

SECTOR = 512
UNIQUE_ID = bytes(range(16, 32))

_HEADER_OFFSET = 512
_BAT_OFFSET = 1536
_PAGE = 4096

T = TypeVar("T", Footer, DynamicHeader)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to build. Sizes are in bytes, unless said otherwise; `content` is the word."""

    content: str
    disk_type: int = DiskType.DYNAMIC
    block_size: int = 4096
    size: int | None = None
    """The current size; None for all of `content`."""
    order: Sequence[int] | None = None
    """The allocated blocks in their order in the file; None for the disk's order."""
    allocated: Sequence[int] = ()
    """Blocks that are in the file though nothing was written to them."""
    gap: int = 0
    """Sectors between one block and the next."""
    under_clear: int = 0
    """The byte that the file holds where a bit is clear."""
    spare_bits: bool = False
    """Whether bits behind the disk's or the block's last sector are set."""
    extra_entries: int = 0
    bat_padding: int = 0xFF
    bat_offset: int = _BAT_OFFSET
    footer: Mapping[str, Any] = field(default_factory=dict)
    """Fields of both footers that are not as usual; the checksum is right unless it is given."""
    copy: Mapping[str, Any] | None = field(default_factory=dict)
    """Fields of the copy alone; None for no copy."""
    end_size: int = FOOTER_SIZE
    """512, 511, or 0 for no footer at the end."""
    header: Mapping[str, Any] = field(default_factory=dict)
    parent_id: bytes = bytes(16)
    parent_name: bytes = b""
    """The name field's bytes, filled up with zeros."""
    locators: Sequence[tuple[bytes, bytes]] = ()
    """Platform codes and data."""
    lead: bytes = b""
    """What a fixed disk's file has in front of the disk."""
    trail: bytes = b""
    """What is behind the footer."""


def sector(letter: str, number: int) -> bytes:
    """The content of sector `number`, as its letter says."""
    if letter in "0-":
        return bytes(SECTOR)
    return number.to_bytes(8, "big") + letter.encode("ascii") * (SECTOR - 8)


def guest_view(*words: str) -> bytes:
    """What a guest sees of a child, its parent, and so on, each given by its word."""
    seen = b""
    for word in reversed(words):
        below = seen.ljust(len(word) * SECTOR, b"\0")
        seen = b"".join(
            below[number * SECTOR : (number + 1) * SECTOR]
            if letter == "-"
            else sector(letter, number)
            for number, letter in enumerate(word)
        )
    return seen


def footer_of(recipe: Recipe) -> Footer:
    """The footer that `recipe` asks for, at the end of the file."""
    size = len(recipe.content) * SECTOR if recipe.size is None else recipe.size
    geometry = geometry_for(size)
    fixed = recipe.disk_type == DiskType.FIXED
    usual = Footer(
        cookie=FOOTER_COOKIE,
        features=2,
        version=VERSION_1_0,
        data_offset=NO_DATA_OFFSET if fixed else _HEADER_OFFSET,
        timestamp=800_000_000,
        creator_application=b"test",
        creator_version=VERSION_1_0,
        creator_host_os=b"Wi2k",
        original_size=size,
        current_size=size,
        cylinders=geometry.cylinders,
        heads=geometry.heads,
        sectors_per_track=geometry.sectors_per_track,
        disk_type=recipe.disk_type,
        checksum=0,
        unique_id=UNIQUE_ID,
        saved_state=0,
        reserved=bytes(427),
    )
    return _with(usual, recipe.footer)


def header_of(recipe: Recipe) -> DynamicHeader:
    """The dynamic disk header that `recipe` asks for; the locators' data is behind the BAT."""
    places = _locator_places(recipe)
    locators = [
        ParentLocator(code, SECTOR, len(data), 0, place)
        for (code, data), place in zip(recipe.locators, places, strict=True)
    ]
    locators += [ParentLocator(bytes(4), 0, 0, 0, 0)] * (8 - len(locators))
    usual = DynamicHeader(
        cookie=DYNAMIC_HEADER_COOKIE,
        data_offset=NO_DATA_OFFSET,
        table_offset=recipe.bat_offset,
        version=VERSION_1_0,
        max_table_entries=_entries(recipe),
        block_size=recipe.block_size,
        checksum=0,
        parent_unique_id=recipe.parent_id,
        parent_timestamp=0,
        reserved=0,
        parent_name=recipe.parent_name.ljust(512, b"\0"),
        parent_locators=tuple(locators),
        reserved_tail=bytes(256),
    )
    return _with(usual, recipe.header)


def build(recipe: Recipe) -> bytes:
    """The bytes of the file."""
    footer = footer_of(recipe)
    end = (build_footer(footer)[: recipe.end_size] if recipe.end_size else b"") + recipe.trail
    if recipe.disk_type == DiskType.FIXED:
        written = b"".join(sector(letter, i) for i, letter in enumerate(recipe.content))
        return recipe.lead + written[: footer.current_size] + end
    image = bytearray()
    if recipe.copy is not None:
        _put(image, 0, build_footer(_with(footer, recipe.copy)))
    _put(image, _HEADER_OFFSET, build_dynamic_header(header_of(recipe)))
    for (_, data), place in zip(recipe.locators, _locator_places(recipe), strict=True):
        _put(image, place, data)
    bat, blocks = _blocks(recipe)
    table = build_bat(bat)
    _put(image, recipe.bat_offset, table + bytes([recipe.bat_padding]) * (-len(table) % SECTOR))
    for place, data in blocks:
        _put(image, place, data)
    _put(image, -(-len(image) // SECTOR) * SECTOR, end)
    return bytes(image)


def write(path: Path, data: bytes) -> Path:
    """Write `data`, leaving holes where whole pages of 4 KiB are zeros."""
    with path.open("wb") as file:
        for start in range(0, len(data), _PAGE):
            part = data[start : start + _PAGE]
            if any(part):
                file.seek(start)
                file.write(part)
        file.truncate(len(data))
    return path


def place(path: Path, recipe: Recipe) -> Path:
    """Build and write in one."""
    return write(path, build(recipe))


def patch(path: Path, offset: int, data: bytes) -> Path:
    """Overwrite bytes of a file; a negative `offset` counts from its end."""
    with path.open("r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        file.write(data)
    return path


def child_of(parent: str, content: str, **changes: Any) -> Recipe:
    """A differencing disk over the file `parent`, named by a relative locator and in the header."""
    usual = Recipe(
        content,
        disk_type=DiskType.DIFFERENCING,
        parent_id=UNIQUE_ID,
        parent_name=parent.encode("utf-16-be"),
        locators=[(b"W2ru", f".\\{parent}".encode("utf-16-le"))],
        footer={"unique_id": bytes(range(32, 48))},
    )
    return replace(usual, **changes)


def bitmap_bytes(block_size: int) -> int:
    """Whole sectors with a bit for each sector of a block."""
    return -(-block_size // SECTOR // (8 * SECTOR)) * SECTOR


def _with(value: T, changes: Mapping[str, Any]) -> T:
    changed = replace(value, **changes)
    return changed if "checksum" in changes else changed.sealed()


def _per_block(recipe: Recipe) -> int:
    return recipe.block_size // SECTOR


def _entries(recipe: Recipe) -> int:
    return -(-len(recipe.content) // _per_block(recipe)) + recipe.extra_entries


def _locator_places(recipe: Recipe) -> list[int]:
    places = []
    position = max(recipe.bat_offset + _entries(recipe) * 4, _BAT_OFFSET)
    for _, data in recipe.locators:
        position = -(-position // SECTOR) * SECTOR
        places.append(position)
        position += len(data)
    return places


def _blocks(recipe: Recipe) -> tuple[array[int], list[tuple[int, bytes]]]:
    per_block = _per_block(recipe)
    words = [
        recipe.content[start : start + per_block]
        for start in range(0, len(recipe.content), per_block)
    ]
    used = [i for i, word in enumerate(words) if word.strip("-") or i in recipe.allocated]
    ends = [
        at + len(data)
        for at, (_, data) in zip(_locator_places(recipe), recipe.locators, strict=True)
    ]
    ends += [_HEADER_OFFSET + DYNAMIC_HEADER_SIZE, recipe.bat_offset + _entries(recipe) * 4]
    bat = array("I", [UNALLOCATED]) * _entries(recipe)
    blocks = []
    position = -(-max(ends) // SECTOR)
    for block in recipe.order if recipe.order is not None else used:
        data = _block(recipe, words[block], block * per_block)
        bat[block] = position
        blocks.append((position * SECTOR, data))
        position += len(data) // SECTOR + recipe.gap
    return bat, blocks


def _block(recipe: Recipe, word: str, first: int) -> bytes:
    per_block = _per_block(recipe)
    room = bitmap_bytes(recipe.block_size) * 8
    bits = "".join("0" if letter == "-" else "1" for letter in word)
    bits = bits.ljust(room, "1" if recipe.spare_bits else "0")
    bitmap = int(bits, 2).to_bytes(room // 8, "big")
    clear = bytes([recipe.under_clear]) * SECTOR
    data = b"".join(
        clear if letter == "-" else sector(letter, first + i)
        for i, letter in enumerate(word.ljust(per_block, "-"))
    )
    return bitmap + data


def _put(image: bytearray, offset: int, data: bytes) -> None:
    if len(image) < offset + len(data):
        image.extend(bytes(offset + len(data) - len(image)))
    image[offset : offset + len(data)] = data

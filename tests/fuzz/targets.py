"""What must hold for any bytes whatever."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.fuzz.seeds import unfold
from vhdtools.cli.block_map import block_map_text
from vhdtools.cli.hex_dump import bat_text, hex_text
from vhdtools.cli.inspect_text import inspection_text
from vhdtools.errors import ImageError, VhdToolsError
from vhdtools.image import DiskImage
from vhdtools.image import open as open_image
from vhdtools.image.structure import read_structure
from vhdtools.inspection import inspect
from vhdtools.inspection.disk_map import map_disk
from vhdtools.inspection.kinds import CATALOGUE
from vhdtools.inspection.repair import plan_footers
from vhdtools.inspection.repairing import plan_repair
from vhdtools.layout import (
    DYNAMIC_HEADER_SIZE,
    FOOTER_SIZE,
    build_bat,
    build_dynamic_header,
    build_footer,
    parse_bat,
    parse_dynamic_header,
    parse_footer,
)
from vhdtools.ranges import PAGE

__all__ = ["TARGETS", "place_input"]

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_READ_AT_MOST = 256 * 1024
_EXTENTS_AT_MOST = 200
_LINES_AT_MOST = 2000


def place_input(folder: Path, data: bytes) -> Path:
    """Write the file that an input means."""
    path = folder / "disk.vhd"
    first, hole, last = unfold(data)
    with path.open("wb") as file:
        file.write(first)
        if hole:
            file.seek(len(first) + hole)
        file.write(last)
    return path


def parser(folder: Path, data: bytes) -> None:
    """Layouts give back the bytes they were parsed from; a structure is found in anything."""
    if len(data) >= FOOTER_SIZE:
        raw = data[:FOOTER_SIZE]
        assert build_footer(parse_footer(raw)) == raw
        assert parse_footer(raw).sealed().checksum_ok
    if len(data) >= DYNAMIC_HEADER_SIZE:
        raw = data[:DYNAMIC_HEADER_SIZE]
        assert build_dynamic_header(parse_dynamic_header(raw)) == raw
    whole = data[: len(data) // 4 * 4]
    assert build_bat(parse_bat(whole)) == whole
    structure = read_structure(place_input(folder, data))
    if structure.used is not None:
        assert 0 <= structure.used.offset < structure.file_size
    assert len(structure.bat) * 4 <= structure.file_size


def inspection(folder: Path, data: bytes) -> None:
    """Inspection never raises, what it says can be shown, and it agrees with reading."""
    path = place_input(folder, data)
    raw_parent = bool(data[:1] and data[0] & 1)
    found = inspect(path, deep=True, raw_parent=raw_parent, bitmap_rule="bitmap")
    for finding in found.findings:
        assert finding.code in CATALOGUE
        assert finding.message
    json.dumps(found.to_json())
    shown = _STYLE.sub("", inspection_text(found))
    assert all(character.isprintable() or character == "\n" for character in shown)
    try:
        open_image(path, raw_parent=raw_parent, bitmap_rule="bitmap").close()
        opened = True
    except ImageError:
        opened = False
    unknown_base = any(finding.code == "fixed-too-long" for finding in found.findings)
    assert opened is not found.has_errors or unknown_base
    shows: tuple[Callable[[], object], ...] = (
        lambda: list(zip(range(_LINES_AT_MOST), bat_text(str(path)), strict=False)),
        lambda: list(hex_text(str(path), "header")),
        lambda: list(zip(range(_LINES_AT_MOST), hex_text(str(path), "block:0"), strict=False)),
        lambda: block_map_text(map_disk(path, 256, raw_parent=raw_parent)),
        lambda: plan_repair(path, plan_footers),
    )
    # One for each input, for speed; which one, the input says.
    with suppress(VhdToolsError):
        shows[len(data) % len(shows)]()


def reading(folder: Path, data: bytes) -> None:
    """A disk that opens is tiled by its extents, and reads alike however it is read."""
    path = place_input(folder, data)
    try:
        image = open_image(path, raw_parent=True, fixed_base="end", bitmap_rule="bitmap")
    except ImageError:
        return
    with image:
        position = 0
        budget = _READ_AT_MOST
        for _, extent in zip(range(_EXTENTS_AT_MOST), image.extents(), strict=False):
            assert extent.offset == position
            assert extent.length > 0
            assert extent.length % PAGE == 0
            position = extent.end
            assert position <= image.virtual_size
            length = min(extent.length, budget)
            budget -= length
            if length:
                view = _read(image, extent.offset, length)
                assert not extent.zero or not any(view)
        if budget:
            assert position == image.virtual_size or position == 0
        _read_twice(image)


def _read_twice(image: DiskImage) -> None:
    """The end of the disk in one piece, and byte by byte of its pages."""
    length = min(image.virtual_size, 8 * PAGE)
    start = image.virtual_size - length
    whole = _read(image, start, length)
    pieces = [_read(image, start + at, PAGE) for at in range(0, length, PAGE)]
    assert b"".join(pieces) == whole
    if length > PAGE:
        assert _read(image, start + 1, length - 2) == whole[1:-1]


def _read(image: DiskImage, offset: int, length: int) -> bytes:
    buffer = bytearray(b"\x77" * length)
    image.read_into(offset, buffer)
    return bytes(buffer)


TARGETS: dict[str, Callable[[Path, bytes], None]] = {
    "parser": parser,
    "inspection": inspection,
    "reading": reading,
}
"""Every target: it is given a folder to work in, and an input."""

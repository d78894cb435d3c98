"""Small disks to start from: a file's bytes, and one byte more that makes it large (`unfold`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.support.build_vhd import UNIQUE_ID, Recipe, build, child_of, footer_of
from vhdtools.layout import FOOTER_SIZE, DiskType, build_footer
from vhdtools.layout.batmap import BatmapHeader, batmap_checksum, build_batmap_header

__all__ = ["FAMILY", "SEEDS", "place_family", "unfold"]

_DYNAMIC = Recipe("AB0-----" + "--------" + "C-------")
_CHILD = child_of("parent.vhd", "-D------" + "--------" + "-------E")
_HOLE = 32
"""From this value of an input's last byte on, its file has a hole."""


def unfold(data: bytes) -> tuple[bytes, int, bytes]:
    """A file by an input: its first bytes, the size of a hole behind them, and its last bytes.

    The input's last byte is not the file's: up to 44, its excess over 31 is the hole's size as a
    power of two of 4 KiB; so small inputs make large, sparse files, too.
    """
    content, last = data[:-1], data[-1:] or b"\0"
    power = last[0] - _HOLE
    if not 0 <= power <= 12 or len(content) < FOOTER_SIZE:
        return content, 0, b""
    return content[:-FOOTER_SIZE], 4096 << power, content[-FOOTER_SIZE:]


def _with_batmap() -> bytes:
    bitmap = b"\x80" + bytes(511)
    header = BatmapHeader(
        b"tdbatmap", 2560, 1, 0x0001_0002, batmap_checksum(bitmap), 0, bytes(65), bytes(418)
    )
    recipe = Recipe("-" * 8, end_size=0, footer={"creator_application": b"tap\0"})
    start = build(recipe).ljust(2048, b"\0")
    return start + build_batmap_header(header) + bitmap + build_footer(footer_of(recipe))


SEEDS: dict[str, bytes] = {
    name: data + b"\0"
    for name, data in {
        "fixed": build(Recipe("AB0C", disk_type=DiskType.FIXED)),
        "fixed-511": build(Recipe("A", disk_type=DiskType.FIXED, end_size=511)),
        "fixed-long": build(Recipe("AB", disk_type=DiskType.FIXED, lead=bytes(512))),
        "fixed-trail": build(Recipe("A", disk_type=DiskType.FIXED, trail=b"behind it")),
        "dynamic": build(_DYNAMIC),
        "dynamic-unsorted": build(replace(_DYNAMIC, order=[2, 0], gap=1, under_clear=0x5A)),
        "dynamic-large-bat": build(replace(_DYNAMIC, extra_entries=200, bat_offset=8192)),
        "dynamic-no-end": build(replace(_DYNAMIC, end_size=0)),
        "dynamic-no-copy": build(replace(_DYNAMIC, copy=None)),
        "dynamic-differ": build(replace(_DYNAMIC, copy={"original_size": 512})),
        "dynamic-block-512": build(Recipe("A-B-", block_size=512)),
        "dynamic-block-2m": build(Recipe("-" * 8, block_size=2 << 20)),
        "dynamic-vpc": build(replace(_DYNAMIC, footer={"creator_application": b"vpc "})),
        "child": build(_CHILD),
        "child-of-raw": build(replace(_CHILD, parent_id=bytes(16))),
        "child-of-itself": build(child_of("disk.vhd", "A-", footer={"unique_id": UNIQUE_ID})),
        "child-url": build(replace(_CHILD, locators=[(b"MacX", b"file://./parent.vhd")])),
        "batmap": _with_batmap(),
        "no-vhd": b"vhdxfile" + bytes(600),
        "little": b"conectix",
    }.items()
}
"""Inputs by name."""

FAMILY = {"parent.vhd": build(Recipe("PQRSTUVW" + "0-PP----"))}
"""Files that lie beside every input, so that children find a parent."""


def place_family(folder: Path) -> None:
    """Write the files that lie beside every input."""
    for name, data in FAMILY.items():
        (folder / name).write_bytes(data)

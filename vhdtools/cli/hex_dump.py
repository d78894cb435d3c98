"""The bytes of a VHD's structures with each field's name and value, for who debugs formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from vhdtools.cli.formatting import format_size, heading, printable
from vhdtools.errors import UsageError
from vhdtools.image.source import Source, open_source
from vhdtools.image.structure import Structure, read_structure
from vhdtools.inspection.bat_runs import bat_runs
from vhdtools.layout import (
    BAT_ENTRY_SIZE,
    DYNAMIC_HEADER_FIELDS,
    DYNAMIC_HEADER_SIZE,
    FOOTER_FIELDS,
    FOOTER_SIZE,
    UNALLOCATED,
    FieldPlace,
    bitmap_size,
)
from vhdtools.layout.batmap import BATMAP_HEADER_FIELDS, BATMAP_HEADER_SIZE
from vhdtools.layout.bitmap import runs

__all__ = ["HEX_CHOICES", "bat_text", "hex_text"]

HEX_CHOICES = "footer, copy, header, bat, batmap or block:N"

_SECTOR = 512
_ROW = 16
_ROW_WIDTH = 8 + 2 + 3 * _ROW - 1


def hex_text(path: str, what: str) -> Iterator[str]:
    """Lines with the bytes of `what` (see `HEX_CHOICES`).

    Raises UsageError where the disk has no such thing, SourceReadError.
    """
    with closing(open_source(path)) as source:
        structure = read_structure(source)
        if what == "footer" and structure.end_footer is not None:
            end = structure.end_footer
            yield from _fields(source, "Footer", end.offset, end.size, FOOTER_FIELDS)
        elif what == "copy" and structure.file_size >= FOOTER_SIZE:
            yield from _fields(source, "Footer copy", 0, FOOTER_SIZE, FOOTER_FIELDS)
        elif what == "header" and structure.header is not None:
            at = structure.header_offset or 0
            fields = DYNAMIC_HEADER_FIELDS
            yield from _fields(source, "Dynamic disk header", at, DYNAMIC_HEADER_SIZE, fields)
        elif what == "bat" and structure.header is not None:
            at = structure.header.table_offset
            yield heading(f"BAT at byte {at:,}")
            yield from _rows(source.read(at, len(structure.bat) * BAT_ENTRY_SIZE), at)
        elif what == "batmap" and structure.batmap is not None:
            at = structure.batmap.offset
            yield from _fields(source, "Batmap", at, BATMAP_HEADER_SIZE, BATMAP_HEADER_FIELDS)
        elif what.startswith("block:"):
            yield from _block(source, structure, what.removeprefix("block:"))
        elif what in ("footer", "copy", "header", "bat", "batmap"):
            raise UsageError(path, f"the file has no {what} to show", "See vhdtool inspect.")
        else:
            raise UsageError(path, f"there is no {what!r} to show", f"Choose {HEX_CHOICES}.")


def bat_text(path: str) -> Iterator[str]:
    """Lines with the BAT in runs. Raises UsageError for a disk without one, SourceReadError."""
    with closing(open_source(path)) as source:
        structure = read_structure(source)
    header = structure.header
    if header is None or header.block_size < _SECTOR:
        raise UsageError(path, "the file has no BAT", "Only dynamic and differencing disks do.")
    span = (header.block_size + bitmap_size(header.block_size)) // _SECTOR
    yield heading(f"BAT of {printable(path)}: blocks of {format_size(header.block_size)}")
    last = len(structure.bat)
    widths = max(2 * len(str(last)) + 1, len("blocks")), max(len(f"{last:,}"), len("count"))
    row = f"  {{:>{widths[0]}}}  {{:>{widths[1]}}}  {{:>11}}  {{:>11}}  {{:>17}}"
    yield row.format("blocks", "count", "from sector", "to sector", "from byte")
    for run in bat_runs(structure.bat, span):
        blocks = f"{run.first}" if run.count == 1 else f"{run.first}–{run.first + run.count - 1}"
        if run.sector is None:
            yield row.format(blocks, f"{run.count:,}", "unallocated", "", "").rstrip()
        else:
            end = run.sector + run.count * span - 1
            place = f"{run.sector * _SECTOR:,}"
            yield row.format(blocks, f"{run.count:,}", run.sector, end, place)


def _fields(
    source: Source, title: str, offset: int, size: int, fields: Sequence[FieldPlace]
) -> Iterator[str]:
    yield heading(f"{title} at byte {offset:,}")
    data = source.read(offset, min(size, source.size - offset))
    for place in fields:
        raw = data[place.offset : place.offset + place.size]
        name = place.name.replace("_", " ")
        if not any(raw) and name.startswith("parent locators["):
            continue
        what = name if len(raw) > _ROW and not any(raw) else f"{name}: {_value(raw)}"
        for row in _rows(raw, offset + place.offset):
            yield f"{row:{_ROW_WIDTH}}  {what}".rstrip()
            what = ""


def _rows(raw: bytes, offset: int) -> Iterator[str]:
    """Plain hex; rows that are like the one before are shown by one star."""
    before = b""
    starred = False
    for at in range(0, len(raw), _ROW):
        row = raw[at : at + _ROW]
        if row == before:
            if not starred:
                yield "*"
            starred = True
        else:
            before, starred = row, False
            yield f"{offset + at:08x}  {row.hex(' ')}"


def _value(raw: bytes) -> str:
    number = int.from_bytes(raw, "big")
    text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in raw[:32])
    if len(raw) in (4, 8) and all(0x20 <= byte < 0x7F or not byte for byte in raw) and raw[0]:
        return f"'{text}'"
    if len(raw) <= 8:
        return f"{number:,}" if number < 1 << 48 else f"0x{number:X}"
    return f"'{text}'"


def _block(source: Source, structure: Structure, number: str) -> Iterator[str]:
    path, header = str(source.path), structure.header
    block = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
    if header is None or header.block_size < _SECTOR or not 0 <= block < len(structure.bat):
        last = f"0 to {len(structure.bat) - 1:,}" if structure.bat else "none"
        raise UsageError(path, f"there is no block {number!r}", f"The blocks are {last}.")
    entry = structure.bat[block]
    at = header.table_offset + block * BAT_ENTRY_SIZE
    yield heading(f"Block {block:,}, BAT entry at byte {at:,}")
    if entry == UNALLOCATED:
        yield "  unallocated: 0xFFFFFFFF"
        return
    size = bitmap_size(header.block_size)
    place = entry * _SECTOR
    yield f"  sector {entry:,}: sector bitmap at byte {place:,}, data at byte {place + size:,}"
    bitmap = source.read(place, size)
    yield from _rows(bitmap, place)
    for first, count, is_set in runs(bitmap, 0, header.block_size // _SECTOR):
        sectors = f"{first}" if count == 1 else f"{first}–{first + count - 1}"
        yield f"  sectors {sectors}: {'held' if is_set else 'clear'}"

"""Damage that goes deeper than the checksums: fields get values that are worth trying."""

from __future__ import annotations

from random import Random

from vhdtools.layout import (
    DYNAMIC_HEADER_FIELDS,
    DYNAMIC_HEADER_SIZE,
    FOOTER_FIELDS,
    FOOTER_SIZE,
    FieldPlace,
    build_dynamic_header,
    build_footer,
    parse_dynamic_header,
    parse_footer,
)

__all__ = ["damage", "seal"]

_NUMBERS = (
    0, 1, 2, 3, 4, 5, 6, 7, 255, 256, 511, 512, 513, 1023, 1024, 1536, 2048, 4096, 8192,
    3 << 20, 1 << 31, 0x40000001, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0xFF00_0000 * 512,
    1 << 40, 1 << 62, 1 << 63, (1 << 64) - 512, (1 << 64) - 4, (1 << 64) - 1,
)  # fmt: skip
_MOST_DAMAGES = 4


def damage(data: bytes, random: Random) -> bytes:
    """`data`, an input, with some fields, bytes or sectors changed; mostly with right checksums."""
    changed = bytearray(data)
    for _ in range(random.randint(1, _MOST_DAMAGES)):
        random.choice((_field, _field, _entry, _byte, _sector, _cut))(changed, random)
    if random.random() < 0.9:
        seal(changed)
    return bytes(changed)


def seal(data: bytearray) -> None:
    """Make the checksums of footer, copy and header fit, where they are at their usual places."""
    for at in (len(data) - 1 - FOOTER_SIZE, 0):
        if at >= 0 and len(data) >= at + FOOTER_SIZE:
            footer = parse_footer(data[at : at + FOOTER_SIZE]).sealed()
            data[at : at + FOOTER_SIZE] = build_footer(footer)
    end = FOOTER_SIZE + DYNAMIC_HEADER_SIZE
    if len(data) >= end:
        header = parse_dynamic_header(data[FOOTER_SIZE:end]).sealed()
        data[FOOTER_SIZE:end] = build_dynamic_header(header)


def _field(data: bytearray, random: Random) -> None:
    """Another value for a field: of both footers at once, of one of them, or of the header."""
    end = len(data) - 1 - FOOTER_SIZE
    starts, fields = random.choice(
        [([0, end], FOOTER_FIELDS), ([end], FOOTER_FIELDS), ([FOOTER_SIZE], DYNAMIC_HEADER_FIELDS)]
    )
    place = random.choice(fields)
    value = _value(place, random)
    for start in starts:
        at = start + place.offset
        if at >= 0 and at + place.size <= len(data):
            data[at : at + place.size] = value


def _value(place: FieldPlace, random: Random) -> bytes:
    if place.size > 8:
        return random.randbytes(place.size)
    number = random.choice(_NUMBERS) if random.random() < 0.8 else random.getrandbits(64)
    return (number % (1 << (8 * place.size))).to_bytes(place.size, "big")


def _entry(data: bytearray, random: Random) -> None:
    """Another value for an entry of the BAT."""
    at = 1536 + 4 * random.randint(0, 3)
    if at + 4 <= len(data):
        number = random.choice((*range(20), 0xFFFFFFFE, 0xFFFFFFFF, random.getrandbits(32)))
        data[at : at + 4] = number.to_bytes(4, "big")


def _byte(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] = random.getrandbits(8)


def _sector(data: bytearray, random: Random) -> None:
    """A sector over another one, or a new one in between."""
    if len(data) > FOOTER_SIZE:
        source = random.randrange(len(data) // FOOTER_SIZE) * FOOTER_SIZE
        target = random.randrange(len(data) // FOOTER_SIZE) * FOOTER_SIZE
        length = random.choice((0, FOOTER_SIZE))
        data[target : target + length] = data[source : source + FOOTER_SIZE]


def _cut(data: bytearray, random: Random) -> None:
    """Fewer bytes at the end, the last one apart."""
    if data:
        keep = random.randrange(len(data))
        del data[keep:-1]

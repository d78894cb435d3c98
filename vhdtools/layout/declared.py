"""The one place where construct is run: bytes to plain values and back.

A construct Container never leaves this room; its errors become ValueError here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import construct

__all__ = ["FieldPlace", "decode", "encode", "field_places"]


def decode(layout: Any, data: bytes | bytearray | memoryview, what: str) -> dict[str, Any]:
    """The fields of `data`, whose size is exactly the layout's; ValueError where it is not."""
    size = layout.sizeof()
    if len(data) != size:
        raise ValueError(f"{what} has {size} bytes, not {len(data)}")
    try:
        fields = dict(layout.parse(bytes(data)))
    except construct.ConstructError as exc:  # pragma: no cover - fixed sizes always parse
        raise ValueError(f"{what}: {exc}") from exc
    fields.pop("_io", None)
    return fields


def encode(layout: Any, fields: dict[str, Any], what: str) -> bytes:
    """The bytes of `fields`; ValueError where a value does not fit its field."""
    try:
        return bytes(layout.build(fields))
    except construct.ConstructError as exc:
        raise ValueError(f"{what}: {exc}") from exc


class FieldPlace(NamedTuple):
    """Where a field is: its name, and its offset and size in bytes from the start of the layout.

    A field of a row of structures is named "parent_locators[0].data_offset".
    """

    name: str
    offset: int
    size: int


def field_places(layout: Any) -> tuple[FieldPlace, ...]:
    """The places of all fields of a layout, in order and without gaps."""
    places: list[FieldPlace] = []
    offset = 0
    for item in layout.subcons:
        inner = item.subcon
        if isinstance(inner, construct.Array):
            for index in range(inner.count):
                places += [
                    FieldPlace(
                        f"{item.name}[{index}].{place.name}", offset + place.offset, place.size
                    )
                    for place in field_places(inner.subcon)
                ]
                offset += inner.subcon.sizeof()
        else:
            places.append(FieldPlace(item.name, offset, item.sizeof()))
            offset += item.sizeof()
    return tuple(places)

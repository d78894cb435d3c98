"""The one place where construct is run: bytes to plain values and back.

A construct Container never leaves this room; its errors become ValueError here.
"""

from __future__ import annotations

from typing import Any

import construct

__all__ = ["decode", "encode"]


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

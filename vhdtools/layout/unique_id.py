"""Unique ids, as people read them: one notation, whoever made the disk."""

from __future__ import annotations

import uuid

__all__ = ["guid"]

# Their GUIDs are little-endian in the file; the others' are in the order of RFC 4122.
_LITTLE_ENDIAN = frozenset({b"win ", b"d2v\0", b"vbox", b"wa\0\0"})


def guid(raw: bytes, creator: bytes) -> str:
    """A unique id as its creator would show it; parents are matched by the raw bytes alone."""
    if creator in _LITTLE_ENDIAN:
        return str(uuid.UUID(bytes_le=raw))
    return str(uuid.UUID(bytes=raw))

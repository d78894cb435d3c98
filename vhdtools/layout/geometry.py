"""Cylinders, heads and sectors: the size that old BIOSes, and some producers, go by.

Source: Microsoft VHD specification 1.0, appendix "CHS Calculation".
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Geometry", "geometry_for"]

_SECTOR = 512
_MAX_CYLINDERS, _MAX_HEADS, _MAX_SECTORS_PER_TRACK = 65535, 16, 255


@dataclass(frozen=True, slots=True)
class Geometry:
    """A disk's shape in cylinders, heads and sectors per track."""

    cylinders: int
    heads: int
    sectors_per_track: int

    @property
    def size(self) -> int:
        """What the geometry amounts to, in bytes."""
        return self.cylinders * self.heads * self.sectors_per_track * _SECTOR

    @property
    def is_maximal(self) -> bool:
        """Whether it is 65535 × 16 × 255 (127 GiB), which says nothing about the size."""
        return (self.cylinders, self.heads, self.sectors_per_track) == (
            _MAX_CYLINDERS,
            _MAX_HEADS,
            _MAX_SECTORS_PER_TRACK,
        )


def geometry_for(size: int) -> Geometry:
    """The geometry that the specification gives to a disk of `size` bytes.

    Its size is at most `size`, as whole cylinders rarely fit; 127 GiB at the most.
    """
    sectors = min(size // _SECTOR, _MAX_CYLINDERS * _MAX_HEADS * _MAX_SECTORS_PER_TRACK)
    if sectors >= _MAX_CYLINDERS * 16 * 63:
        per_track, heads = 255, 16
        return Geometry(sectors // per_track // heads, heads, per_track)
    per_track = 17
    tracks = sectors // per_track
    heads = max((tracks + 1023) // 1024, 4)
    if tracks >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        tracks = sectors // per_track
    if tracks >= heads * 1024:
        per_track, heads = 63, 16
        tracks = sectors // per_track
    return Geometry(tracks // heads, heads, per_track)

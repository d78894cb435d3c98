"""Disk images: what their guests see, read from any of the kinds of VHD."""

from __future__ import annotations

from vhdtools.image.disk_image import DiskImage
from vhdtools.image.opening import FixedBase, open
from vhdtools.image.size import SizeRule

__all__ = ["DiskImage", "FixedBase", "SizeRule", "open"]

"""Disk images: what their guests see, read from any of the kinds of VHD."""

from __future__ import annotations

from vhdtools.image.disk_image import DiskImage
from vhdtools.image.opening import open
from vhdtools.image.reading import BitmapRule, Choice, FixedBase, Reading
from vhdtools.image.size import SizeRule

__all__ = ["BitmapRule", "Choice", "DiskImage", "FixedBase", "Reading", "SizeRule", "open"]

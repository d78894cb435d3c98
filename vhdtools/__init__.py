"""Read virtual hard disks (VHD), and put them into Azure page blobs."""

from __future__ import annotations

__version__ = "0.1.0"

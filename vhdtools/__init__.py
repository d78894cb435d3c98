"""Read virtual hard disks (VHD), and put them into Azure page blobs.

`inspect` says all about a disk, `open` reads it as its guest would, `upload` sends it to a page
blob, and `verify` proves that the blob is the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vhdtools.errors import VhdToolsError

if TYPE_CHECKING:
    from vhdtools.image import open
    from vhdtools.image.disk_image import DiskImage
    from vhdtools.inspection import Inspection, inspect
    from vhdtools.progress import NoProgress, Progress, RecoveredEvent, RetryEvent, Task
    from vhdtools.target.destination import open_target
    from vhdtools.transfer import RetryPolicy, UploadOptions, UploadResult, VerifyResult
    from vhdtools.transfer.api import upload, verify

__version__ = "0.1.0"

__all__ = [
    "DiskImage",
    "Inspection",
    "NoProgress",
    "Progress",
    "RecoveredEvent",
    "RetryEvent",
    "RetryPolicy",
    "Task",
    "UploadOptions",
    "UploadResult",
    "VerifyResult",
    "VhdToolsError",
    "__version__",
    "inspect",
    "open",
    "open_target",
    "upload",
    "verify",
]

# Loaded when they are asked for: inspecting a disk must not wait for what uploading needs.
_HOMES = {
    "DiskImage": "vhdtools.image.disk_image",
    "Inspection": "vhdtools.inspection",
    "NoProgress": "vhdtools.progress",
    "Progress": "vhdtools.progress",
    "RecoveredEvent": "vhdtools.progress",
    "RetryEvent": "vhdtools.progress",
    "RetryPolicy": "vhdtools.transfer",
    "Task": "vhdtools.progress",
    "UploadOptions": "vhdtools.transfer",
    "UploadResult": "vhdtools.transfer",
    "VerifyResult": "vhdtools.transfer",
    "inspect": "vhdtools.inspection",
    "open": "vhdtools.image",
    "open_target": "vhdtools.target.destination",
    "upload": "vhdtools.transfer.api",
    "verify": "vhdtools.transfer.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

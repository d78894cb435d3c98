"""Read virtual hard disks (VHD), and put them into Azure page blobs.

`inspect` says all about a disk, `open` reads it as its guest would, `upload` sends it to a page
blob, and `verify` proves that the blob is the disk. What these take, give and raise is here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vhdtools.errors import (
    AccessError,
    ChecksumError,
    DamagedImageError,
    ImageError,
    NotUploadableError,
    ParentError,
    ResourceLimitError,
    SourceChangedError,
    SourceReadError,
    TargetBusyError,
    TargetError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
    TransferInterruptedError,
    UnavailableError,
    UnrecognizedImageError,
    UnsupportedImageError,
    UsageError,
    VerificationError,
    VhdToolsError,
)

if TYPE_CHECKING:
    from vhdtools.image import BitmapRule, FixedBase, Reading, SizeRule, open
    from vhdtools.image.disk_image import DiskImage
    from vhdtools.image.reading import Choice
    from vhdtools.inspection import (
        PURPOSES,
        Ancestor,
        AzureCheck,
        AzureVerdict,
        DeepResult,
        Finding,
        Inspection,
        Level,
        Partition,
        PartitionTables,
        Purpose,
        Readiness,
        RemoteState,
        Shortfall,
        inspect,
    )
    from vhdtools.inspection.deep import BlockStatistics
    from vhdtools.inspection.partitions import GptState, PartitionScheme
    from vhdtools.progress import NoProgress, Progress, RecoveredEvent, RetryEvent, Task
    from vhdtools.ranges import Extent, PageRange
    from vhdtools.reruns import Rerun
    from vhdtools.target.access import Credential
    from vhdtools.target.destination import open_target
    from vhdtools.target.http_connection import Timeouts
    from vhdtools.target.page_target import PageTarget, TargetCapabilities, TargetState
    from vhdtools.transfer import RetryPolicy, UploadOptions, UploadResult, VerifyResult
    from vhdtools.transfer.api import preview, upload, verify
    from vhdtools.transfer.preview import Outlook, UploadPreview
    from vhdtools.transfer.result import Evidence

__version__ = "0.1.0"

__all__ = [
    "PURPOSES",
    "AccessError",
    "Ancestor",
    "AzureCheck",
    "AzureVerdict",
    "BitmapRule",
    "BlockStatistics",
    "ChecksumError",
    "Choice",
    "Credential",
    "DamagedImageError",
    "DeepResult",
    "DiskImage",
    "Evidence",
    "Extent",
    "Finding",
    "FixedBase",
    "GptState",
    "ImageError",
    "Inspection",
    "Level",
    "NoProgress",
    "NotUploadableError",
    "Outlook",
    "PageRange",
    "PageTarget",
    "ParentError",
    "Partition",
    "PartitionScheme",
    "PartitionTables",
    "Progress",
    "Purpose",
    "Readiness",
    "Reading",
    "RecoveredEvent",
    "RemoteState",
    "Rerun",
    "ResourceLimitError",
    "RetryEvent",
    "RetryPolicy",
    "Shortfall",
    "SizeRule",
    "SourceChangedError",
    "SourceReadError",
    "TargetBusyError",
    "TargetCapabilities",
    "TargetError",
    "TargetExistsError",
    "TargetMissingError",
    "TargetRefusedError",
    "TargetState",
    "Task",
    "Timeouts",
    "TransferInterruptedError",
    "UnavailableError",
    "UnrecognizedImageError",
    "UnsupportedImageError",
    "UploadOptions",
    "UploadPreview",
    "UploadResult",
    "UsageError",
    "VerificationError",
    "VerifyResult",
    "VhdToolsError",
    "__version__",
    "inspect",
    "open",
    "open_target",
    "preview",
    "upload",
    "verify",
]

# Loaded when they are asked for: inspecting a disk must not wait for what uploading needs.
_LAZY = {
    "vhdtools.image": (
        "BitmapRule",
        "FixedBase",
        "Reading",
        "SizeRule",
        "open",
    ),
    "vhdtools.image.reading": ("Choice",),
    "vhdtools.image.disk_image": ("DiskImage",),
    "vhdtools.inspection": (
        "PURPOSES",
        "Ancestor",
        "AzureCheck",
        "AzureVerdict",
        "DeepResult",
        "Finding",
        "Inspection",
        "Level",
        "Partition",
        "PartitionTables",
        "Purpose",
        "Readiness",
        "RemoteState",
        "Shortfall",
        "inspect",
    ),
    "vhdtools.inspection.deep": ("BlockStatistics",),
    "vhdtools.inspection.partitions": (
        "GptState",
        "PartitionScheme",
    ),
    "vhdtools.ranges": (
        "Extent",
        "PageRange",
    ),
    "vhdtools.reruns": ("Rerun",),
    "vhdtools.target.destination": ("open_target",),
    "vhdtools.target.http_connection": ("Timeouts",),
    "vhdtools.target.access": ("Credential",),
    "vhdtools.target.page_target": (
        "PageTarget",
        "TargetCapabilities",
        "TargetState",
    ),
    "vhdtools.progress": (
        "NoProgress",
        "Progress",
        "RecoveredEvent",
        "RetryEvent",
        "Task",
    ),
    "vhdtools.transfer": (
        "RetryPolicy",
        "UploadOptions",
        "UploadResult",
        "VerifyResult",
    ),
    "vhdtools.transfer.api": (
        "preview",
        "upload",
        "verify",
    ),
    "vhdtools.transfer.preview": (
        "Outlook",
        "UploadPreview",
    ),
    "vhdtools.transfer.result": ("Evidence",),
}
_HOMES = {name: module for module, names in _LAZY.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

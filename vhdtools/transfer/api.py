"""`vhdtools.upload` and `vhdtools.verify`: paths and URLs in, results out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from vhdtools.errors import ImageError, NotUploadableError, UsageError
from vhdtools.image import BitmapRule, FixedBase, SizeRule
from vhdtools.image.disk_image import DiskImage
from vhdtools.inspection import Finding, Inspection, Level, Purpose, Readiness
from vhdtools.inspection.inspecting import inspect_and_open, partitions_of
from vhdtools.inspection.partitions import PartitionTables
from vhdtools.inspection.readiness import check_purposes, check_required, readiness_of_size
from vhdtools.progress import Progress
from vhdtools.target.destination import open_target
from vhdtools.target.page_target import PageTarget
from vhdtools.transfer.job import UploadOptions
from vhdtools.transfer.preview import UploadPreview, preview_image
from vhdtools.transfer.result import UploadResult, VerifyResult
from vhdtools.transfer.retry import RetryPolicy
from vhdtools.transfer.upload import upload_image
from vhdtools.transfer.verify import verify_image

__all__ = ["preview", "upload", "verify"]

Disk: TypeAlias = "str | os.PathLike[str] | DiskImage"
Refresh: TypeAlias = Callable[[], Any]


def upload(
    disk: Disk,
    destination: str | PageTarget,
    *,
    options: UploadOptions | None = None,
    stop: threading.Event | None = None,
    credential: Any = None,
    connection_string: str | None = None,
    managed_disk: bool = False,
    refresh: Refresh | None = None,
    api_version: str | None = None,
    require: Sequence[Purpose] = (),
    inspected: Callable[[Inspection], object] | None = None,
    parents: Sequence[str | os.PathLike[str]] = (),
    parent_dirs: Sequence[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
    bitmap_rule: BitmapRule = "auto",
) -> UploadResult:
    """Upload a VHD as a fixed disk to a page blob, going on where an earlier call stopped.

    `disk` is a path, which is inspected first and refused if inspection finds an error, or an
    opened DiskImage, which is taken as it is. `destination` is a blob URL (with or without a SAS),
    CONTAINER/BLOB with `connection_string`, `file:PATH.vhd`, or a PageTarget. `credential` is a SAS
    (text, or an AzureSasCredential), an account key (text, or an AzureNamedKeyCredential), or a
    TokenCredential; `refresh` is called for a fresh one when the service says that it expired.
    `managed_disk` says that the URL is a managed disk's upload SAS (known by itself where the host
    is md-…). `api_version` is the version of the service's REST API to use, by default the newest
    that it knows. `parents`, `parent_dirs`, `raw_parent`, `size_rule`, `fixed_base` and
    `bitmap_rule` are those of `vhdtools.open`. Set `stop` from another thread to end in order.

    `require` names purposes ("page-blob", "managed-disk", "boot-gen1", "boot-gen2") that the disk
    must be ready for; the result has the readiness for all of them. Of a DiskImage, it is judged
    by its size and partition tables, and no findings are known. `inspected` is called with the
    inspection of a path before anything is sent.

    Raises NotUploadableError for a disk with error findings, or that is not ready for a purpose in
    `require`, before anything is sent; UsageError for a destination or a purpose that makes no
    sense; and what `vhdtools.transfer.upload.upload_image` raises.
    """
    options = options or UploadOptions()
    with ExitStack() as stack:
        judged = stack.enter_context(
            _judged(
                disk,
                require,
                inspected,
                parents=parents,
                parent_dirs=parent_dirs,
                raw_parent=raw_parent,
                size_rule=size_rule,
                fixed_base=fixed_base,
                bitmap_rule=bitmap_rule,
            )
        )
        target = stack.enter_context(
            _targeted(
                destination,
                credential=credential,
                connection_string=connection_string,
                managed_disk=managed_disk,
                refresh=refresh,
                workers=options.workers,
                api_version=api_version,
                note=options.progress.note,
            )
        )
        _check_not_itself(judged.image, target)
        result = upload_image(judged.image, target, options, stop)
        return replace(result, readiness=judged.readiness, findings=judged.findings)


def preview(
    disk: Disk,
    target: PageTarget,
    *,
    options: UploadOptions | None = None,
    stop: threading.Event | None = None,
    require: Sequence[Purpose] = (),
    parents: Sequence[str | os.PathLike[str]] = (),
    parent_dirs: Sequence[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
    bitmap_rule: BitmapRule = "auto",
) -> UploadPreview:
    """What `upload` would do, with nothing changed; raises what `upload` would at its start."""
    with _judged(
        disk,
        require,
        None,
        parents=parents,
        parent_dirs=parent_dirs,
        raw_parent=raw_parent,
        size_rule=size_rule,
        fixed_base=fixed_base,
        bitmap_rule=bitmap_rule,
    ) as judged:
        _check_not_itself(judged.image, target)
        found = preview_image(judged.image, target, options, stop)
        return replace(found, readiness=judged.readiness, findings=judged.findings)


def verify(
    disk: Disk,
    destination: str | PageTarget,
    *,
    workers: int = 8,
    retry: RetryPolicy | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    credential: Any = None,
    connection_string: str | None = None,
    refresh: Refresh | None = None,
    api_version: str | None = None,
    parents: Sequence[str | os.PathLike[str]] = (),
    parent_dirs: Sequence[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
    bitmap_rule: BitmapRule = "auto",
) -> VerifyResult:
    """Read a target back and compare it with a disk; the arguments are those of `upload`.

    Raises VerificationError at the first difference, and what
    `vhdtools.transfer.verify.verify_image` raises.
    """
    with ExitStack() as stack:
        image = stack.enter_context(
            _opened(
                disk,
                parents=parents,
                parent_dirs=parent_dirs,
                raw_parent=raw_parent,
                size_rule=size_rule,
                fixed_base=fixed_base,
                bitmap_rule=bitmap_rule,
            )
        )
        target = stack.enter_context(
            _targeted(
                destination,
                credential=credential,
                connection_string=connection_string,
                managed_disk=False,
                refresh=refresh,
                workers=workers,
                api_version=api_version,
                note=None if progress is None else progress.note,
            )
        )
        return verify_image(
            image, target, workers=workers, retry=retry, progress=progress, stop=stop
        )


@dataclass(frozen=True, slots=True)
class _Judged:
    """An open disk, and what is known of it."""

    image: DiskImage
    readiness: tuple[Readiness, ...]
    findings: tuple[Finding, ...] = ()


@contextmanager
def _judged(
    disk: Disk,
    require: Sequence[Purpose],
    inspected: Callable[[Inspection], object] | None,
    **how: Any,
) -> Iterator[_Judged]:
    """The disk, open, judged, and ready for what is required."""
    if not isinstance(disk, (str, os.PathLike)):
        check_purposes(str(disk.path), require)
        readiness = readiness_of_size(disk.virtual_size, _partitions(disk))
        check_required(str(disk.path), readiness, require)
        yield _Judged(disk, readiness)
        return
    check_purposes(os.fspath(disk), require)
    with _inspected(disk, **how) as (inspection, image):
        check_required(os.fspath(disk), inspection.readiness, require)
        if inspected is not None:
            inspected(inspection)
        yield _Judged(image, inspection.readiness, inspection.findings)


def _partitions(image: DiskImage) -> PartitionTables | None:
    try:
        return partitions_of(image)
    except ImageError:
        return None  # the upload meets the same error, or does not read there


@contextmanager
def _opened(disk: Disk, **how: Any) -> Iterator[DiskImage]:
    """The disk, open and without error findings."""
    if not isinstance(disk, (str, os.PathLike)):
        yield disk
        return
    with _inspected(disk, **how) as (_, image):
        yield image


@contextmanager
def _inspected(disk: str | os.PathLike[str], **how: Any) -> Iterator[tuple[Inspection, DiskImage]]:
    """The inspection of a disk, and the disk, opened once for both.

    Raises NotUploadableError for error findings, and what reading the disk raises.
    """
    found = inspect_and_open(disk, **how)
    with ExitStack() as stack:
        if found.image is not None:
            stack.enter_context(found.image)
        if found.refusal is not None:
            raise found.refusal
        errors = [item for item in found.inspection.findings if item.level is Level.ERROR]
        if errors:
            first = errors[0]
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            refused = NotUploadableError(
                os.fspath(disk),
                f"{first.message} [{first.code}]{more}",
                first.remedy,
                first.offset,
            )
            refused.reruns = first.reruns
            raise refused
        assert found.image is not None
        yield found.inspection, found.image


@contextmanager
def _targeted(destination: str | PageTarget, **how: Any) -> Iterator[PageTarget]:
    if not isinstance(destination, str):
        yield destination
        return
    target = open_target(destination, **how)
    try:
        yield target
    finally:
        target.close()


def _check_not_itself(image: DiskImage, target: PageTarget) -> None:
    path = getattr(target, "path", None)
    if not isinstance(path, Path) or not path.exists():
        return
    for file in image.files:
        if file.exists() and path.samefile(file):
            what = "the disk itself" if file == image.path else "a parent of the disk"
            raise UsageError(str(path), f"this is {what}", "Name another file.")

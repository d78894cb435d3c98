"""`vhdtools.upload` and `vhdtools.verify`: paths and URLs in, results out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from vhdtools.errors import NotUploadableError, UsageError
from vhdtools.image import BitmapRule, FixedBase, SizeRule
from vhdtools.image import open as open_image
from vhdtools.image.disk_image import DiskImage
from vhdtools.inspection import Level, inspect
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
    that it knows. `parent_dirs`, `raw_parent`, `size_rule`, `fixed_base` and `bitmap_rule` are
    those of `vhdtools.open`. Set `stop` from another thread to end in order.

    Raises NotUploadableError for a disk with error findings, UsageError for a destination that
    makes no sense, and what `vhdtools.transfer.upload.upload_image` raises.
    """
    options = options or UploadOptions()
    with ExitStack() as stack:
        image = stack.enter_context(
            _opened(
                disk,
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
        _check_not_itself(image, target)
        return upload_image(image, target, options, stop)


def preview(
    disk: Disk,
    target: PageTarget,
    *,
    options: UploadOptions | None = None,
    stop: threading.Event | None = None,
    parent_dirs: Sequence[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
    bitmap_rule: BitmapRule = "auto",
) -> UploadPreview:
    """What `upload` would do, with nothing changed; raises what `upload` would at its start."""
    with _opened(
        disk,
        parent_dirs=parent_dirs,
        raw_parent=raw_parent,
        size_rule=size_rule,
        fixed_base=fixed_base,
        bitmap_rule=bitmap_rule,
    ) as image:
        _check_not_itself(image, target)
        return preview_image(image, target, options, stop)


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


@contextmanager
def _opened(disk: Disk, **how: Any) -> Iterator[DiskImage]:
    if not isinstance(disk, (str, os.PathLike)):
        yield disk
        return
    inspection = inspect(disk, **how)
    errors = [finding for finding in inspection.findings if finding.level is Level.ERROR]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise NotUploadableError(
            os.fspath(disk),
            f"{first.message} [{first.code}]{more}",
            first.remedy or "`vhdtool inspect` says more.",
            first.offset,
        )
    with open_image(disk, **how) as image:
        yield image


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

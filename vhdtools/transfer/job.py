"""One upload: what goes where, and how it is wanted."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property

from vhdtools.checksums import crc64
from vhdtools.errors import UsageError
from vhdtools.image.disk_image import DiskImage
from vhdtools.layout import FOOTER_SIZE
from vhdtools.progress import NoProgress, Progress
from vhdtools.ranges import PageRange
from vhdtools.target.page_target import PageTarget
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.footer import fixed_footer, padded_size
from vhdtools.transfer.ledger import StepResult
from vhdtools.transfer.retry import RetryPolicy

__all__ = ["Job", "UploadOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """How an upload is wanted.

    `overwrite`: replace what is at the target, instead of resuming it or refusing. `workers`:
    threads, and requests in flight at the most. `max_rate`: bytes/s for all workers together.
    `verify`: read everything back at the end. `content_md5`: hash the whole stream, zeros too, and
    record it as the blob's Content-MD5. `checkpoint_seconds`: time between checkpoints.

    Raises UsageError for numbers that make no sense.
    """

    overwrite: bool = False
    workers: int = 8
    max_rate: float | None = None
    verify: bool = False
    content_md5: bool = False
    checkpoint_seconds: float = 3.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    progress: Progress = field(default_factory=NoProgress)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError("workers", f"{self.workers} workers can do nothing", "Give 1 or more.")
        if self.max_rate is not None and not self.max_rate > 0:
            raise UsageError("max_rate", f"nothing moves at {self.max_rate} bytes/s")
        if not self.checkpoint_seconds > 0:
            raise UsageError("checkpoint_seconds", "the time between checkpoints must not be 0")


@dataclass(frozen=True)
class Job:
    """An image on its way to a target, and what both sides of the way agree on.

    `halt` tells all its threads that there is no point in going on: somebody asked for the upload
    to stop, or something failed.
    """

    image: DiskImage
    connection: Connection
    options: UploadOptions
    halt: threading.Event

    @property
    def target(self) -> PageTarget:
        """Where the pages go."""
        return self.connection.target

    @cached_property
    def disk_size(self) -> int:
        """Bytes of the disk in the blob: the virtual size, padded to a MiB."""
        return padded_size(self.image.virtual_size)

    @property
    def blob_size(self) -> int:
        """Bytes of the blob: the disk and its footer."""
        return self.disk_size + FOOTER_SIZE

    @cached_property
    def footer(self) -> bytes:
        """The last page of the blob."""
        return fixed_footer(self.image.footer, self.disk_size)

    def footer_step(self, unconfirmed: int = 0) -> StepResult:
        """The footer as the last entry of a ledger."""
        page = PageRange(self.disk_size, FOOTER_SIZE)
        return StepResult(page.offset, page.length, crc64(self.footer), (page,), unconfirmed)

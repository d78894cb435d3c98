"""Reading a target back, and comparing it with the disk."""

from __future__ import annotations

import threading
import time
from contextlib import closing

from vhdtools.checksums import crc64
from vhdtools.errors import (
    TargetMissingError,
    TransferInterruptedError,
    UsageError,
    VerificationError,
)
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.reading import reading_of
from vhdtools.layout import FOOTER_COOKIE, FOOTER_SIZE, DiskType, parse_footer
from vhdtools.progress import NoProgress, Progress
from vhdtools.ranges import PAGE, PageRange, align_up
from vhdtools.target.page_target import PageTarget
from vhdtools.transfer.compare import Comparer, comparisons
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.engine import run_ordered
from vhdtools.transfer.footer import fixed_footer, padded_size
from vhdtools.transfer.halt import Halt
from vhdtools.transfer.ledger import Ledger, StepResult
from vhdtools.transfer.pacing import Pacer
from vhdtools.transfer.result import VerifyResult
from vhdtools.transfer.retry import RetryPolicy

__all__ = ["read_back", "verify_image"]

_REMEDY = "Upload it again with --overwrite, then verify once more."
_NOTHING_THERE = "Check the destination, or upload the disk to it first."


def verify_image(
    image: DiskImage,
    target: PageTarget,
    *,
    workers: int = 8,
    retry: RetryPolicy | None = None,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> VerifyResult:
    """Read all page ranges of `target` back, and compare the whole with `image`.

    The target may be padded to a MiB, and may end in any valid footer of a fixed disk of its size.

    Raises VerificationError with the first differing byte, TargetMissingError where there is
    nothing, UsageError where the target cannot be read back, TransferInterruptedError when `stop`
    is set; and what reading either side raises.
    """
    halt = Halt(stop or threading.Event())
    progress = progress or NoProgress()
    connection = Connection(target, retry or RetryPolicy(), Pacer(workers), halt, progress)
    return read_back(
        image,
        connection,
        workers=workers,
        progress=progress,
        halt=halt,
    )


def read_back(
    image: DiskImage,
    connection: Connection,
    *,
    workers: int,
    progress: Progress,
    halt: threading.Event,
) -> VerifyResult:
    """`verify_image` over a connection that is there already; `halt` ends it, too."""
    target = connection.target
    started = time.monotonic()
    if not target.capabilities.reads:
        raise UsageError(
            target.name,
            "what is written here cannot be read back with these credentials",
            "End the disk's upload (az disk revoke-access), then verify the URL that "
            "az disk grant-access --access-level Read gives.",
        )
    try:
        state = connection.state()
    except TargetMissingError as error:
        if error.code == "ContainerNotFound":
            error.remedy = _NOTHING_THERE  # making it would not help
        raise
    if state is None:
        raise TargetMissingError(target.name, "there is nothing to verify", _NOTHING_THERE)
    disk_size = _disk_size(image, target, state.size)

    source = (PageRange(e.offset, e.length) for e in image.extents() if not e.zero)
    written = connection.page_ranges(0, disk_size)
    total = sum(e.length for e in image.extents() if not e.zero) + FOOTER_SIZE
    with closing(progress.task("verifying", total, subject=str(image.path))) as task:
        comparer = Comparer(image, connection, task)
        ledger = Ledger()
        for result in run_ordered(
            comparisons(source, written, disk_size), comparer, workers=workers, halt=halt
        ):
            ledger.enter(result)
        if ledger.offset < disk_size:
            problem = "verification was stopped"
            failure = connection.outage.unresolved
            if failure is not None:
                problem += f"; {failure.operation} was failing: {failure.reason}"
            raise TransferInterruptedError(target.name, problem)

        footer = bytearray(FOOTER_SIZE)
        connection.read_into(disk_size, memoryview(footer))
        rebuilt = bytes(footer) == fixed_footer(image.footer, disk_size)
        if not rebuilt:
            _check_foreign_footer(target, bytes(footer), disk_size)
        ledger.enter(StepResult(disk_size, FOOTER_SIZE, crc64(footer)))
        image.check_unchanged()
        task.advance(FOOTER_SIZE)
    return VerifyResult(
        blob_url=target.name,
        blob_size=state.size,
        virtual_size=image.virtual_size,
        read_bytes=comparer.read_bytes + FOOTER_SIZE,
        retries=sum(connection.retries.values()),
        elapsed_seconds=time.monotonic() - started,
        crc64=ledger.crc64,
        footer_rebuilt=rebuilt,
        reading=reading_of(image),
    )


def _disk_size(image: DiskImage, target: PageTarget, blob_size: int) -> int:
    disk_size = blob_size - FOOTER_SIZE
    if disk_size not in (padded_size(image.virtual_size), align_up(image.virtual_size, PAGE)):
        raise VerificationError(
            target.name,
            f"it has {blob_size:,} bytes, where this disk takes "
            f"{padded_size(image.virtual_size) + FOOTER_SIZE:,}: it is not this disk",
            _REMEDY,
        )
    return disk_size


def _check_foreign_footer(target: PageTarget, data: bytes, disk_size: int) -> None:
    footer = parse_footer(data)
    if (
        footer.cookie != FOOTER_COOKIE
        or not footer.checksum_ok
        or footer.disk_type != DiskType.FIXED
        or footer.current_size != disk_size
    ):
        raise VerificationError(
            target.name,
            f"it does not end in the footer of a fixed disk of {disk_size:,} bytes",
            _REMEDY,
            disk_size,
        )

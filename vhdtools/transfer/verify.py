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
from vhdtools.ranges import PAGE, PageRange, RangeList, align_up
from vhdtools.target.page_target import PageTarget, TargetState
from vhdtools.target.remedies import READABLE_DISK
from vhdtools.transfer.checkpoint import OWNER_KEY, Checkpoint
from vhdtools.transfer.compare import Comparer, comparisons
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.differences import differing, which_changed
from vhdtools.transfer.engine import run_ordered
from vhdtools.transfer.footer import fixed_footer, padded_size
from vhdtools.transfer.halt import Halt
from vhdtools.transfer.ledger import Ledger, StepResult
from vhdtools.transfer.owner import decode_owners
from vhdtools.transfer.pacing import Pacer
from vhdtools.transfer.result import VerifyResult, local_path
from vhdtools.transfer.retry import RetryPolicy

__all__ = ["read_back", "readable_state", "verify_image"]

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

    Raises VerificationError with all ranges that differ, or for an upload that is not finished;
    TargetMissingError where there is nothing, UsageError where the target cannot be read back,
    TransferInterruptedError when `stop` is set; and what reading either side raises.
    """
    halt = Halt(stop or threading.Event())
    progress = progress or NoProgress()
    connection = Connection(target, retry or RetryPolicy(), Pacer(workers), halt, progress)
    state = readable_state(connection)
    _check_finished(target.name, state)
    return read_back(image, connection, state, workers=workers, progress=progress, halt=halt)


def read_back(
    image: DiskImage,
    connection: Connection,
    state: TargetState,
    *,
    workers: int,
    progress: Progress,
    halt: threading.Event,
) -> VerifyResult:
    """`verify_image` over a connection that is there already; `halt` ends it, too."""
    target = connection.target
    started = time.monotonic()
    disk_size = _disk_size(image, target, state.size)
    ours, theirs, differs = Ledger(), Ledger(), RangeList()
    first: int | None = None
    source = (PageRange(e.offset, e.length) for e in image.extents() if not e.zero)
    written = connection.page_ranges(0, disk_size)
    total = sum(e.length for e in image.extents() if not e.zero) + FOOTER_SIZE
    with closing(progress.task("verifying", total, subject=str(image.path))) as task:
        comparer = Comparer(image, connection, task)
        for found in run_ordered(
            comparisons(source, written, disk_size), comparer, workers=workers, halt=halt
        ):
            ours.enter(StepResult(found.offset, found.length, found.source_crc64))
            theirs.enter(StepResult(found.offset, found.length, found.target_crc64))
            first = found.first if first is None else first
            for item in found.differs:
                differs.append(item)
        if theirs.offset < disk_size:
            raise _stopped(connection)

        expected, footer = fixed_footer(image.footer, disk_size), bytearray(FOOTER_SIZE)
        connection.read_into(disk_size, memoryview(footer))
        rebuilt = bytes(footer) == expected
        ours.enter(StepResult(disk_size, FOOTER_SIZE, crc64(expected)))
        theirs.enter(StepResult(disk_size, FOOTER_SIZE, crc64(footer)))
        image.check_unchanged()
        task.advance(FOOTER_SIZE)
    if not rebuilt and not _is_footer(bytes(footer), disk_size):
        if not differs:
            raise _no_footer(target, disk_size)
        differs.append(PageRange(disk_size, FOOTER_SIZE))
    if first is not None:
        changed = which_changed(state, ours.crc64, theirs.crc64)
        raise differing(image, target, state, differs, first, changed)
    return VerifyResult(
        blob_url=target.name,
        path=local_path(target),
        blob_size=state.size,
        virtual_size=image.virtual_size,
        read_bytes=comparer.read_bytes + FOOTER_SIZE,
        retries=sum(connection.retries.values()),
        elapsed_seconds=time.monotonic() - started,
        crc64=theirs.crc64,
        footer_rebuilt=rebuilt,
        reading=reading_of(image),
    )


def readable_state(connection: Connection) -> TargetState:
    """What is at a target that can be read back. Raises UsageError, TargetMissingError."""
    target = connection.target
    if not target.capabilities.reads:
        raise UsageError(
            target.name,
            "what is written here cannot be read back with these credentials",
            READABLE_DISK,
        )
    try:
        state = connection.state()
    except TargetMissingError as error:
        if error.code == "ContainerNotFound":
            error.remedy = _NOTHING_THERE  # making it would not help
        raise
    if state is None:
        raise TargetMissingError(target.name, "there is nothing to verify", _NOTHING_THERE)
    return state


def _check_finished(name: str, state: TargetState) -> None:
    """Raise VerificationError for a blob whose upload has yet to be finished."""
    checkpoint = Checkpoint.read(state.metadata)
    if checkpoint is None:
        return
    owners = decode_owners(state.metadata.get(OWNER_KEY, ""))
    dead = bool(owners) and all(owner.is_dead for owner in owners)
    at = f"{checkpoint.offset:,} of {state.size:,} bytes"
    if state.leased and not dead:
        problem = f"an upload to it is running, and {at} are confirmed so far"
        remedy = "Wait until it has finished, then verify."
    else:
        problem = f"it is an unfinished upload: {at} are confirmed"
        remedy = "Run the upload again, which resumes it, then verify."
    raise VerificationError(name, problem, remedy, unfinished_at=checkpoint.offset)


def _stopped(connection: Connection) -> TransferInterruptedError:
    problem = "verification was stopped"
    failure = connection.outage.unresolved
    if failure is not None:
        problem += f"; {failure.operation} was failing: {failure.reason}"
    return TransferInterruptedError(connection.name, problem)


def _disk_size(image: DiskImage, target: PageTarget, blob_size: int) -> int:
    disk_size = blob_size - FOOTER_SIZE
    if disk_size not in (padded_size(image.virtual_size), align_up(image.virtual_size, PAGE)):
        raise VerificationError(
            target.name,
            f"it has {blob_size:,} bytes, where this disk takes "
            f"{padded_size(image.virtual_size) + FOOTER_SIZE:,}: it is not this disk",
            "Check both names.",
        )
    return disk_size


def _no_footer(target: PageTarget, disk_size: int) -> VerificationError:
    return VerificationError(
        target.name,
        f"it does not end in the footer of a fixed disk of {disk_size:,} bytes; all before that is "
        "equal to the disk",
        "Upload the disk again and replace it.",
        disk_size,
        (PageRange(disk_size, FOOTER_SIZE),),
    )


def _is_footer(data: bytes, disk_size: int) -> bool:
    """Whether these bytes are a valid footer of a fixed disk of this size."""
    footer = parse_footer(data)
    return (
        footer.cookie == FOOTER_COOKIE
        and footer.checksum_ok
        and footer.disk_type == DiskType.FIXED
        and footer.current_size == disk_size
    )

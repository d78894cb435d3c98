"""Where an upload begins: at the start, where an earlier run stopped, or not at all.

Three kinds of target, three ways:

- A blob keeps a checkpoint. It is proven against the source by content, before it is trusted.
- A file is made anew.
- A managed disk keeps nothing but its page ranges. They are all there is to resume by: what they
  cover of the plan, in disk order and without a gap, is taken for written by an earlier run of
  this same upload. Page ranges that this disk would not have written are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from vhdtools.errors import (
    SourceChangedError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
    TransferInterruptedError,
    UsageError,
)
from vhdtools.ranges import PageRange, RangeList, subtract
from vhdtools.target.page_target import TargetState, check_size
from vhdtools.transfer.checkpoint import (
    OWNER_KEY,
    Checkpoint,
    finished_crc64,
    unfinished_metadata,
)
from vhdtools.transfer.chunks import Digester
from vhdtools.transfer.engine import run_ordered
from vhdtools.transfer.finishing import is_unmodified
from vhdtools.transfer.job import Job
from vhdtools.transfer.lease import claim_lease, settle_lease
from vhdtools.transfer.ledger import Ledger, StepResult
from vhdtools.transfer.overwriting import prove_writable
from vhdtools.transfer.owner import Owner
from vhdtools.transfer.plan import cut, plan, work_size

__all__ = ["Opening", "open_job"]

_ANEW = "Use --overwrite to start anew and replace it."


@dataclass(frozen=True, slots=True)
class Opening:
    """What was found, and taken hold of.

    `ledger` holds what is there already; above it the target reads as zeros, but in `dirty`.
    `proven`: the disk's content is what an earlier run sent, by CRC-64; else by page ranges alone.
    `complete`: nothing is to be sent. `unmodified`: nor was anything written since. `owner` holds
    the lease, where there is one; `metadata` is that of others, to be kept.
    """

    ledger: Ledger = field(default_factory=Ledger)
    dirty: RangeList = field(default_factory=RangeList)
    proven: bool = True
    complete: bool = False
    unmodified: bool = False
    owner: Owner | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def open_job(job: Job) -> Opening:
    """Find out where the upload begins, create or take hold of the target, and lease it.

    Raises TargetExistsError, SourceChangedError, TargetBusyError or TargetRefusedError where going
    on would harm what is there, and whatever source and target raise.
    """
    capabilities = job.target.capabilities
    if job.options.verify and not capabilities.reads:
        raise UsageError(
            job.target.name,
            "a managed disk cannot be read back while it is being uploaded",
            "Leave --verify out; each write's checksum is compared in any case.",
        )
    check_size(job.target, job.blob_size)
    if not capabilities.creates:
        return _open_disk(job)
    state = job.connection.state()
    if job.halt.is_set():
        raise TransferInterruptedError(job.target.name, "stopped before anything was sent")
    if not capabilities.metadata:
        if state is not None and not job.options.overwrite:
            raise TargetExistsError(job.target.name, "it exists already", _ANEW)
        job.connection.call(
            lambda: job.target.create(job.blob_size, {}, replace=job.options.overwrite),
            "creating the file",
        )
        return Opening()
    if state is None or job.options.overwrite:
        return _create_blob(job, state)
    if finished_crc64(state.metadata) is not None:
        return _recognize(job, state)
    return _resume_blob(job, state)


def _create_blob(job: Job, state: TargetState | None) -> Opening:
    claim = None if state is None else claim_lease(job, state)
    if claim is not None:
        prove_writable(job, claim.state.size)
    owner = Owner.current() if claim is None else claim.owner
    owners = owner.encode() if claim is None else claim.owners
    metadata = unfinished_metadata({}, Checkpoint(0, 0), owners)
    target = job.target

    def create() -> None:
        try:
            target.create(job.blob_size, metadata, replace=claim is not None)
        except TargetExistsError:
            # A try whose answer was lost may have made it: then it carries our lease id.
            found = target.state()
            if found is None or found.metadata.get(OWNER_KEY) != owners:
                raise

    job.connection.call(create, "creating the blob")
    if claim is not None:
        settle_lease(job, claim)
    else:
        job.connection.call(lambda: target.acquire_lease(owner.lease_id), "acquiring the lease")
        job.connection.holds_lease = True
    return Opening(owner=owner)


def _resume_blob(job: Job, state: TargetState) -> Opening:
    _unfinished(job, state)
    claim = claim_lease(job, state)
    # Now nobody else writes, and what is there now is what counts.
    if finished_crc64(claim.state.metadata) is not None:
        return _recognize(job, claim.state)
    checkpoint = _unfinished(job, claim.state)
    metadata = unfinished_metadata(claim.state.metadata, checkpoint, claim.owners)
    job.connection.call(lambda: job.target.set_metadata(metadata), "writing the checkpoint")
    settle_lease(job, claim)
    start = checkpoint.offset
    ledger = _digest(job, start)
    if ledger.crc64 != checkpoint.crc64:
        raise SourceChangedError(
            str(job.image.path),
            f"its first {start:,} bytes are not those that {job.target.name} holds from an "
            f"earlier run: the disk changed somewhere in the range (0, {start:,})",
            "Use --overwrite to start anew.",
        )
    job.connection.clear(job.connection.page_ranges(start, job.blob_size - start))
    if start:
        job.options.progress.note(
            f"Resuming at {start:,} of {job.blob_size:,} bytes: up to there, the disk has the "
            "CRC-64 that the checkpoint recorded."
        )
    return Opening(ledger=ledger, owner=claim.owner, metadata=claim.state.metadata)


def _unfinished(job: Job, state: TargetState) -> Checkpoint:
    """The checkpoint of an unfinished upload that can be of this disk; raises for anything else."""
    checkpoint = Checkpoint.read(state.metadata)
    if checkpoint is None:
        raise TargetExistsError(
            job.target.name, "it exists already, and is no unfinished upload of this tool", _ANEW
        )
    if state.size != job.blob_size:
        raise SourceChangedError(
            str(job.image.path),
            f"it would take {job.blob_size:,} bytes, and {job.target.name} is an unfinished upload "
            f"of {state.size:,}: not of this disk as it is now",
            "Use --overwrite to start anew.",
        )
    if checkpoint.offset > job.disk_size:
        raise TargetExistsError(
            job.target.name, "it exists already, and its checkpoint lies past the disk's end", _ANEW
        )
    return checkpoint


def _recognize(job: Job, state: TargetState) -> Opening:
    if state.size != job.blob_size:
        raise TargetExistsError(
            job.target.name,
            f"it exists already, and is an upload of another disk, with {state.size:,} bytes, "
            f"where this one takes {job.blob_size:,}",
            _ANEW,
        )
    ledger = _digest(job, job.disk_size)
    ledger.enter(job.footer_step())
    if ledger.crc64 != finished_crc64(state.metadata):
        raise TargetExistsError(
            job.target.name, "it exists already, and is an upload of other content", _ANEW
        )
    return Opening(
        ledger=ledger, complete=True, unmodified=is_unmodified(state), metadata=state.metadata
    )


def _open_disk(job: Job) -> Opening:
    state = job.connection.state()
    if state is None:
        raise TargetMissingError(
            job.target.name,
            "there is no disk to upload to",
            f"Create one with `az disk create --upload-type Upload --upload-size-bytes "
            f"{job.blob_size}`.",
        )
    if state.size != job.blob_size:
        raise TargetRefusedError(
            job.target.name,
            f"the managed disk takes {state.size:,} bytes, and this upload has {job.blob_size:,}",
            f"Create it with `az disk create --upload-type Upload --upload-size-bytes "
            f"{job.blob_size}`.",
        )
    found = job.connection.page_ranges(0, job.blob_size)
    if not found or job.options.overwrite:
        return Opening(dirty=found)
    ledger = _covered(job, found)
    strange = next(subtract(_below(found, ledger.offset), ledger.written), None)
    if strange is not None:
        raise TargetExistsError(
            job.target.name,
            f"it holds the page range ({strange.offset:,}, {strange.length:,}), which an upload of "
            "this disk would not have written",
            "Use --overwrite to write the whole disk over it.",
            strange.offset,
        )
    footer = PageRange(job.disk_size, len(job.footer))
    complete = ledger.offset == job.disk_size and not list(subtract((footer,), found))
    if complete:
        ledger.enter(job.footer_step())
    job.options.progress.note(
        f"The managed disk's page ranges cover the first {ledger.offset:,} bytes: taken for an "
        "earlier run of this upload (use --overwrite to send them again)."
    )
    return Opening(ledger=ledger, dirty=found, proven=False, complete=complete)


def _covered(job: Job, found: RangeList) -> Ledger:
    """The steps from the start whose data the page ranges cover, without a gap."""
    coverage = _Coverage(found)
    ledger = Ledger()
    whole = True
    for result in _digests(job, min(found.end, job.disk_size)):
        whole = whole and coverage.covers(result)
        if whole:
            ledger.enter(result)
    if job.halt.is_set():
        raise _stopped_checking(job)
    return ledger


class _Coverage:
    """Whether ascending steps lie in ascending page ranges."""

    def __init__(self, found: RangeList) -> None:
        self._found = iter(found)
        self._current = next(self._found, None)

    def covers(self, result: StepResult) -> bool:
        """Whether all that the step wrote is there."""
        for item in result.writes:
            while self._current is not None and self._current.end <= item.offset:
                self._current = next(self._found, None)
            if (
                self._current is None
                or self._current.offset > item.offset
                or self._current.end < item.end
            ):
                return False
        return True


def _below(ranges: RangeList, end: int) -> list[PageRange]:
    return [
        PageRange(item.offset, min(item.end, end) - item.offset)
        for item in ranges
        if item.offset < end
    ]


def _digest(job: Job, end: int) -> Ledger:
    """The source below `end`, read and digested as an upload would have sent it."""
    ledger = Ledger()
    for result in _digests(job, end):
        ledger.enter(result)
    if ledger.offset < end:
        raise _stopped_checking(job)
    return ledger


def _digests(job: Job, end: int) -> Iterator[StepResult]:
    total = work_size(cut(plan(job.image.extents(), job.disk_size), end))
    with closing(job.options.progress.task("checking", total, subject=str(job.image.path))) as task:
        yield from run_ordered(
            cut(plan(job.image.extents(), job.disk_size), end),
            Digester(job.image, task),
            workers=job.options.workers,
            halt=job.halt,
        )


def _stopped_checking(job: Job) -> TransferInterruptedError:
    return TransferInterruptedError(
        str(job.image.path), "stopped while comparing the disk with the unfinished upload"
    )

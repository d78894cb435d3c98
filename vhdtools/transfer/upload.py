"""The upload: open, send in disk order, check, finish; and whatever happens, leave a checkpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass

from vhdtools.checksums import crc64
from vhdtools.errors import (
    TargetBusyError,
    TransferInterruptedError,
    VerificationError,
    VhdToolsError,
)
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.reading import reading_of
from vhdtools.logs import logger
from vhdtools.ranges import PageRange
from vhdtools.target.page_target import PageTarget
from vhdtools.transfer.checkpoint import (
    Checkpoint,
    foreign_metadata,
    unfinished_metadata,
)
from vhdtools.transfer.chunks import Sender
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.content_hash import stream_md5
from vhdtools.transfer.coverage import check_coverage
from vhdtools.transfer.engine import run_ordered
from vhdtools.transfer.finishing import mark_finished, record_time
from vhdtools.transfer.halt import Halt
from vhdtools.transfer.job import Job, UploadOptions
from vhdtools.transfer.keeper import Keeper
from vhdtools.transfer.opening import Opening, open_job
from vhdtools.transfer.pacing import Pacer
from vhdtools.transfer.plan import Step, cut, force_writes, plan, work_size
from vhdtools.transfer.result import Evidence, UploadResult, local_path
from vhdtools.transfer.retry import RetryPolicy
from vhdtools.transfer.verify import read_back, readable_state

__all__ = ["upload_image"]

_log = logger(__name__)

_PARTING = RetryPolicy(patience=10.0, max_delay=2.0)


def upload_image(
    image: DiskImage,
    target: PageTarget,
    options: UploadOptions | None = None,
    stop: threading.Event | None = None,
) -> UploadResult:
    """Upload `image` as a fixed disk to `target`, going on where an earlier run stopped.

    Returns when the service has confirmed every byte and the target's page ranges are those that
    were written. Whatever is raised, what was confirmed stays, with a checkpoint where the target
    can keep one. Setting `stop` ends the upload in order.

    Raises TransferInterruptedError after `stop`; SourceChangedError, SourceReadError and other
    ImageErrors of the disk; TargetError's kinds; VerificationError where the target's content is
    found not to be the disk's.
    """
    options = options or UploadOptions()
    halt = Halt(stop or threading.Event())
    connection = Connection(
        target, options.retry, Pacer(options.workers, options.max_rate), halt, options.progress
    )
    job = Job(image, connection, options, halt)
    started = time.monotonic()
    books = _Books()
    try:
        with _keeping(job, books):
            opening = open_job(job)
            resumed, there = opening.ledger.offset, _total(opening.ledger.written)
            books.checkpoint = Checkpoint(resumed, opening.ledger.crc64)
            books.opening = opening
            _log.info("%s -> %s, from byte %d", image.path, target.name, resumed)
            with _hashing(job) as md5:
                if not opening.complete:
                    _send(job, opening, books)
                # What was recorded says what was sent, and not what is there now.
                reread = opening.complete and opening.proven and not opening.unmodified
                if not reread:
                    check_coverage(job, opening.ledger)
                verified = _verified(job, opening) if options.verify or reread else None
                digest = md5.result() if md5 else None
            image.check_unchanged()
        _finish(job, books, digest, time.monotonic() - started)
        _log.info("%s is complete", target.name)
    except TransferInterruptedError as error:
        halt.set()
        _part(job, books, error)
        raise _stopped(job, books) from error
    except BaseException as error:
        halt.set()
        _part(job, books, error)
        raise
    sent = _total(opening.ledger.written) - there
    return UploadResult(
        blob_url=target.name,
        path=local_path(target),
        blob_size=job.blob_size,
        virtual_size=image.virtual_size,
        padded_bytes=job.disk_size - image.virtual_size,
        sent_bytes=sent,
        zero_bytes=job.blob_size - resumed - sent,
        resumed_bytes=resumed,
        resumed_proven=opening.proven,
        requests=books.requests,
        unconfirmed_requests=books.unconfirmed,
        retries=sum(connection.retries.values()),
        retry_reasons=connection.retries,
        elapsed_seconds=time.monotonic() - started,
        crc64=opening.ledger.crc64,
        content_md5=digest,
        verified=verified,
        already_there=opening.complete,
        already_there_by=_evidence(opening, verified) if opening.complete else None,
        reading=reading_of(image),
    )


@dataclass(slots=True)
class _Books:
    """What has to be known when the upload ends early, and the counts for its result."""

    opening: Opening | None = None
    checkpoint: Checkpoint | None = None
    saved: Checkpoint | None = None
    requests: int = 0
    unconfirmed: int = 0


def _send(job: Job, opening: Opening, books: _Books) -> None:
    """Send what the ledger lacks, the footer last of all."""
    ledger = opening.ledger
    done = _work_below(job, ledger.offset)
    total = done + work_size(_steps(job, opening)) + len(job.footer)
    subject = str(job.image.path)
    with closing(job.options.progress.task("uploading", total, done, subject=subject)) as task:
        for result in run_ordered(
            _steps(job, opening),
            Sender(job.image, job.connection.write, task),
            workers=job.options.workers,
            halt=job.halt,
        ):
            ledger.enter(result)
            books.checkpoint = Checkpoint(ledger.offset, ledger.crc64)
            books.requests += len(result.writes)
            books.unconfirmed += result.unconfirmed
        if ledger.offset < job.disk_size or job.halt.is_set():
            raise TransferInterruptedError(job.target.name, "stopped before the end of the disk")
        confirmed = job.connection.write(job.disk_size, memoryview(job.footer), crc64(job.footer))
        ledger.enter(job.footer_step())
        books.requests += 1
        books.unconfirmed += not confirmed
        task.advance(len(job.footer))


def _work_below(job: Job, end: int) -> int:
    """Bytes that an earlier run handled, counted as this one counts its own."""
    return work_size(cut(plan(job.image.extents(), job.disk_size), end)) if end else 0


def _steps(job: Job, opening: Opening) -> Iterable[Step]:
    start = opening.ledger.offset
    extents = job.image.extents(start) if start < job.image.virtual_size else ()
    return force_writes(plan(extents, job.disk_size, start=start), opening.dirty)


@contextmanager
def _keeping(job: Job, books: _Books) -> Iterator[None]:
    """Lease, checkpoint and source watched meanwhile; what the keeper finds is what is raised."""

    def renew() -> None:
        with job.connection.lease_lock:
            if job.connection.holds_lease:
                job.connection.call(job.target.renew_lease, "renewing the lease")

    keeper = Keeper(
        renew=renew,
        save=lambda: _save(job.connection, books),
        check_source=job.image.check_unchanged,
        every=job.options.checkpoint_seconds,
        halt=job.halt,
    )
    try:
        with keeper:
            try:
                yield
            except BaseException:
                job.halt.set()  # else the keeper might sit out a pause first
                raise
    except TransferInterruptedError:
        if keeper.failure is not None:
            raise keeper.failure from None
        raise
    if keeper.failure is not None:
        raise keeper.failure


@contextmanager
def _hashing(job: Job) -> Iterator[Future[bytes] | None]:
    """The MD5 of the whole stream, computed beside the upload where it is wanted."""
    if not job.options.content_md5:
        yield None
        return
    with ThreadPoolExecutor(1, thread_name_prefix="vhdtools-md5") as pool:
        future = pool.submit(stream_md5, job.image, job.disk_size, job.footer, job.halt)
        try:
            yield future
        except BaseException:
            job.halt.set()
            raise


def _verified(job: Job, opening: Opening) -> bool:
    found = read_back(
        job.image,
        job.connection,
        readable_state(job.connection),
        workers=job.options.workers,
        progress=job.options.progress,
        halt=job.halt,
    )
    if found.crc64 != opening.ledger.crc64:
        raise VerificationError(
            job.target.name,
            "its footer is not the one that was written",
            "Run the same command with --overwrite.",
            job.disk_size,
        )
    return True


def _evidence(opening: Opening, verified: bool | None) -> Evidence:
    if not opening.proven:
        return "page ranges"
    return "read back" if verified else "not modified since"


def _finish(job: Job, books: _Books, md5: bytes | None, took: float) -> None:
    """Say that the upload is whole; from then on no checkpoint may take its place."""
    target, call, opening = job.target, job.connection.call, books.opening
    assert opening is not None
    marks = target.capabilities.metadata and not opening.complete
    if marks:
        mark_finished(job.connection, opening.metadata, opening.ledger.crc64)
        books.checkpoint = None
    if md5 is not None:
        call(lambda: target.set_content_md5(md5), "recording the MD5")
    if marks:
        record_time(job.connection, opening.metadata, opening.ledger.crc64, took=took)
    call(target.finish, "finishing")
    _release(job.connection)


def _part(job: Job, books: _Books, error: BaseException) -> None:
    """Leave the checkpoint and let go of the lease, if that can be done; `error` goes on."""
    connection = Connection(job.target, _PARTING, Pacer(1), threading.Event(), job.options.progress)
    connection.holds_lease = job.connection.holds_lease
    if isinstance(error, TargetBusyError):
        return
    try:
        if isinstance(error, VerificationError):
            _distrust(connection, books)
        _save(connection, books)
    except VhdToolsError as failure:
        _log.warning("the last checkpoint could not be written: %s", failure)
    _release(connection)


def _distrust(connection: Connection, books: _Books) -> None:
    """What is there is not the disk: nothing of it may be believed again.

    An upload of ours begins anew. A blob that was finished long ago may have become somebody's
    disk since: it loses its mark, so that it is not recognised again, and is left as it is.
    """
    opening = books.opening
    if opening is None or not connection.target.capabilities.metadata:
        return
    if opening.complete:
        metadata = foreign_metadata(opening.metadata)
        connection.call(
            lambda: connection.target.set_metadata(metadata), "removing the record of the upload"
        )
    else:
        books.checkpoint = Checkpoint(0, 0)


def _stopped(job: Job, books: _Books) -> TransferInterruptedError:
    """The error that says what was kept, and how to go on."""
    capabilities, again = job.target.capabilities, "Run the same command again"
    if books.opening is None:
        problem, remedy = "stopped before anything was sent", f"{again}."
    elif not capabilities.creates:
        problem = "stopped before the end of the disk"
        remedy = f"{again} to resume after what the disk's page ranges cover."
    elif not capabilities.metadata:
        problem, remedy = "stopped; nothing is kept", f"{again} to start again."
    elif books.saved is not None and books.saved == books.checkpoint:
        done = books.saved.offset
        problem = f"stopped at {done:,} of {job.blob_size:,} bytes, which are safe"
        remedy = f"{again} to resume from there."
    else:
        problem = "stopped, and the last checkpoint could not be written"
        remedy = f"{again} to resume from the one before, if any."
    failure = job.connection.outage.unresolved
    if failure is not None:
        problem += f"; {failure.operation} was failing: {failure.reason}"
    return TransferInterruptedError(job.target.name, problem, remedy)


def _save(connection: Connection, books: _Books) -> None:
    """Write the checkpoint, if it has moved and the target has a place for it."""
    opening, checkpoint = books.opening, books.checkpoint
    if opening is None or opening.owner is None or checkpoint is None or checkpoint == books.saved:
        return
    metadata = unfinished_metadata(opening.metadata, checkpoint, opening.owner.encode())
    connection.call(lambda: connection.target.set_metadata(metadata), "writing the checkpoint")
    _log.debug("checkpoint at byte %d", checkpoint.offset)
    books.saved = checkpoint


def _release(connection: Connection) -> None:
    if not connection.holds_lease:
        return
    try:
        connection.call(connection.target.release_lease, "releasing the lease")
    except VhdToolsError as error:
        _log.warning("the lease ends by itself in a minute; releasing it failed: %s", error)


def _total(ranges: Iterable[PageRange]) -> int:
    return sum(item.length for item in ranges)

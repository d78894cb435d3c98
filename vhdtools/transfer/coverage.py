"""The last look before an upload is called done: the target holds the plan, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vhdtools.errors import VerificationError
from vhdtools.progress import NoTask
from vhdtools.ranges import PageRange, RangeList, split, subtract
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer.compare import Comparer, Comparison
from vhdtools.transfer.differences import ranges_text
from vhdtools.transfer.job import Job
from vhdtools.transfer.ledger import Ledger

__all__ = ["check_coverage"]


def check_coverage(job: Job, ledger: Ledger) -> None:
    """Compare the target's page ranges with what was written.

    Where they differ (a target that counts in larger pages; an earlier version that cut zeros
    elsewhere), both sides are read there and must be equal. Raises VerificationError otherwise,
    with every range that differs.
    """
    reported = job.connection.page_ranges(0, job.blob_size)
    missing = RangeList(subtract(ledger.written, reported))
    extra = RangeList(subtract(reported, ledger.written))
    if not job.target.capabilities.reads:
        for ranges, what in ((missing, "lacks"), (extra, "holds, against the plan,")):
            for item in ranges:
                raise VerificationError(
                    job.target.name,
                    f"after the upload it {what} the range ({item.offset:,}, {item.length:,})",
                    "Run the same command with --overwrite.",
                    item.offset,
                )
    firsts: list[int] = []
    differs: list[PageRange] = []
    comparer = Comparer(job.image, job.connection, NoTask())
    for ranges in (missing, extra):
        for piece in split(_below(ranges, job.disk_size), MAX_WRITE):
            source = tuple(_below((piece,), job.image.virtual_size))
            found = comparer(Comparison(piece.offset, piece.length, source, (piece,)))
            if found.first is not None:
                firsts.append(found.first)
                differs += found.differs
    if firsts:
        raise _not_the_plan(job, sorted(differs, key=lambda item: item.offset), min(firsts))
    if missing.end > job.disk_size:
        _check_footer(job)


def _not_the_plan(job: Job, differs: list[PageRange], first: int) -> VerificationError:
    ranges = RangeList(differs)
    return VerificationError(
        job.target.name,
        f"after the upload its page ranges do not hold what was sent: {ranges_text(ranges)}",
        "Run the same command with --overwrite.",
        first,
        tuple(ranges),
    )


def _check_footer(job: Job) -> None:
    found = bytearray(len(job.footer))
    job.connection.read_into(job.disk_size, memoryview(found))
    if found != job.footer:
        raise VerificationError(
            job.target.name,
            "its footer is not the one that was written",
            "Run the same command with --overwrite.",
            job.disk_size,
        )


def _below(ranges: Iterable[PageRange], end: int) -> Iterator[PageRange]:
    for item in ranges:
        if item.offset < end:
            yield PageRange(item.offset, min(item.end, end) - item.offset)

"""Before a blob is replaced: proof that its place can be written to.

Replacing a blob empties it. Were the first page of the new disk refused then (by a permission, a
policy, or a proxy that lets no large request through), the old disk would be lost for nothing.
"""

from __future__ import annotations

from vhdtools.checksums import crc64
from vhdtools.target.page_target import MAX_WRITE
from vhdtools.transfer.job import Job

__all__ = ["prove_writable"]


def prove_writable(job: Job, size: int) -> None:
    """Write the first pages of the old blob, of `size` bytes, over themselves, as they are.

    It must be leased. A blob that holds no pages has nothing to lose. Raises TargetError where the
    pages cannot be read or written: nothing has changed then.
    """
    connection, target = job.connection, job.target
    if not size:
        return
    first = connection.call(lambda: next(target.page_ranges(0, size), None), "listing page ranges")
    if first is None:
        return
    pages = memoryview(bytearray(min(first.length, MAX_WRITE)))
    connection.read_into(first.offset, pages)
    connection.write(first.offset, pages, crc64(pages))

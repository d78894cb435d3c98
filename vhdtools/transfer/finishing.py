"""Recording that an upload is finished, so that later writes by others can be seen.

A blob's ETag and Last-Modified change with its metadata, so neither can simply be kept there. But
Last-Modified counts whole seconds: it is written into the metadata again and again, until that very
write falls into the second that it names. The lease is held until that second is over. Whatever is
written later gives the blob another Last-Modified than the one in its metadata.

That takes up to a second. It is worth it after an upload that took long; of a short one, it costs
less to read the blob back when the same upload is asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime

from vhdtools.target.page_target import TargetState
from vhdtools.transfer.checkpoint import finished_metadata, recorded_time
from vhdtools.transfer.connection import Connection

__all__ = ["LONG_SECONDS", "is_unmodified", "mark_finished", "record_time"]

LONG_SECONDS = 20.0
"""An upload that took this long waits up to a second more, so that it need not be read back."""

_ATTEMPTS = 5
_A_SECOND = 1.05


def mark_finished(connection: Connection, others: Mapping[str, str], crc64: int) -> None:
    """Mark the blob as finished with this CRC-64, beside the metadata of `others`."""
    _write(connection, others, crc64, None)


def record_time(
    connection: Connection,
    others: Mapping[str, str],
    crc64: int,
    *,
    took: float,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Record the Last-Modified of a blob that is marked as finished, and that is leased.

    Not so where the upload `took` (seconds) less than `LONG_SECONDS`, or nothing is leased.
    """
    if took < LONG_SECONDS or not connection.holds_lease:
        return
    connection.call(connection.target.renew_lease, "renewing the lease")
    modified = _last_modified(connection)
    for _ in range(_ATTEMPTS):
        if modified is None:
            return
        _write(connection, others, crc64, modified)
        now = _last_modified(connection)
        if now == modified:
            wait(_A_SECOND)
            return
        modified = now
    _write(connection, others, crc64, None)


def is_unmodified(state: TargetState) -> bool:
    """Whether it is certain that nothing was written since the upload was finished."""
    recorded = recorded_time(state.metadata)
    return recorded is not None and recorded == state.last_modified


def _write(
    connection: Connection, others: Mapping[str, str], crc64: int, modified: datetime | None
) -> None:
    metadata = finished_metadata(others, crc64, modified)
    connection.call(lambda: connection.target.set_metadata(metadata), "recording the upload")


def _last_modified(connection: Connection) -> datetime | None:
    state = connection.state()
    return None if state is None else state.last_modified

"""What every page blob can be asked, a managed disk's too, with arguments checked first."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from vhdtools.errors import TargetMissingError
from vhdtools.ranges import PageRange, coalesce
from vhdtools.target.blob_session import BlobSession
from vhdtools.target.page_requests import PageRangeLister, PageReader, get_state, put_page
from vhdtools.target.page_target import MAX_WRITE, TargetState, check_range

__all__ = ["PageBlob"]


class PageBlob:
    """A page blob at the end of `session`, which it closes; it knows its size once it was told.

    `lease_id`, where it is set, goes with every write. `leased_forever` tells whether somebody
    held a lease without an end when it was last asked for its state. Safe to use from several
    threads.
    """

    def __init__(self, session: BlobSession) -> None:
        self.session = session
        self.lease_id: str | None = None
        self._list = PageRangeLister(session)
        self._read = PageReader(session)
        self._size: int | None = None
        self.leased_forever = False
        self._lock = threading.Lock()

    def state(self) -> TargetState | None:
        """Get Blob Properties; metadata names come back in lower case."""
        state = get_state(self.session)
        self._size = None if state is None else state.size
        self.leased_forever = state is not None and state.leased_forever
        return state

    @property
    def size(self) -> int:
        """In bytes; asked for if it is not known. Raises TargetMissingError."""
        with self._lock:
            if self._size is None:
                self.state()
            if self._size is None:
                raise TargetMissingError(
                    self.session.name,
                    "there is no page blob",
                    "Check the URL. A managed disk's SAS may have been revoked: `az disk "
                    "grant-access --access-level Write --duration-in-seconds 86400 "
                    "--resource-group GROUP --name DISK`.",
                )
            return self._size

    @size.setter
    def size(self, value: int) -> None:
        self._size = value

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        """Put Page with its CRC-64, which the answer repeats."""
        check_range(offset, len(data), self.size, MAX_WRITE)
        return put_page(self.session, offset, data, crc64, self.lease_id)

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        """Get Page Ranges, in as many requests as it takes, made as the ranges are asked for."""
        check_range(offset, length, self.size)
        return coalesce(self._list(offset, offset + length))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Get Blob, one range."""
        check_range(offset, len(buffer), self.size)
        self._read(offset, buffer)

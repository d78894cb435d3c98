"""A managed disk, through a SAS: one for upload, or one for reading.

Behind an upload SAS is a page blob that allows very little. Only Get Blob Properties, Get Page
Ranges and Put Page are ever sent: Put Blob on some of these hosts succeeds, and wipes the disk.
Behind a SAS of `az disk grant-access --access-level Read`, Get Blob is sent as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NoReturn

from vhdtools.errors import TargetRefusedError
from vhdtools.ranges import PageRange
from vhdtools.target.blob_session import BlobSession
from vhdtools.target.page_blob import PageBlob
from vhdtools.target.page_target import TargetCapabilities, TargetState, check_range
from vhdtools.target.remedies import READABLE_DISK

__all__ = ["ManagedDiskTarget"]


class ManagedDiskTarget:
    """A managed disk, "ready to upload" or to be read, as a `PageTarget`; it owns `session`."""

    def __init__(self, session: BlobSession) -> None:
        self._session = session
        self._blob = PageBlob(session)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def name(self) -> str:
        """The disk's URL without its query."""
        return self._session.name

    @property
    def capabilities(self) -> TargetCapabilities:
        """It exists with its size, and takes pages; with a SAS for reading alone, it `reads`."""
        return TargetCapabilities(
            creates=False, metadata=False, lease=False, reads=self._reads(), clears=False
        )

    def _reads(self) -> bool:
        permissions = self._session.sas_fields.get("sp", "")
        return "r" in permissions and "w" not in permissions

    def state(self) -> TargetState | None:
        """Get Blob Properties."""
        return self._blob.state()

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        """Put Page with its CRC-64, which the answer repeats."""
        return self._blob.write(offset, data, crc64)

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        """Get Page Ranges, in as many requests as it takes, made as the ranges are asked for."""
        return self._blob.page_ranges(offset, length)

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        """ValueError: the disk is made elsewhere (`az disk create --upload-type Upload`)."""
        _cannot("be created")

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        """ValueError."""
        _cannot("be leased")

    def renew_lease(self) -> None:
        """ValueError."""
        _cannot("be leased")

    def release_lease(self) -> None:
        """Nothing is held."""

    def clear(self, offset: int, length: int) -> None:
        """ValueError."""
        _cannot("have pages cleared")

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Get Blob, one range. Raises TargetRefusedError with an upload SAS."""
        check_range(offset, len(buffer), self._blob.size)
        if not self._reads():
            raise TargetRefusedError(
                self.name,
                "a managed disk cannot be read through its upload SAS",
                READABLE_DISK,
                offset,
            )
        self._blob.read_into(offset, memoryview(buffer))

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """ValueError."""
        _cannot("carry metadata")

    def set_content_md5(self, digest: bytes) -> None:
        """Nothing: there is no place for it."""

    def finish(self) -> None:
        """Nothing: the disk is done when its upload SAS is revoked (`az disk revoke-access`)."""

    def refresh_access(self) -> bool:
        """Ask for fresh credentials, once for all threads that were refused with the same ones."""
        return self._session.refresh()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _cannot(what: str) -> NoReturn:
    raise ValueError(f"a managed disk cannot {what} through its upload SAS")

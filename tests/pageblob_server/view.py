"""A blob as a test looks at it, past the HTTP interface."""

from __future__ import annotations

from collections.abc import Mapping

from .leases import state_of
from .state import State
from .storage import Blob


class BlobView:
    """A look at one blob from another thread; each property is of the moment it is asked."""

    def __init__(self, state: State, name: str) -> None:
        self._state = state
        self._container, _, self._name = name.partition("/")

    def _blob(self) -> Blob:
        return self._state.containers[self._container][self._name]

    @property
    def exists(self) -> bool:
        """Whether there is such a blob."""
        with self._state.lock:
            return self._name in self._state.containers.get(self._container, {})

    @property
    def size(self) -> int:
        """Its length in bytes."""
        with self._state.lock:
            return self._blob().size

    @property
    def etag(self) -> str:
        """Its ETag, quotes included."""
        with self._state.lock:
            return self._blob().etag

    @property
    def metadata(self) -> dict[str, str]:
        """Its metadata."""
        with self._state.lock:
            return dict(self._blob().metadata)

    @property
    def properties(self) -> Mapping[str, str]:
        """Its stored HTTP headers, such as Content-MD5, by the names Get Blob answers with."""
        with self._state.lock:
            return dict(self._blob().properties)

    @property
    def lease_state(self) -> str:
        """`available`, `leased`, `expired`, `breaking` or `broken`."""
        with self._state.lock:
            return state_of(self._blob().lease, self._state.now())

    @property
    def lease_id(self) -> str | None:
        """The id of the lease, held or not."""
        with self._state.lock:
            lease = self._blob().lease
            return None if lease is None else lease.lease_id

    @property
    def written_bytes(self) -> int:
        """Bytes of all Put Pages that took effect since the blob was made."""
        with self._state.lock:
            return self._blob().written_bytes

    @property
    def rewritten_bytes(self) -> int:
        """How many of them went to pages that an earlier Put Page had already written."""
        with self._state.lock:
            return self._blob().rewritten_bytes

    def ranges(self) -> list[tuple[int, int]]:
        """The page ranges, coalesced, as (offset, length)."""
        with self._state.lock:
            return list(self._blob().ranges)

    def rewritten_ranges(self) -> list[tuple[int, int]]:
        """The pages that were written more than once, as (offset, length)."""
        with self._state.lock:
            return list(self._blob().rewritten)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the blob."""
        with self._state.lock:
            return self._blob().pages.read(offset, length)

    def content_hash(self) -> str:
        """The SHA-256 of the whole content in hex, zeros hashed too: for blobs of modest size."""
        with self._state.lock:
            return self._blob().sha256()

    def crc64(self) -> int:
        """The CRC-64/NVME of the whole content; zeros cost nothing, and no data need be kept."""
        with self._state.lock:
            blob = self._blob()
            return blob.pages.crc64(blob.size, blob.ranges)

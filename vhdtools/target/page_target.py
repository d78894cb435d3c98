"""What every place that pages go to is to the rest of vhdtools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vhdtools.errors import TargetRefusedError
from vhdtools.ranges import PAGE, PageRange

__all__ = [
    "MAX_WRITE",
    "PageTarget",
    "TargetCapabilities",
    "TargetState",
    "check_range",
    "check_size",
]

MAX_WRITE = 4 * 1024 * 1024
"""The most bytes one Put Page takes: above it the service answers 413 (REST: Put Page)."""


def check_range(offset: int, length: int, size: int, most: int | None = None) -> None:
    """Raise ValueError unless these are whole pages, at least one, within `size` bytes.

    `most` bounds the length, where there is a bound.
    """
    if offset < 0 or length <= 0 or offset % PAGE or length % PAGE:
        raise ValueError(f"({offset}, {length}) is not a range of whole {PAGE}-byte pages")
    if offset + length > size:
        raise ValueError(f"({offset}, {length}) is past the end, which is at {size}")
    if most is not None and length > most:
        raise ValueError(f"{length} bytes are more than the {most} of one request")


@dataclass(frozen=True, slots=True)
class TargetCapabilities:
    """What a kind of target can do, so that a transfer knows its part.

    `creates`: it is made (and replaced) by us, and is all zeros then; else it exists with its
    final size. `metadata`: it keeps key-value pairs, and so a checkpoint. `lease`: it can be
    locked against other writers. `reads`: what it holds can be read back. `clears`: pages can be
    cleared; else zeros must be written. `max_size`: the most bytes that fit (None: no bound).
    """

    creates: bool
    metadata: bool
    lease: bool
    reads: bool
    clears: bool
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class TargetState:
    """What is at a target now: its size in bytes, its metadata, whether somebody holds a lease.

    A lease that never runs out (`leased_forever`) is not an upload's: it is what Azure holds on
    the blob of an unmanaged disk that is in use.
    """

    size: int
    metadata: Mapping[str, str]
    leased: bool = False
    content_md5: bytes | None = None
    last_modified: datetime | None = None
    leased_forever: bool = False


class PageTarget(Protocol):
    """A row of 512-byte pages that read as zeros until they are written.

    Methods make one attempt each, and raise only TargetError's kinds: UnavailableError and
    ChecksumError are worth a retry, which is the transfer's business. `write`, `clear` and
    `read_into` may be called from several threads at once. Offsets and lengths are multiples of
    512 bytes; anything else, or past the end, is a ValueError before anything is sent.
    """

    @property
    def name(self) -> str:
        """The URL without its query, or the path: fit for messages and logs."""
        ...

    @property
    def capabilities(self) -> TargetCapabilities:
        """What this kind of target can do."""
        ...

    def state(self) -> TargetState | None:
        """What is there now; None where there is nothing yet (but could be)."""
        ...

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        """Make the target `size` bytes of zeros (a multiple of 512), carrying `metadata`.

        Raises TargetExistsError if something is there and `replace` is false, ValueError where
        the kind does not create.
        """
        ...

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        """Lock the target for `lease_id` (a UUID); all later calls of this object carry it.

        `previous` is the id of a lease known to be ours (of a run that died): it is exchanged for
        the new one, so that nothing of that run can write any more. A lease lasts at most 60 s
        unless renewed. Raises TargetBusyError where somebody else holds one.
        """
        ...

    def renew_lease(self) -> None:
        """Make the lease last again; TargetBusyError where it was lost."""
        ...

    def release_lease(self) -> None:
        """Unlock the target; harmless when no lease is held."""
        ...

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        """Write whole pages, at most `MAX_WRITE` bytes, sending their CRC-64 along.

        True where the target confirmed this CRC-64, False where it returned none. Raises
        ChecksumError where it returned, or computed, another. `data` is not copied or kept.
        """
        ...

    def clear(self, offset: int, length: int) -> None:
        """Make whole pages read as zeros and belong to no page range; any length at once."""
        ...

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        """The ranges in [offset, offset + length) that were written, ascending, clipped, joined."""
        ...

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Fill all of `buffer` with the target's bytes from `offset`."""
        ...

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """Replace all metadata."""
        ...

    def set_content_md5(self, digest: bytes) -> None:
        """Record the MD5 (16 bytes) of the whole content, where the kind has a place for it."""
        ...

    def finish(self) -> None:
        """All is written and checked: make it lasting and visible under its own name."""
        ...

    def refresh_access(self) -> bool:
        """Ask for fresh credentials; True if there are new ones, and another try makes sense."""
        ...

    def close(self) -> None:
        """Let go of connections and files, without a word about completeness."""
        ...


def check_size(target: PageTarget, size: int) -> None:
    """Raise TargetRefusedError for a blob of `size` bytes that is larger than such a one can be."""
    most = target.capabilities.max_size
    if most is not None and size > most:
        raise TargetRefusedError(
            target.name,
            f"a page blob has at most {most:,} bytes, and this would have {size:,}",
            "Upload it to a managed disk, which holds up to 32 TiB. This creates one: `az disk "
            f"create --upload-type Upload --upload-size-bytes {size} --resource-group GROUP "
            "--name DISK`.",
        )

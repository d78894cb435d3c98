"""A disk image and a page target in memory, for tests that need neither a file nor a service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from types import TracebackType

from vhdtools.errors import SourceReadError, TargetBusyError, TargetExistsError
from vhdtools.layout import Footer
from vhdtools.ranges import PAGE, Extent, PageRange, coalesce
from vhdtools.target.page_target import MAX_WRITE, TargetCapabilities, TargetState, check_range

BLOB = TargetCapabilities(creates=True, metadata=True, lease=True, reads=True, clears=True)
"""What a page blob can do."""
DISK = TargetCapabilities(creates=False, metadata=False, lease=False, reads=False, clears=False)
"""What a managed disk's upload SAS can do."""


@lru_cache(maxsize=4)
def extents_of(content: bytes) -> tuple[Extent, ...]:
    """The true extents of *content*: its zero pages and its others."""
    zeros = bytes(PAGE)
    offsets = range(0, len(content), PAGE)
    found = []
    for zero, run in groupby(
        offsets, lambda at: content[at : at + PAGE] == zeros[: len(content) - at]
    ):
        pages = list(run)
        end = min(pages[-1] + PAGE, len(content))
        found.append(Extent(pages[0], end - pages[0], zero))
    return tuple(found)


class MemoryImage:
    """A `DiskImage` of *content*, which fails where an extent known to be zero is read.

    Not so with ``reads_zeros``. ``before_read(offset, length)`` runs before each read, and may
    raise what a broken disk would; ``changed`` is raised by ``check_unchanged``.
    """

    footer: Footer | None = None

    def __init__(
        self,
        content: bytes,
        extents: Iterable[Extent] | None = None,
        before_read: Callable[[int, int], None] = lambda _offset, _length: None,
        reads_zeros: bool = False,
    ) -> None:
        self.path = Path("memory.vhd")
        self.files = (self.path,)
        self.content = bytearray(content)
        self.virtual_size = len(content)
        self.changed: Exception | None = None
        self.before_read = before_read
        self.reads_zeros = reads_zeros
        self._extents = extents_of(content) if extents is None else tuple(extents)

    def extents(self, start: int = 0) -> Iterator[Extent]:
        for item in self._extents:
            if item.end > start:
                first = max(item.offset, start)
                yield Extent(first, item.end - first, item.zero)

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        end = offset + len(buffer)
        for item in self._extents:
            overlaps = item.offset < end and item.end > offset
            assert self.reads_zeros or not item.zero or not overlaps, (
                f"known zeros were read: {item}, by a read of ({offset}, {len(buffer)})"
            )
        self.before_read(offset, len(buffer))
        if end > len(self.content):
            raise SourceReadError(str(self.path), "the file ends early", offset=len(self.content))
        memoryview(buffer)[:] = self.content[offset:end]

    def check_unchanged(self) -> None:
        if self.changed is not None:
            raise self.changed

    def close(self) -> None:
        pass

    def __enter__(self) -> MemoryImage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass


class MemoryTarget:
    """A `PageTarget` in memory, with a lease that works, for one object at a time.

    ``before(operation, offset)`` runs before each call takes effect and ``after(operation,
    offset)`` before it returns; either may raise what a service would. ``calls`` names every call.
    ``now`` is the service's clock, which stands still until a test moves it by whole seconds.
    """

    def __init__(self, capabilities: TargetCapabilities = BLOB) -> None:
        self.name = "memory://target"
        self.capabilities = capabilities
        self.content: bytearray | None = None
        self.metadata: dict[str, str] = {}
        self.lease_id: str | None = None
        self.md5: bytes | None = None
        self.leased_forever = False
        self.finished = False
        self.confirms = True
        self.writes: list[PageRange] = []
        self.calls: list[str] = []
        self.before: Callable[[str, int], None] = lambda _operation, _offset: None
        self.after: Callable[[str, int], None] = lambda _operation, _offset: None
        self.fresh_access: Callable[[], bool] = lambda: False
        self.pages: set[int] = set()
        self.our_lease: str | None = None
        self.now = datetime(2026, 1, 2, tzinfo=timezone.utc)
        self.modified = self.now
        self._lock = threading.Lock()

    def exists_with(self, size: int, *pages: tuple[int, bytes]) -> None:
        """Make it be there already, holding *pages*."""
        self.content = bytearray(size)
        for offset, data in pages:
            self.store(offset, data)

    def held(self) -> bytes:
        """All that it holds."""
        assert self.content is not None
        return bytes(self.content)

    def ranges(self) -> list[PageRange]:
        """The page ranges."""
        return list(coalesce(PageRange(number * PAGE, PAGE) for number in sorted(self.pages)))

    def state(self) -> TargetState | None:
        self._begin("state")
        content = self.content
        found = (
            None
            if content is None
            else TargetState(
                len(content),
                dict(self.metadata),
                self.lease_id is not None,
                content_md5=self.md5,
                last_modified=self.modified,
                leased_forever=self.leased_forever,
            )
        )
        self.after("state", 0)
        return found

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        self._begin("create")
        if self.content is not None and not replace:
            raise TargetExistsError(self.name, "it is there already")
        self._check_lease()
        self.content = bytearray(size)
        self.pages.clear()
        self.metadata = dict(metadata)
        self.md5 = None
        self.after("create", 0)

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        self._begin("acquire_lease")
        if self.lease_id not in (None, lease_id, previous):
            raise TargetBusyError(self.name, "another writer holds the lease")
        self.lease_id = self.our_lease = lease_id
        self.after("acquire_lease", 0)

    def renew_lease(self) -> None:
        self._begin("renew_lease")
        if self.lease_id is not None and self.lease_id != self.our_lease:
            raise TargetBusyError(self.name, "the lease was lost")
        self.lease_id = self.our_lease
        self.after("renew_lease", 0)

    def release_lease(self) -> None:
        self._begin("release_lease")
        if self.lease_id == self.our_lease:
            self.lease_id = None
        self.our_lease = None
        self.after("release_lease", 0)

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        check_range(offset, len(data), self._size(), MAX_WRITE)
        self._begin("write", offset)
        with self._lock:
            self._check_lease()
            self.store(offset, data)
            self.writes.append(PageRange(offset, len(data)))
        self.after("write", offset)
        return self.confirms

    def clear(self, offset: int, length: int) -> None:
        check_range(offset, length, self._size())
        self._begin("clear", offset)
        with self._lock:
            self._check_lease()
            assert self.content is not None
            self.content[offset : offset + length] = bytes(length)
            self.pages.difference_update(range(offset // PAGE, (offset + length) // PAGE))
        self.after("clear", offset)

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        check_range(offset, length, self._size())
        self._begin("page_ranges", offset)
        for item in self.ranges():
            first, end = max(item.offset, offset), min(item.end, offset + length)
            if first < end:
                yield PageRange(first, end - first)

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        check_range(offset, len(buffer), self._size())
        self._begin("read_into", offset)
        assert self.content is not None
        memoryview(buffer)[:] = self.content[offset : offset + len(buffer)]

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        self._begin("set_metadata")
        self._check_lease()
        self.metadata = dict(metadata)
        self.after("set_metadata", 0)

    def set_content_md5(self, digest: bytes) -> None:
        self._begin("set_content_md5")
        self._check_lease()
        self.md5 = digest
        self.after("set_content_md5", 0)

    def finish(self) -> None:
        self._begin("finish")
        self.finished = True

    def refresh_access(self) -> bool:
        return self.fresh_access()

    def close(self) -> None:
        pass

    def _begin(self, operation: str, offset: int = 0) -> None:
        self.calls.append(operation)
        self.before(operation, offset)
        if operation in ("create", "write", "clear", "set_metadata", "set_content_md5"):
            self.modified = self.now

    def _size(self) -> int:
        assert self.content is not None, "nothing was created"
        return len(self.content)

    def store(self, offset: int, data: bytes | memoryview) -> None:
        """Put *data* there, without a request, as another writer would."""
        self.modified = self.now
        assert self.content is not None
        self.content[offset : offset + len(data)] = data
        self.pages.update(range(offset // PAGE, (offset + len(data)) // PAGE))

    def _check_lease(self) -> None:
        if self.lease_id is not None and self.lease_id != self.our_lease:
            raise TargetBusyError(self.name, "another writer holds the lease")

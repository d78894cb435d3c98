"""What an upload sends, found by letting one run against memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.push import Write
from vhdtools.image import open as open_image
from vhdtools.ranges import PageRange, coalesce
from vhdtools.target.page_target import TargetCapabilities, TargetState
from vhdtools.transfer import UploadOptions
from vhdtools.transfer.upload import upload_image


def recorded_writes(disk: Path) -> list[Write]:
    """The page writes that an upload of *disk* makes, in disk order, with their data."""
    target = _Recorder()
    with open_image(disk) as image:
        upload_image(image, target, UploadOptions(workers=2))
    return sorted(target.writes, key=lambda write: write.offset)


class _Recorder:
    """A `PageTarget` that only remembers the writes."""

    name = "memory"
    capabilities = TargetCapabilities(
        creates=True, metadata=False, lease=False, reads=False, clears=False
    )

    def __init__(self) -> None:
        self.writes = list[Write]()
        self._lock = threading.Lock()

    def state(self) -> TargetState | None:
        return None

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        pass

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        write = Write(offset, bytes(data), crc64)
        with self._lock:
            self.writes.append(write)
        return True

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        written = sorted((write.offset, len(write.data)) for write in self.writes)
        return coalesce(PageRange(*item) for item in written)

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        raise NotImplementedError

    def renew_lease(self) -> None:
        raise NotImplementedError

    def release_lease(self) -> None:
        pass

    def clear(self, offset: int, length: int) -> None:
        raise NotImplementedError

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        raise NotImplementedError

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        raise NotImplementedError

    def set_content_md5(self, digest: bytes) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        pass

    def refresh_access(self) -> bool:
        return False

    def close(self) -> None:
        pass

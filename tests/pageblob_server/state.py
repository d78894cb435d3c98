"""The account's state: containers, blobs, the service's clock, and broken managed-disk rules."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from email.utils import formatdate

from . import errors
from .calls import Call, Operation
from .errors import RefusedError
from .options import ServerOptions
from .storage import PAGE, Blob, PageStore


@dataclass(frozen=True, slots=True)
class Violation:
    """An operation that must never be sent to a managed disk, and was."""

    operation: Operation
    name: str
    wiped: bool


class State:
    """Everything the operations work on, under one lock."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.lock = threading.RLock()
        self.containers: dict[str, dict[str, Blob]] = {}
        self.violations: list[Violation] = []
        self.rewritten_bytes = 0
        self.written_bytes = 0
        self._etags = 0x8DC000000000000
        self._skew = 0.0
        for disk in options.managed_disks:
            blob = self.add_blob(disk.name, disk.size)
            blob.managed, blob.readable = True, disk.readable
            for offset, data in disk.pages:
                blob.preset(offset, data)

    def now(self) -> float:
        """Seconds since the epoch by the service's clock."""
        return time.time() + self._skew

    def pass_time(self, seconds: float) -> None:
        """Put the service's clock forward."""
        with self.lock:
            self._skew += seconds

    def add_blob(self, name: str, size: int, kind: str = "PageBlob") -> Blob:
        """An empty blob, made without a request, in a container made if need be."""
        container, _, blob = name.partition("/")
        if size % PAGE and kind == "PageBlob":
            raise ValueError(f"a page blob of {size} bytes is not a whole number of pages")
        with self.lock:
            made = self.new_blob(size, kind)
            self.containers.setdefault(container, {})[blob] = made
            return made

    def new_blob(self, size: int, kind: str) -> Blob:
        """A blob that is in no container yet."""
        now = self.now()
        pages = PageStore(discard=self.options.discard)
        return Blob(size, kind, self.next_etag(), now, now, pages)

    def next_etag(self) -> str:
        """An ETag not given before."""
        self._etags += 1
        return f'"0x{self._etags:X}"'

    def container(self, call: Call) -> dict[str, Blob]:
        """The container a request names; refused where there is none."""
        found = self.containers.get(call.container)
        if found is None:
            raise RefusedError(errors.CONTAINER_NOT_FOUND)
        return found

    def blob(self, call: Call) -> Blob:
        """The blob a request names; refused where there is none."""
        found = self.container(call).get(call.blob)
        if found is None:
            raise RefusedError(errors.BLOB_NOT_FOUND)
        return found

    def page_blob(self, call: Call) -> Blob:
        """The page blob a request names; refused where it is of another type."""
        found = self.blob(call)
        if found.kind != "PageBlob":
            raise RefusedError(errors.INVALID_BLOB_TYPE)
        return found

    def touch(self, blob: Blob) -> None:
        """A write gives a blob a new ETag and a new time."""
        blob.etag = self.next_etag()
        blob.modified = self.now()


def stamp(blob: Blob) -> dict[str, str]:
    """The headers that say which state of the blob an answer speaks of."""
    return {"ETag": blob.etag, "Last-Modified": formatdate(blob.modified, usegmt=True)}

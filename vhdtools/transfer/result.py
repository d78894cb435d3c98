"""What a transfer did, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from vhdtools.image.reading import UNQUESTIONED, Reading
from vhdtools.inspection import Finding, Readiness
from vhdtools.target.page_target import PageTarget

__all__ = ["Evidence", "UploadResult", "VerifyResult", "local_path"]

Evidence: TypeAlias = Literal["read back", "not modified since", "page ranges"]
"""Why what was there already is taken for the disk. The disk has the CRC-64 that was recorded when
the upload finished, and the blob was *read back* and is equal, or its Last-Modified shows that it
was *not modified since*; or, of a managed disk, its *page ranges* are the disk's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResult:
    """A finished upload. Sizes in bytes; every byte of the blob is sent, zero or was there.

    `blob_url` has no query; of a local file it is the `path`, which is None otherwise.
    `virtual_size` is the source's; the blob holds `padded_bytes` of zeros after it and a footer of
    512. `resumed_bytes` were written by an earlier run, from a disk with the same content by CRC-64
    (by page ranges alone if not `resumed_proven`). `requests` counts the writes that succeeded;
    `unconfirmed_requests` of them were answered without a CRC-64. `retries` counts tries again, by
    reason in `retry_reasons`. `crc64` is that of the whole blob. `verified` is True when the blob
    was read back and is the disk, None when it was not read back. `already_there` means that
    nothing had to be sent, for the reason in `already_there_by`. `reading` is what was chosen where
    the disk's file can be read in two ways. `readiness` says what the blob is ready for in Azure,
    and what is lacking; `findings` is what inspection found in the source. Both are empty where
    nobody looked.
    """

    blob_url: str
    path: str | None
    blob_size: int
    virtual_size: int
    padded_bytes: int
    sent_bytes: int
    zero_bytes: int
    resumed_bytes: int
    resumed_proven: bool
    requests: int
    unconfirmed_requests: int
    retries: int
    retry_reasons: Mapping[str, int] = field(default_factory=dict)
    elapsed_seconds: float
    crc64: int
    content_md5: bytes | None
    verified: bool | None
    already_there: bool
    already_there_by: Evidence | None
    reading: Reading = UNQUESTIONED
    readiness: tuple[Readiness, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """A target that was read back and is the disk, up to a MiB of zeros and the footer.

    `read_bytes` were read back; the rest belongs to no page range, and is zero. `crc64` is that of
    the target's whole content. `footer_rebuilt` is False when the target ends in another valid
    footer of the right size than `upload` would write (another tool's). `path` is that of a local
    file.
    """

    blob_url: str
    path: str | None
    blob_size: int
    virtual_size: int
    read_bytes: int
    retries: int
    elapsed_seconds: float
    crc64: int
    footer_rebuilt: bool
    reading: Reading = UNQUESTIONED


def local_path(target: PageTarget) -> str | None:
    """The path of a target that is a local file."""
    path = getattr(target, "path", None)
    return str(path) if isinstance(path, Path) else None

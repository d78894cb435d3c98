"""What an upload would do, found out without changing anything."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vhdtools.image.disk_image import DiskImage
from vhdtools.image.reading import UNQUESTIONED, Reading, reading_of
from vhdtools.inspection import Finding, Readiness
from vhdtools.layout import FOOTER_SIZE
from vhdtools.target.page_target import PageTarget, TargetState, check_size
from vhdtools.transfer.checkpoint import Checkpoint, finished_crc64
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.footer import padded_size
from vhdtools.transfer.halt import Halt
from vhdtools.transfer.job import UploadOptions
from vhdtools.transfer.pacing import Pacer
from vhdtools.transfer.plan import plan, work_size
from vhdtools.transfer.result import local_path

__all__ = ["Outlook", "UploadPreview", "preview_image"]

Outlook: TypeAlias = Literal["create", "replace", "resume", "recognize", "refuse", "write"]
"""What an upload would do first: create the target, replace it, resume the unfinished upload
there, compare with the finished upload there, refuse as something else is there, or write to the
managed disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPreview:
    """What an upload would do; sizes in bytes.

    At most `data_bytes` would be sent: the rest of the blob is known to be zero without reading.
    `resume_at` is where the unfinished upload stands that would be resumed. `path` is that of a
    local file. `reading` is what was chosen where the disk's file can be read in two ways.
    `readiness` says what the blob would be ready for, `findings` what inspection found; both are
    empty where nobody looked.
    """

    blob_url: str
    path: str | None
    blob_size: int
    virtual_size: int
    padded_bytes: int
    data_bytes: int
    outlook: Outlook
    resume_at: int
    reading: Reading = UNQUESTIONED
    readiness: tuple[Readiness, ...] = ()
    findings: tuple[Finding, ...] = ()


def preview_image(
    image: DiskImage,
    target: PageTarget,
    options: UploadOptions | None = None,
    stop: threading.Event | None = None,
) -> UploadPreview:
    """Look at both sides, and say what `upload_image` would do; makes one request, if any.

    Raises TargetRefusedError for more than the target can hold, and what reading the image, and
    `PageTarget.state`, raise.
    """
    size = padded_size(image.virtual_size)
    check_size(target, size + FOOTER_SIZE)
    options = options or UploadOptions()
    halt = Halt(stop or threading.Event())
    state = Connection(target, options.retry, Pacer(1), halt, options.progress).state()
    checkpoint = Checkpoint.read(state.metadata) if state is not None else None
    outlook = _outlook(target, state, size + FOOTER_SIZE, overwrite=options.overwrite)
    return UploadPreview(
        blob_url=target.name,
        path=local_path(target),
        blob_size=size + FOOTER_SIZE,
        virtual_size=image.virtual_size,
        padded_bytes=size - image.virtual_size,
        data_bytes=work_size(plan(image.extents(), size)) + FOOTER_SIZE,
        outlook=outlook,
        reading=reading_of(image),
        resume_at=checkpoint.offset if checkpoint is not None and outlook == "resume" else 0,
    )


def _outlook(
    target: PageTarget, state: TargetState | None, blob_size: int, *, overwrite: bool
) -> Outlook:
    if not target.capabilities.creates:
        return "refuse" if state is None or state.size != blob_size else "write"
    if state is None:
        return "create"
    if overwrite:
        return "replace"
    if state.size != blob_size:
        return "refuse"
    if finished_crc64(state.metadata) is not None:
        return "recognize"
    checkpoint = Checkpoint.read(state.metadata)
    fits = checkpoint is not None and checkpoint.offset < blob_size
    return "resume" if fits else "refuse"

"""Every exception that leaves vhdtools.

    VhdToolsError
    ├── UsageError                a call that cannot work: destination, option, no credentials
    ├── ImageError                the disk image
    │   ├── UnrecognizedImageError    not a VHD; says what it is where that can be seen
    │   ├── DamagedImageError         fields that are impossible or contradict each other
    │   ├── UnsupportedImageError     sound, but nothing vhdtools reads
    │   ├── ParentError               the backing chain: missing, cyclic, another disk
    │   ├── SourceReadError           the operating system could not read, or gave too little
    │   ├── SourceChangedError        the disk is not the one that was read before
    │   └── NotUploadableError        inspection found errors, or a required purpose is not met
    ├── TargetError               the place the pages go to
    │   ├── TargetExistsError         something is there, and was not to be replaced
    │   ├── TargetMissingError        no such account, container or blob
    │   ├── TargetBusyError           another writer holds the lease, or took it
    │   ├── TargetRefusedError        the service (or file system) will not do this, ever
    │   ├── AccessError               credentials missing, wrong or expired
    │   ├── UnavailableError          no answer, throttled, or failing: worth another try
    │   └── ChecksumError             what arrived is not what was sent: worth another try
    ├── ResourceLimitError        this process may have no more memory, descriptors or threads
    ├── VerificationError         the target's content is not the disk's
    └── TransferInterruptedError       stopped on request, after a checkpoint

Messages have one shape: *subject* (a file or URL, never a secret), *problem*, where (a byte
offset), and *remedy* (what to do). An error is *resumable* when the same call, made again, goes
on where this one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

from vhdtools.reruns import Rerun as _Rerun
from vhdtools.reruns import as_shown as _as_shown
from vhdtools.reruns import with_reruns as _with_reruns
from vhdtools.text import redact as _redact

__all__ = [
    "AccessError",
    "ChecksumError",
    "DamagedImageError",
    "ImageError",
    "NotUploadableError",
    "ParentError",
    "ResourceLimitError",
    "SourceChangedError",
    "SourceReadError",
    "TargetBusyError",
    "TargetError",
    "TargetExistsError",
    "TargetMissingError",
    "TargetRefusedError",
    "TransferInterruptedError",
    "UnavailableError",
    "UnrecognizedImageError",
    "UnsupportedImageError",
    "UsageError",
    "VerificationError",
    "VhdToolsError",
]


class VhdToolsError(Exception):
    """Root of all errors raised by vhdtools.

    `subject` names the file or URL (without its query), `problem` says what is wrong, `remedy`
    what to do about it ("" where there is nothing to do), `offset` where, in bytes from the start
    of the subject (None where the whole is meant). No part keeps a signature, a key or a token.
    `reruns` are the arguments with which the same call would succeed; the remedy names them.
    """

    resumable: ClassVar[bool] = False

    def __init__(
        self,
        subject: str,
        problem: str,
        remedy: str = "",
        offset: int | None = None,
        *,
        reruns: Sequence[_Rerun] = (),
    ) -> None:
        remedy = _with_reruns(remedy, reruns)
        subject, problem, remedy = map(_redact, (subject, problem, remedy))
        super().__init__(subject, problem, remedy, offset)
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
        self.offset = offset
        self.reruns = tuple(reruns)

    def __str__(self) -> str:
        where = "" if self.offset is None else f" (at byte {self.offset:,})"
        text = f"{self.subject}: {self.problem}{where}."
        return _redact(f"{text} {self.remedy}" if self.remedy else text)

    def told(self, shown: Callable[[_Rerun], str]) -> str:
        """The whole message, in which each of `reruns` is `shown` as the caller writes it."""
        return _as_shown(str(self), self.reruns, shown)


class UsageError(VhdToolsError):
    """The call cannot work as it stands: a destination, an option, or credentials that lack."""


class ImageError(VhdToolsError):
    """Something about the disk image; the subject is the file."""


class UnrecognizedImageError(ImageError):
    """The file is not a VHD."""


class DamagedImageError(ImageError):
    """The VHD's own fields are impossible or contradict each other: it cannot be read safely."""


class UnsupportedImageError(ImageError):
    """A sound image of a kind, or with a feature, that vhdtools does not read."""


class ParentError(ImageError):
    """The parent of a differencing disk is missing, part of a cycle, or another disk."""


class SourceReadError(ImageError):
    """The operating system could not read the file, or returned less than was there before."""


class SourceChangedError(ImageError):
    """The disk is not the one that was read before: in an earlier run, or a moment ago."""


class NotUploadableError(ImageError):
    """Inspection found errors, or the disk is not ready for a purpose that was required."""


class TargetError(VhdToolsError):
    """Something about the place the pages go to; the subject is its URL without the query.

    `status` is the HTTP status and `code` the service's error code, where there was an answer.
    """

    def __init__(
        self,
        subject: str,
        problem: str,
        remedy: str = "",
        offset: int | None = None,
        status: int | None = None,
        code: str = "",
    ) -> None:
        super().__init__(subject, problem, remedy, offset)
        self.args = (*self.args, status, code)
        self.status = status
        self.code = code


class TargetExistsError(TargetError):
    """There is something at the target already, and it was not to be replaced."""


class TargetMissingError(TargetError):
    """The account, container, blob or folder does not exist."""


class TargetBusyError(TargetError):
    """Another writer holds the lease on the target, or has taken it over."""


class TargetRefusedError(TargetError):
    """The target will not do this, however often it is asked."""


class AccessError(TargetError):
    """Credentials are missing, wrong, expired, or not allowed to do this."""

    resumable = True


class UnavailableError(TargetError):
    """No answer, a broken connection, throttling, or a failure of the service: try again.

    `throttled` says that the service asked for fewer requests; `retry_after` is the number of
    seconds it asked to wait (None where it did not say).
    """

    resumable = True

    def __init__(
        self,
        subject: str,
        problem: str,
        remedy: str = "",
        offset: int | None = None,
        status: int | None = None,
        code: str = "",
        throttled: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(subject, problem, remedy, offset, status, code)
        self.args = (*self.args, throttled, retry_after)
        self.throttled = throttled
        self.retry_after = retry_after


class ChecksumError(TargetError):
    """What arrived is not what was sent: by the service's word, or by the CRC-64 it returned."""

    resumable = True


class ResourceLimitError(VhdToolsError):
    """The operating system gives this process no more memory, file descriptors or threads."""


Side: TypeAlias = Literal["disk", "target", "both"]
"""Which side of a comparison is not what was uploaded."""


class VerificationError(VhdToolsError):
    """The target's content is not the disk's; `offset` is where the first difference lies.

    `ranges` are all the ranges that differ, each with the attributes `offset` and `length` (bytes),
    in order; empty where nothing was compared. `changed` says which side is not what was uploaded,
    where that is known. `unfinished_at` is how far the upload came that has yet to be finished.
    """

    def __init__(
        self,
        subject: str,
        problem: str,
        remedy: str = "",
        offset: int | None = None,
        ranges: Sequence[Any] = (),
        changed: Side | None = None,
        unfinished_at: int | None = None,
    ) -> None:
        super().__init__(subject, problem, remedy, offset)
        self.args = (*self.args, ranges, changed, unfinished_at)
        self.ranges = ranges
        self.changed: Side | None = changed
        self.unfinished_at = unfinished_at


class TransferInterruptedError(VhdToolsError):
    """Stopped on request; what was confirmed is kept, and the same call goes on from there."""

    resumable = True

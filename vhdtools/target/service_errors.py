"""What the blob service answers, told as vhdtools' own errors.

One table: an HTTP status and an error code in, one class, one message and one remedy out. The
service's words are the REST reference's "Common REST API error codes" and "Blob service error
codes"; the status stands in where a code is not known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vhdtools.errors import (
    AccessError,
    ChecksumError,
    TargetBusyError,
    TargetError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
    UnavailableError,
)

__all__ = ["ServiceAnswer", "error_from_answer", "without_secrets"]


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """An answer of the service other than success.

    `detail` is what the body says besides the code (AuthenticationErrorDetail, a header's name);
    `retry_after` the seconds it asked to wait, if it did.
    """

    status: int
    code: str = ""
    detail: str = ""
    retry_after: float | None = None


def error_from_answer(
    subject: str, answer: ServiceAnswer, offset: int | None = None
) -> TargetError:
    """The one error that `answer` means for `subject` (a URL without its query)."""
    status, code = answer.status, answer.code
    problem = f"the service answered {status} {code}".rstrip()
    if status in (408, 429) or status >= 500:
        return UnavailableError(
            subject,
            problem,
            "",
            offset,
            status,
            code,
            throttled=status == 429 or code in ("ServerBusy", "OperationTimedOut"),
            retry_after=answer.retry_after,
        )
    kind: type[TargetError] = TargetRefusedError
    if code in ("Md5Mismatch", "Crc64Mismatch"):
        kind = ChecksumError
    elif status in (401, 403):
        kind = AccessError
    elif status == 404:
        kind = TargetMissingError
    elif code == "BlobAlreadyExists":
        kind = TargetExistsError
    elif "Lease" in code:
        kind = TargetBusyError
    return kind(subject, problem, without_secrets(answer.detail), offset, status, code)


_SECRET = re.compile(r"(?i)\b(sig|signature|accountkey|sharedaccesssignature)=[^&;\s'\"]+")


def without_secrets(text: str) -> str:
    """`text` with signatures and keys blotted out."""
    return _SECRET.sub(r"\1=REDACTED", text)

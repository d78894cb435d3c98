"""What the blob service answers, told as vhdtools' own errors.

An error code (or, where that is not known, an HTTP status) in; one class, one problem and one
remedy out, from the table in `service_meanings`. Anything secret that an answer might repeat is
blotted out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from vhdtools.errors import AccessError, TargetError, TargetRefusedError, UnavailableError
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.service_meanings import (
    BY_CODE,
    BY_DETAIL,
    BY_STATUS,
    DISK_ACCESS,
    FAILING,
    FOREIGN,
    Meaning,
)
from vhdtools.text import redact

__all__ = [
    "ServiceAnswer",
    "command_names",
    "error_from_answer",
    "read_answer",
]


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """An answer of the service other than the one hoped for.

    `detail` is what it says besides the code, `retry_after` the seconds it asked to wait (None if
    it did not), `request_id` what the service's operators find the request by.
    """

    status: int
    code: str = ""
    detail: str = ""
    retry_after: float | None = None
    request_id: str = ""


def error_from_answer(
    address: BlobAddress, answer: ServiceAnswer, offset: int | None = None
) -> TargetError:
    """The one error that `answer` means for the blob at `address`."""
    meaning = _meaning(answer)
    names = {
        **command_names(address),
        "detail": redact(answer.detail) or "the service gives no reason",
    }
    problem = meaning.problem.format(**names)
    shown = f"HTTP {answer.status}"
    if answer.code:
        shown += f" {answer.code}"
    if answer.request_id and meaning.kind in (TargetRefusedError, UnavailableError):
        shown += f", request {answer.request_id}"
    problem = f"{problem.rstrip('.')} ({shown})"
    remedy = meaning.remedy.format(**names)
    if meaning.kind is AccessError and address.is_managed_disk:
        remedy = DISK_ACCESS
    rest = (address.url, problem, remedy, offset, answer.status, answer.code)
    if issubclass(meaning.kind, UnavailableError):
        throttled = answer.status in (429, 503) or answer.code == "OperationTimedOut"
        return UnavailableError(*rest, throttled=throttled, retry_after=answer.retry_after)
    return meaning.kind(*rest)


def command_names(address: BlobAddress) -> dict[str, str]:
    """What remedies call the parts of `address`; `quoted` is the blob's name as shells take it."""
    return {
        "account": address.account,
        "container": address.container,
        "quoted": shlex.quote(address.blob),
    }


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime | None = None
) -> ServiceAnswer:
    """What an answer says: its code from the header or the XML body, and its details.

    `headers` takes names in any case; `now` is the time a date in Retry-After is counted from.
    """
    text = body[:20_000].decode("utf-8", "replace")
    code = headers.get("x-ms-error-code") or _element(text, "Code")
    details = [_element(text, name) for name in _DETAILS]
    if code == "InvalidHeaderValue" and details[0].lower() == "x-ms-version":
        details.append("it does not know this version of the API")
    detail = "; ".join(filter(None, details)) or headers.get("Location", "")
    return ServiceAnswer(
        status,
        code,
        " ".join(detail.split()),
        _retry_after(headers, now or datetime.now(timezone.utc)),
        headers.get("x-ms-request-id", ""),
    )


_DETAILS = ("HeaderName", "AuthenticationErrorDetail", "Reason", "Message")


def _element(text: str, name: str) -> str:
    # Bodies are small, flat, and not always XML: those of proxies are HTML.
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    if found is None:
        return ""
    # After the first line come the request's id and time, which change from call to call.
    return found[1].strip().partition("\n")[0].strip().rstrip(".")


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    for name in ("x-ms-retry-after-ms", "retry-after-ms"):
        if (text := headers.get(name, "")).isascii() and text.isdecimal():
            return int(text) / 1000
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, (date - now).total_seconds())


def _meaning(answer: ServiceAnswer) -> Meaning:
    if answer.code == "AuthenticationFailed" or answer.status in (401, 403):
        for pattern, meaning in BY_DETAIL:
            if pattern.search(answer.detail):
                return meaning
    if answer.code in BY_CODE:
        return BY_CODE[answer.code]
    if answer.status in BY_STATUS:
        return BY_STATUS[answer.status]
    if answer.status >= 500:
        return FAILING
    return FOREIGN

"""What the blob service answers, told as vhdtools' own errors.

An error code (or, where that is not known, an HTTP status) in; one class, one problem and one
remedy out, from the table in `service_meanings`. Anything secret that an answer might repeat is
blotted out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from vhdtools.errors import AccessError, TargetError, TargetRefusedError, UnavailableError
from vhdtools.target.access_meanings import ACCESS_DETAILS
from vhdtools.target.api_version import refuses_version
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.denial import Attempt, why_denied
from vhdtools.target.network import is_loopback
from vhdtools.target.remedies import DISK_ACCESS, Meaning
from vhdtools.target.service_meanings import (
    BY_CODE,
    BY_STATUS,
    FAILING,
    UNCONFIRMED,
    UNKNOWN_VERSION,
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
    it did not), `request_id` what the service's operators find the request by, `date` the
    service's time.
    """

    status: int
    code: str = ""
    detail: str = ""
    retry_after: float | None = None
    request_id: str = ""
    date: datetime | None = None


def error_from_answer(
    address: BlobAddress,
    answer: ServiceAnswer,
    offset: int | None = None,
    attempt: Attempt | None = None,
) -> TargetError:
    """The one error that `answer` means for the blob at `address`.

    `attempt` is the request that was answered so: evidence of why access was denied.
    """
    meaning = _meaning(answer)
    detail = redact(answer.detail) or "the service gives no reason"
    problem, remedy = meaning.problem.format(detail=detail), meaning.remedy
    if attempt is not None and meaning.kind is AccessError and answer.status in (401, 403):
        found = why_denied(attempt, answer.code, detail, answer.date)
        if found is not None:
            problem, remedy = found.problem, found.remedy
    if "{" in remedy:
        remedy = remedy.format(**command_names(address, answer.date))
    shown = f"HTTP {answer.status}"
    if answer.code:
        shown += f" {answer.code}"
    if answer.request_id and meaning.kind in (TargetRefusedError, UnavailableError):
        shown += f", request {answer.request_id}"
    problem = f"{problem.rstrip('.')} ({shown})"
    if meaning.kind is AccessError and address.is_managed_disk:
        remedy = DISK_ACCESS
    rest = (address.url, problem, remedy, offset, answer.status, answer.code)
    if issubclass(meaning.kind, UnavailableError):
        throttled = answer.status in (429, 503) or answer.code == "OperationTimedOut"
        return UnavailableError(*rest, throttled=throttled, retry_after=answer.retry_after)
    return meaning.kind(*rest)


def command_names(address: BlobAddress, date: datetime | None = None) -> dict[str, str]:
    """What remedies call the parts of `address`, quoted for a shell; `date` is the time now.

    `place` is how the Azure CLI gets there, `keyed` how it does where a sign-in is not enough,
    `signed` how it signs a SAS.
    """
    name = address.blob.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    other = f"{stem or suffix}-page{dot}{suffix if stem else ''}"
    folder = address.blob.removesuffix(name)
    keyed = f"--account-name {shlex.quote(address.account)}"
    place = f"{keyed} --auth-mode login"
    signed = f"{place} --as-user"
    if is_loopback(address.host):  # an emulator knows no identities
        keyed = place = signed = '--connection-string "$AZURE_STORAGE_CONNECTION_STRING"'
    url = address.url.replace("$", "\\$")
    return {
        "account": shlex.quote(address.account),
        "container": shlex.quote(address.container),
        "blob": shlex.quote(address.blob),
        "file": shlex.quote(f"./{name}" if name.startswith("-") else name),
        "new_url": shlex.quote(replace(address, blob=folder + other).url),
        "keyed": keyed,
        "place": place,
        "signed": signed,
        "tomorrow": f"{(date or datetime.now(timezone.utc)) + timedelta(days=1):%Y-%m-%dT%H:%MZ}",
        "vm_query": f"\"[?contains(to_string(storageProfile), '{url}')].id\"",
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
    detail = "; ".join(filter(None, details)) or headers.get("Location", "")
    return ServiceAnswer(
        status,
        code,
        " ".join(detail.split()),
        _retry_after(headers, now or datetime.now(timezone.utc)),
        headers.get("x-ms-request-id", ""),
        _date(headers.get("Date", "")),
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
    date = _date(text)
    return None if date is None else max(0.0, (date - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def _meaning(answer: ServiceAnswer) -> Meaning:
    if answer.code == "AuthenticationFailed" or answer.status in (401, 403):
        for pattern, meaning in ACCESS_DETAILS:
            if pattern.search(answer.detail):
                return meaning
    if answer.code == "InvalidHeaderValue" and "x-ms-blob-type" in answer.detail.lower():
        return BY_CODE["BlobTypeNotSupported"]
    if refuses_version(answer.status, answer.code, answer.detail, head=False):
        return UNKNOWN_VERSION
    if answer.code in BY_CODE:
        return BY_CODE[answer.code]
    if answer.status in BY_STATUS:
        return BY_STATUS[answer.status]
    if answer.status >= 500:
        return FAILING
    return UNCONFIRMED

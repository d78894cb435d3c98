"""What the blob service answers, told as vhdtools' own errors.

One table: error code (or, where that is not known, HTTP status) in; one class, one problem and
one remedy out. Codes and statuses are those of the REST reference, "Common REST API error codes"
and "Blob service error codes". Anything secret that an answer might repeat is blotted out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

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
from vhdtools.target.blob_address import BlobAddress

__all__ = ["ServiceAnswer", "error_from_answer", "read_answer", "without_secrets"]


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


@dataclass(frozen=True, slots=True)
class _Meaning:
    """Class, problem and remedy; in these, {detail} is the answer's, {account}, … the blob's."""

    kind: type[TargetError]
    problem: str
    remedy: str = ""


_NEW_SAS = (
    "Make a new SAS (permissions racw), or sign in with `az login` and give the URL without one."
)
_ROLE = (
    "The identity needs the role 'Storage Blob Data Contributor' on the account or container, "
    "a SAS the permissions racw."
)
_OTHER_WRITER = (
    "Wait until the other upload ends; if there is none, the lease runs out within a minute, or "
    "break it: az storage blob lease break --account-name {account} --container-name {container} "
    "--blob-name '{blob}'."
)
_DELETE_FIRST = (
    "Delete it first, or choose another name: az storage blob delete --account-name {account} "
    "--container-name {container} --name '{blob}'."
)
_DISK_ACCESS = (
    "Get a new upload SAS: az disk grant-access --access-level Write. A disk that is secured by "
    "Microsoft Entra ID wants a signed-in identity as well: set AZURE_STORAGE_AUTH_MODE=login."
)
_REPORT = (
    "This is a fault of vhdtools or of something between it and the service: please report it."
)
_LOST = _Meaning(TargetBusyError, "the lease was lost: another writer took it over", _OTHER_WRITER)
_HELD = _Meaning(TargetBusyError, "another writer holds the lease", _OTHER_WRITER)
_GONE = _Meaning(TargetMissingError, "there is no such blob")

_BY_CODE: dict[str, _Meaning] = {
    # 400
    "Crc64Mismatch": _Meaning(ChecksumError, "the data arrived damaged: its CRC-64 is another"),
    "Md5Mismatch": _Meaning(ChecksumError, "the data arrived damaged: its MD5 is another"),
    "InvalidHeaderValue": _Meaning(
        TargetRefusedError,
        "the service does not accept the value of a header: {detail}",
        "If this is an emulator, start it with --skipApiVersionCheck, or update it.",
    ),
    "InvalidInput": _Meaning(TargetRefusedError, "the service found the request wrong: {detail}"),
    "InvalidMetadata": _Meaning(TargetRefusedError, "the service refused the metadata: {detail}"),
    "MetadataTooLarge": _Meaning(TargetRefusedError, "the metadata is more than 8 KiB"),
    "InvalidResourceName": _Meaning(
        TargetRefusedError, "the container's or the blob's name is not allowed"
    ),
    "InvalidUri": _Meaning(TargetRefusedError, "the service does not understand the URL"),
    "OutOfRangeInput": _Meaning(
        TargetRefusedError,
        "a size or an offset, or the length of a name, is out of the service's bounds: {detail}",
        "A page blob has at most 8 TiB.",
    ),
    "BlobTypeNotSupported": _Meaning(
        TargetRefusedError,
        "this kind of storage account has no page blobs",
        "Use an account of kind StorageV2 (standard) or of premium page blobs.",
    ),
    # 401, 403
    "NoAuthenticationInformation": _Meaning(
        AccessError,
        "the service wants credentials, and there are none",
        "Give a URL with a SAS, a connection string or an account key, or sign in with `az login`.",
    ),
    "InvalidAuthenticationInfo": _Meaning(
        AccessError, "the token or signature is not valid: {detail}", "Sign in again: az login."
    ),
    "AuthenticationFailed": _Meaning(
        AccessError,
        "the service did not recognise the credentials: {detail}",
        "Check that the account key or SAS belongs to account {account} and is whole.",
    ),
    "AuthorizationFailure": _Meaning(
        AccessError,
        "the credentials do not allow this here: {detail}",
        "The SAS may have expired or lack permissions (racw), or the account's firewall may not "
        "allow this machine's address.",
    ),
    "AuthorizationPermissionMismatch": _Meaning(
        AccessError, "the credentials do not allow this operation", _ROLE
    ),
    "InsufficientAccountPermissions": _Meaning(
        AccessError, "the account or its credentials do not allow this operation", _ROLE
    ),
    "AuthorizationSourceIPMismatch": _Meaning(
        AccessError,
        "the SAS does not allow this machine's address: {detail}",
        "Make a SAS without, or with a wider, --ip.",
    ),
    "AuthorizationProtocolMismatch": _Meaning(
        AccessError, "the SAS allows https only", "Use the https URL."
    ),
    "AuthorizationServiceMismatch": _Meaning(
        AccessError, "the account SAS is not for blobs", "Make one with --services b."
    ),
    "AuthorizationResourceTypeMismatch": _Meaning(
        AccessError,
        "the account SAS does not cover blobs themselves",
        "Make one with --resource-types co.",
    ),
    "KeyBasedAuthenticationNotPermitted": _Meaning(
        AccessError,
        "the account allows neither keys nor what is signed with them",
        "Sign in with `az login`, and give the URL without a SAS.",
    ),
    "PublicAccessNotPermitted": _Meaning(
        AccessError,
        "the account allows no access without credentials",
        "Give a URL with a SAS, or sign in with `az login`.",
    ),
    "AccountIsDisabled": _Meaning(
        AccessError, "the storage account is disabled", "Ask who owns the subscription."
    ),
    # 404
    "ContainerNotFound": _Meaning(
        TargetMissingError,
        "the container does not exist",
        "Create it: az storage container create --name {container} --account-name {account}.",
    ),
    "BlobNotFound": _GONE,
    "ResourceNotFound": _Meaning(
        TargetMissingError, "the service knows no such place", "Check the URL."
    ),
    # 405
    "UnsupportedHttpVerb": _Meaning(
        TargetRefusedError, "the service does not allow this operation on this resource"
    ),
    # 409
    "BlobAlreadyExists": _Meaning(
        TargetExistsError, "there is a blob already", "Use --overwrite to replace it."
    ),
    "LeaseAlreadyPresent": _HELD,
    "LeaseIsBreakingAndCannotBeAcquired": _HELD,
    "LeaseIsBreakingAndCannotBeChanged": _HELD,
    "LeaseIdMismatchWithLeaseOperation": _HELD,
    "LeaseIsBrokenAndCannotBeRenewed": _LOST,
    "LeaseNotPresentWithLeaseOperation": _LOST,
    "LeaseAlreadyBroken": _LOST,
    "ContainerBeingDeleted": _Meaning(
        TargetRefusedError,
        "the container is being deleted",
        "Wait some minutes and create it again, or use another.",
    ),
    "ContainerDisabled": _Meaning(TargetRefusedError, "the container is disabled"),
    "AccountBeingCreated": _Meaning(
        TargetRefusedError, "the account is still being created", "Try again in a minute."
    ),
    "SnapshotsPresent": _Meaning(
        TargetRefusedError,
        "the blob has snapshots, and cannot be replaced",
        "Delete them too: az storage blob delete --delete-snapshots include --account-name "
        "{account} --container-name {container} --name '{blob}'.",
    ),
    "InvalidBlobType": _Meaning(TargetRefusedError, "the blob is not a page blob", _DELETE_FIRST),
    "ResourceTypeMismatch": _Meaning(
        TargetRefusedError, "what is there is not a page blob", _DELETE_FIRST
    ),
    "BlobImmutableDueToPolicy": _Meaning(
        TargetRefusedError,
        "an immutability policy or legal hold protects the blob",
        "Use another name or container.",
    ),
    "UnauthorizedBlobOverwrite": _Meaning(
        AccessError, "the credentials do not allow replacing a blob", _ROLE
    ),
    "PendingCopyOperation": _Meaning(
        TargetRefusedError,
        "a copy to this blob is under way",
        "Wait for it, or abort it: az storage blob copy cancel.",
    ),
    "BlobOverwritten": _Meaning(
        TargetBusyError, "another writer replaced the blob under way", "Start again."
    ),
    "SystemInUse": _Meaning(TargetRefusedError, "the service is using the blob itself"),
    "InvalidOperation": _Meaning(TargetRefusedError, "the service refused: {detail}"),
    "FeatureVersionMismatch": _Meaning(
        TargetRefusedError, "the blob was made with a feature that this version does not know"
    ),
    "MemoryExtentStoreAtSizeLimit": _Meaning(
        TargetRefusedError,
        "the emulator's memory for blobs is full",
        "Start Azurite with a larger --extentMemoryLimit, or with --location on a disk.",
    ),
    # 412
    "LeaseIdMissing": _LOST,
    "LeaseIdMismatchWithBlobOperation": _LOST,
    "LeaseNotPresentWithBlobOperation": _LOST,
    "LeaseLost": _LOST,
    # The one condition ever sent is that nothing be there.
    "ConditionNotMet": _Meaning(
        TargetExistsError, "there is a blob already", "Use --overwrite to replace it."
    ),
    # 413, 416
    "RequestBodyTooLarge": _Meaning(
        TargetRefusedError, "the service found a request too large", _REPORT
    ),
    "InvalidRange": _Meaning(
        TargetRefusedError, "the range is not in the blob", "It may be smaller than it should be."
    ),
    "InvalidPageRange": _Meaning(
        TargetRefusedError, "the range is not in the blob", "It may be smaller than it should be."
    ),
    # 408, 429, 5xx
    "OperationTimedOut": _Meaning(UnavailableError, "the service did not finish in time"),
    "InternalError": _Meaning(UnavailableError, "the service had an error of its own"),
    "ServerBusy": _Meaning(UnavailableError, "the service asks for fewer requests"),
    "TooManyRequests": _Meaning(UnavailableError, "the service asks for fewer requests"),
    "NotImplemented": _Meaning(TargetRefusedError, "the service cannot do this: {detail}"),
}

_BY_STATUS: dict[int, _Meaning] = {
    400: _Meaning(TargetRefusedError, "the service found the request wrong: {detail}"),
    401: _BY_CODE["NoAuthenticationInformation"],
    403: _Meaning(AccessError, "the credentials do not allow this: {detail}", _ROLE),
    404: _BY_CODE["ResourceNotFound"],
    405: _BY_CODE["UnsupportedHttpVerb"],
    407: _Meaning(
        AccessError,
        "the proxy wants a user name and a password",
        "Put them into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT.",
    ),
    408: _Meaning(UnavailableError, "the service did not receive the request in time"),
    409: _Meaning(TargetRefusedError, "the blob's state does not allow this: {detail}"),
    412: _Meaning(TargetBusyError, "the blob is not as it should be: {detail}", _OTHER_WRITER),
    413: _BY_CODE["RequestBodyTooLarge"],
    416: _BY_CODE["InvalidRange"],
    429: _BY_CODE["TooManyRequests"],
    500: _BY_CODE["InternalError"],
    501: _BY_CODE["NotImplemented"],
    503: _BY_CODE["ServerBusy"],
    505: _BY_CODE["NotImplemented"],
}

_FOREIGN = _Meaning(
    TargetRefusedError,
    "this was not answered by Azure Storage: {detail}",
    "Check the URL, and whether a proxy or a sign-in page of the network answers instead.",
)
_FAILING = _Meaning(UnavailableError, "the service, or a gateway before it, is failing")

# AuthenticationFailed says in its detail what it means.
_BY_DETAIL: tuple[tuple[re.Pattern[str], _Meaning], ...] = (
    (
        re.compile("not valid in the specified time|signed expiry time", re.IGNORECASE),
        _Meaning(AccessError, "the SAS has expired, or is not valid yet", _NEW_SAS),
    ),
    (
        re.compile("lifetime validation|token is expired|token has expired", re.IGNORECASE),
        _Meaning(AccessError, "the token has expired", "Sign in again: az login."),
    ),
    (
        re.compile("date header", re.IGNORECASE),
        _Meaning(
            AccessError,
            "this machine's clock differs too much from the service's",
            "Set the clock right.",
        ),
    ),
    (
        re.compile("did not match|not match the MAC|signature fields", re.IGNORECASE),
        _Meaning(
            AccessError,
            "the signature is wrong",
            "Check that the account key or SAS is for account {account}, and is whole: put a URL "
            "with a SAS between quotation marks.",
        ),
    ),
)


def error_from_answer(
    address: BlobAddress, answer: ServiceAnswer, offset: int | None = None
) -> TargetError:
    """The one error that `answer` means for the blob at `address`."""
    meaning = _meaning(answer)
    names = {
        "account": address.account,
        "container": address.container,
        "blob": address.blob,
        "detail": without_secrets(answer.detail) or "it gives no reason",
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
        remedy = _DISK_ACCESS
    rest = (address.url, problem, remedy, offset, answer.status, answer.code)
    if issubclass(meaning.kind, UnavailableError):
        throttled = answer.status in (429, 503) or answer.code == "OperationTimedOut"
        return UnavailableError(*rest, throttled=throttled, retry_after=answer.retry_after)
    return meaning.kind(*rest)


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


def _meaning(answer: ServiceAnswer) -> _Meaning:
    if answer.code == "AuthenticationFailed" or answer.status in (401, 403):
        for pattern, meaning in _BY_DETAIL:
            if pattern.search(answer.detail):
                return meaning
    if answer.code in _BY_CODE:
        return _BY_CODE[answer.code]
    if answer.status in _BY_STATUS:
        return _BY_STATUS[answer.status]
    if answer.status >= 500:
        return _FAILING
    return _FOREIGN


_SECRETS = (
    re.compile(r"(?i)\b(sig|signature|accountkey|sharedaccesssignature|skt?oken)=[^\s'\"<>;]+"),
    re.compile(r"(?i)\b(bearer|sharedkey|basic) +[^\s'\",;]+"),
    re.compile(r"(?<=://)[^/@\s]+(?=@)"),
)


def without_secrets(text: str) -> str:
    """`text` with signatures, keys, tokens and URLs' passwords blotted out."""
    text = _SECRETS[0].sub(r"\1=REDACTED", text)
    text = _SECRETS[1].sub(r"\1 REDACTED", text)
    return _SECRETS[2].sub("REDACTED", text)

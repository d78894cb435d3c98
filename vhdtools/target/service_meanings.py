"""The table of what the blob service can answer, and what each answer means to a user.

Codes and statuses are those of the REST reference, "Common REST API error codes" and "Blob service
error codes".
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

__all__ = [
    "BY_CODE",
    "BY_DETAIL",
    "BY_STATUS",
    "DELETE_FIRST",
    "DISK_ACCESS",
    "FAILING",
    "FOREIGN",
    "Meaning",
]


@dataclass(frozen=True, slots=True)
class Meaning:
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
    "--blob-name {quoted}."
)
DELETE_FIRST = (
    "To upload here, delete it first, or choose another name: az storage blob delete "
    "--account-name {account} --container-name {container} --name={quoted}."
)
DISK_ACCESS = (
    "Get a new upload SAS: az disk grant-access --access-level Write. A disk that is secured by "
    "Microsoft Entra ID wants a signed-in identity as well: set AZURE_STORAGE_AUTH_MODE=login."
)
_REPORT = (
    "This is a fault of vhdtools or of something between it and the service: report it to the "
    "maintainers."
)
_LOST = Meaning(TargetBusyError, "the lease was lost: another writer took it over", _OTHER_WRITER)
_HELD = Meaning(TargetBusyError, "another writer holds the lease", _OTHER_WRITER)
_GONE = Meaning(TargetMissingError, "there is no such blob")

BY_CODE: dict[str, Meaning] = {
    # 400
    "Crc64Mismatch": Meaning(ChecksumError, "the data arrived damaged: its CRC-64 is another"),
    "Md5Mismatch": Meaning(ChecksumError, "the data arrived damaged: its MD5 is another"),
    "InvalidHeaderValue": Meaning(
        TargetRefusedError,
        "the service does not accept the value of a header: {detail}",
        "If this is an emulator, start it with --skipApiVersionCheck, or update it.",
    ),
    "InvalidInput": Meaning(TargetRefusedError, "the service found the request wrong: {detail}"),
    "InvalidMetadata": Meaning(TargetRefusedError, "the service refused the metadata: {detail}"),
    "MetadataTooLarge": Meaning(TargetRefusedError, "the metadata is more than 8 KiB"),
    "InvalidResourceName": Meaning(
        TargetRefusedError, "the container's or the blob's name is not allowed"
    ),
    "InvalidUri": Meaning(TargetRefusedError, "the service does not understand the URL"),
    "OutOfRangeInput": Meaning(
        TargetRefusedError,
        "a size or an offset, or the length of a name, is out of the service's bounds: {detail}",
        "A page blob has at most 8 TiB.",
    ),
    "BlobTypeNotSupported": Meaning(
        TargetRefusedError,
        "this kind of storage account has no page blobs",
        "Use an account of kind StorageV2 (standard) or of premium page blobs.",
    ),
    # 401, 403
    "NoAuthenticationInformation": Meaning(
        AccessError,
        "the service wants credentials, and there are none",
        "Give a URL with a SAS, a connection string or an account key, or sign in with `az login`.",
    ),
    "InvalidAuthenticationInfo": Meaning(
        AccessError, "the token or signature is not valid: {detail}", "Sign in again: az login."
    ),
    "AuthenticationFailed": Meaning(
        AccessError,
        "the service did not recognise the credentials: {detail}",
        "Check that the account key or SAS belongs to account {account} and is whole.",
    ),
    "AuthorizationFailure": Meaning(
        AccessError,
        "the credentials do not allow this here: {detail}",
        "The SAS may have expired or lack permissions (racw), or the account's firewall may not "
        "allow this machine's address.",
    ),
    "AuthorizationPermissionMismatch": Meaning(
        AccessError, "the credentials do not allow this operation", _ROLE
    ),
    "InsufficientAccountPermissions": Meaning(
        AccessError, "the account or its credentials do not allow this operation", _ROLE
    ),
    "AuthorizationSourceIPMismatch": Meaning(
        AccessError,
        "the SAS does not allow this machine's address: {detail}",
        "Make a SAS without, or with a wider, --ip.",
    ),
    "AuthorizationProtocolMismatch": Meaning(
        AccessError, "the SAS allows https only", "Use the https URL."
    ),
    "AuthorizationServiceMismatch": Meaning(
        AccessError, "the account SAS is not for blobs", "Make one with --services b."
    ),
    "AuthorizationResourceTypeMismatch": Meaning(
        AccessError,
        "the account SAS does not cover blobs themselves",
        "Make one with --resource-types co.",
    ),
    "KeyBasedAuthenticationNotPermitted": Meaning(
        AccessError,
        "the account allows neither keys nor what is signed with them",
        "Sign in with `az login`, and give the URL without a SAS.",
    ),
    "PublicAccessNotPermitted": Meaning(
        AccessError,
        "the account allows no access without credentials",
        "Give a URL with a SAS, or sign in with `az login`.",
    ),
    "AccountIsDisabled": Meaning(
        AccessError, "the storage account is disabled", "Ask who owns the subscription."
    ),
    # 404
    "ContainerNotFound": Meaning(
        TargetMissingError,
        "the container does not exist",
        "Create it: az storage container create --name {container} --account-name {account}.",
    ),
    "BlobNotFound": _GONE,
    "ResourceNotFound": Meaning(
        TargetMissingError, "the service knows no such place", "Check the URL."
    ),
    # 405
    "UnsupportedHttpVerb": Meaning(
        TargetRefusedError, "the service does not allow this operation on this resource"
    ),
    # 409
    "BlobAlreadyExists": Meaning(
        TargetExistsError, "there is a blob already", "Use --overwrite to replace it."
    ),
    "LeaseAlreadyPresent": _HELD,
    "LeaseIsBreakingAndCannotBeAcquired": _HELD,
    "LeaseIsBreakingAndCannotBeChanged": _HELD,
    "LeaseIdMismatchWithLeaseOperation": _HELD,
    "LeaseIsBrokenAndCannotBeRenewed": _LOST,
    "LeaseNotPresentWithLeaseOperation": _LOST,
    "LeaseAlreadyBroken": _LOST,
    "ContainerBeingDeleted": Meaning(
        TargetRefusedError,
        "the container is being deleted",
        "Wait some minutes and create it again, or use another.",
    ),
    "ContainerDisabled": Meaning(TargetRefusedError, "the container is disabled"),
    "AccountBeingCreated": Meaning(
        TargetRefusedError, "the account is still being created", "Try again in a minute."
    ),
    "SnapshotsPresent": Meaning(
        TargetRefusedError,
        "the blob has snapshots, and cannot be replaced",
        "Delete them too: az storage blob delete --delete-snapshots include --account-name "
        "{account} --container-name {container} --name={quoted}.",
    ),
    "InvalidBlobType": Meaning(TargetRefusedError, "the blob is not a page blob", DELETE_FIRST),
    "ResourceTypeMismatch": Meaning(
        TargetRefusedError, "what is there is not a page blob", DELETE_FIRST
    ),
    "BlobImmutableDueToPolicy": Meaning(
        TargetRefusedError,
        "an immutability policy or legal hold protects the blob",
        "Use another name or container.",
    ),
    "UnauthorizedBlobOverwrite": Meaning(
        AccessError, "the credentials do not allow replacing a blob", _ROLE
    ),
    "PendingCopyOperation": Meaning(
        TargetRefusedError,
        "a copy to this blob is under way",
        "Wait for it, or abort it: az storage blob copy cancel.",
    ),
    "BlobOverwritten": Meaning(
        TargetBusyError, "another writer replaced the blob under way", "Start again."
    ),
    "SystemInUse": Meaning(TargetRefusedError, "the service is using the blob itself"),
    "InvalidOperation": Meaning(TargetRefusedError, "the service refused: {detail}"),
    "FeatureVersionMismatch": Meaning(
        TargetRefusedError, "the blob was made with a feature that this version does not know"
    ),
    "MemoryExtentStoreAtSizeLimit": Meaning(
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
    "ConditionNotMet": Meaning(
        TargetExistsError, "there is a blob already", "Use --overwrite to replace it."
    ),
    # 413, 416
    "RequestBodyTooLarge": Meaning(
        TargetRefusedError, "the service found a request too large", _REPORT
    ),
    "InvalidRange": Meaning(
        TargetRefusedError, "the range is not in the blob", "It may be smaller than it should be."
    ),
    "InvalidPageRange": Meaning(
        TargetRefusedError, "the range is not in the blob", "It may be smaller than it should be."
    ),
    # 408, 429, 5xx
    "OperationTimedOut": Meaning(UnavailableError, "the service did not finish in time"),
    "InternalError": Meaning(UnavailableError, "the service had an error of its own"),
    "ServerBusy": Meaning(UnavailableError, "the service asks for fewer requests"),
    "TooManyRequests": Meaning(UnavailableError, "the service asks for fewer requests"),
    "NotImplemented": Meaning(TargetRefusedError, "the service cannot do this: {detail}"),
}

BY_STATUS: dict[int, Meaning] = {
    400: Meaning(TargetRefusedError, "the service found the request wrong: {detail}"),
    401: BY_CODE["NoAuthenticationInformation"],
    403: Meaning(AccessError, "the credentials do not allow this: {detail}", _ROLE),
    404: BY_CODE["ResourceNotFound"],
    405: BY_CODE["UnsupportedHttpVerb"],
    407: Meaning(
        AccessError,
        "the proxy wants a user name and a password",
        "Put them into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT.",
    ),
    408: Meaning(UnavailableError, "the service did not receive the request in time"),
    409: Meaning(TargetRefusedError, "the blob's state does not allow this: {detail}"),
    412: Meaning(TargetBusyError, "the blob is not as it should be: {detail}", _OTHER_WRITER),
    413: BY_CODE["RequestBodyTooLarge"],
    416: BY_CODE["InvalidRange"],
    429: BY_CODE["TooManyRequests"],
    500: BY_CODE["InternalError"],
    501: BY_CODE["NotImplemented"],
    503: BY_CODE["ServerBusy"],
    505: BY_CODE["NotImplemented"],
}

FOREIGN = Meaning(
    TargetRefusedError,
    "this was not answered by Azure Storage: {detail}",
    "Check the URL, and whether a proxy or a sign-in page of the network answers instead.",
)
FAILING = Meaning(UnavailableError, "the service, or a gateway before it, is failing")

# AuthenticationFailed says in its detail what it means.
BY_DETAIL: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (
        re.compile("not valid in the specified time|signed expiry time", re.IGNORECASE),
        Meaning(AccessError, "the SAS has expired, or is not valid yet", _NEW_SAS),
    ),
    (
        re.compile("lifetime validation|token is expired|token has expired", re.IGNORECASE),
        Meaning(AccessError, "the token has expired", "Sign in again: az login."),
    ),
    (
        re.compile("date header", re.IGNORECASE),
        Meaning(
            AccessError,
            "this machine's clock differs too much from the service's",
            "Set the clock right.",
        ),
    ),
    (
        re.compile("did not match|not match the MAC|signature fields", re.IGNORECASE),
        Meaning(
            AccessError,
            "the signature is wrong",
            "Check that the account key or SAS is for account {account}, and is whole: put a URL "
            "with a SAS between quotation marks.",
        ),
    ),
)

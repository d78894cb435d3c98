"""The table of what the blob service can answer, and what each answer means to a user.

Codes and statuses are those of the REST reference, "Common REST API error codes" and "Azure Blob
Storage error codes"; those of accounts with a hierarchical namespace and of customer-managed keys
are known from reports of users.
"""

from __future__ import annotations

from vhdtools.errors import (
    AccessError,
    ChecksumError,
    TargetBusyError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
    UnavailableError,
)
from vhdtools.target.access_meanings import ACCESS_CODES
from vhdtools.target.remedies import (
    IMMUTABLE,
    OTHER_ACCOUNT,
    OTHER_WRITER,
    PAGE_BLOB_OF_IT,
    REPORT,
    ROLE,
    Meaning,
)

__all__ = ["BY_CODE", "BY_STATUS", "FAILING", "UNCONFIRMED", "UNKNOWN_VERSION"]


_HELD = Meaning(TargetBusyError, "another program holds a lease on the blob", OTHER_WRITER)
_TAKEN = Meaning(TargetBusyError, "the lease was lost: another writer took it over", OTHER_WRITER)
_RAN_OUT = Meaning(
    TargetBusyError,
    "the lease was lost: it ran out, or somebody broke it",
    "If the blob is yours to write to, run the same command again.",
)
_BROKEN = Meaning(
    TargetBusyError,
    "the lease was broken or released, by somebody or by another program",
    "If the blob is yours to write to, run the same command again.",
)
_GONE = Meaning(TargetMissingError, "there is no such blob")
_WRONG_REQUEST = Meaning(
    TargetRefusedError, "the service found the request wrong: {detail}", REPORT
)
_HIERARCHICAL = Meaning(
    TargetRefusedError,
    "the account has a hierarchical namespace (Data Lake Storage), which has no page blobs",
    OTHER_ACCOUNT,
)
_CUSTOMER_KEY = Meaning(
    TargetRefusedError,
    "the blob is encrypted with a key that its writer provides with every request "
    "(customer-provided key)",
    "vhdtools cannot send such a key: use the program that wrote the blob, or choose another name.",
)
_ARCHIVED = Meaning(
    TargetRefusedError,
    "the blob is in the archive tier, and cannot be read or written",
    "Bring it back, which takes hours: `az storage blob set-tier {place} --container-name "
    "{container} --name={blob} --tier Hot`.",
)

BY_CODE: dict[str, Meaning] = {
    # 400
    "Crc64Mismatch": Meaning(ChecksumError, "the data arrived damaged: its CRC-64 is another"),
    "Md5Mismatch": Meaning(ChecksumError, "the data arrived damaged: its MD5 is another"),
    "InvalidHeaderValue": Meaning(
        TargetRefusedError, "the service does not accept the value of a header: {detail}", REPORT
    ),
    "InvalidInput": Meaning(TargetRefusedError, "the service found the request wrong: {detail}"),
    **dict.fromkeys(
        (
            "ConditionHeadersNotSupported",
            "InvalidHttpVerb",
            "InvalidQueryParameterValue",
            "InvalidVersionForPageBlobOperation",
            "MissingContentLengthHeader",
            "MissingRequiredHeader",
            "MissingRequiredQueryParameter",
            "MultipleConditionHeadersNotSupported",
            "OutOfRangeQueryParameterValue",
            "RequestUrlFailedToParse",
            "UnsupportedHeader",
            "UnsupportedQueryParameter",
        ),
        _WRONG_REQUEST,
    ),
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
    "AccountRequiresHttps": Meaning(
        TargetRefusedError, "the account accepts https only", "Use the https URL."
    ),
    "BlobTypeNotSupported": Meaning(
        TargetRefusedError, "this kind of storage account has no page blobs", OTHER_ACCOUNT
    ),
    **dict.fromkeys(
        (
            "BlobApiNotYetSupportedForHierarchicalNamespaceAccounts",
            "EndpointUnsupportedAccountFeatures",
            "FeatureNotYetSupportedForHierarchicalNamespaceAccounts",
        ),
        _HIERARCHICAL,
    ),
    "ContentLengthLargerThanTierLimit": Meaning(
        TargetRefusedError,
        "the blob would be larger than its tier, or the premium account, allows",
        "Use a standard account, or upload to a managed disk: `az disk create --upload-type "
        "Upload --upload-size-bytes BYTES --resource-group GROUP --name DISK`.",
    ),
    **ACCESS_CODES,
    # 404
    "ContainerNotFound": Meaning(
        TargetMissingError,
        "the container does not exist",
        "Create it: `az storage container create {place} --name {container}`.",
    ),
    "FilesystemNotFound": Meaning(
        TargetMissingError,
        "the container does not exist",
        "Create it: `az storage container create {place} --name {container}`.",
    ),
    "BlobNotFound": _GONE,
    "PathNotFound": _GONE,
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
    "LeaseIdMismatchWithLeaseOperation": _HELD,
    "LeaseIsBreakingAndCannotBeAcquired": _HELD,
    "LeaseIsBreakingAndCannotBeChanged": _BROKEN,
    "LeaseIsBrokenAndCannotBeRenewed": _BROKEN,
    "LeaseNotPresentWithLeaseOperation": _BROKEN,
    "LeaseAlreadyBroken": _BROKEN,
    "ContainerBeingDeleted": Meaning(
        TargetRefusedError,
        "the container is being deleted",
        "Wait some minutes and create it again, `az storage container create {place} --name "
        "{container}`, or use another.",
    ),
    "ContainerDisabled": Meaning(
        TargetRefusedError,
        "the container is disabled by its administrator",
        "Use another container, or ask the account's owner.",
    ),
    "AccountBeingCreated": Meaning(
        TargetRefusedError, "the account is still being created", "Try again in a minute."
    ),
    "SnapshotsPresent": Meaning(
        TargetRefusedError,
        "the blob has snapshots, and cannot be replaced while it has",
        "Choose another name, or list the snapshots to see whether they are needed: `az storage "
        "blob list {place} --container-name {container} --prefix={blob} --include s --output "
        "table`.",
    ),
    "InvalidBlobType": Meaning(TargetRefusedError, "the blob is not a page blob", PAGE_BLOB_OF_IT),
    "ResourceTypeMismatch": Meaning(
        TargetRefusedError, "what is there is not a page blob", PAGE_BLOB_OF_IT
    ),
    "BlobImmutableDueToPolicy": Meaning(
        TargetRefusedError,
        "an immutability policy or a legal hold protects the blob",
        IMMUTABLE,
    ),
    "BlobArchived": _ARCHIVED,
    "BlobBeingRehydrated": Meaning(
        TargetRefusedError,
        "the blob is being brought back from the archive tier",
        "Wait until that is done, which takes hours: `az storage blob show {place} "
        "--container-name {container} --name={blob} --query properties.rehydrationStatus`.",
    ),
    **dict.fromkeys(
        (
            "BlobCustomerSpecifiedEncryptionMismatch",
            "BlobUsesCustomerSpecifiedEncryption",
        ),
        _CUSTOMER_KEY,
    ),
    **dict.fromkeys(
        (
            "BlobAccessTierNotSupportedForAccountType",
            "BlobTierInadequateForContentLength",
            "InvalidBlobTier",
        ),
        Meaning(
            TargetRefusedError, "the account's or the blob's tier does not allow this: {detail}"
        ),
    ),
    "OperationNotAllowedOnIncrementalCopyBlob": Meaning(
        TargetRefusedError,
        "the blob is an incremental copy of another one, and cannot be written to",
        "Choose another name.",
    ),
    "UnauthorizedBlobOverwrite": Meaning(
        AccessError, "the credentials do not allow replacing a blob", ROLE
    ),
    "PendingCopyOperation": Meaning(
        TargetRefusedError,
        "a copy to this blob is under way",
        "Wait until it is done: `az storage blob show {place} --container-name {container} "
        "--name={blob} --query properties.copy`.",
    ),
    "BlobOverwritten": Meaning(
        TargetBusyError, "another writer replaced the blob under way", "Start again."
    ),
    "SystemInUse": Meaning(
        TargetRefusedError,
        "the service itself is using the blob",
        "Try again later, or choose another name.",
    ),
    "InvalidOperation": Meaning(TargetRefusedError, "the service refused: {detail}"),
    "FeatureVersionMismatch": Meaning(
        TargetRefusedError,
        "the blob was made with a feature that this version of the API does not know",
        "If --api-version or AZCOPY_DEFAULT_SERVICE_API_VERSION names an old version, leave it "
        "out.",
    ),
    "MemoryExtentStoreAtSizeLimit": Meaning(
        TargetRefusedError,
        "the emulator's memory for blobs is full",
        "Start Azurite with a larger --extentMemoryLimit, or with --location on a disk.",
    ),
    # 412
    "LeaseIdMissing": _TAKEN,
    "LeaseIdMismatchWithBlobOperation": _TAKEN,
    "LeaseNotPresentWithBlobOperation": _BROKEN,
    "LeaseLost": _RAN_OUT,
    # The one condition ever sent is that nothing be there.
    "ConditionNotMet": Meaning(
        TargetExistsError, "there is a blob already", "Use --overwrite to replace it."
    ),
    # 413, 416
    "RequestBodyTooLarge": Meaning(
        TargetRefusedError, "the service found a request too large", REPORT
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

UNKNOWN_VERSION = Meaning(
    TargetRefusedError,
    "the service does not know this version of the API: {detail}",
    "Leave out --api-version and AZCOPY_DEFAULT_SERVICE_API_VERSION: then the newest version that "
    "the service knows is used. Or update the emulator.",
)

BY_STATUS: dict[int, Meaning] = {
    400: Meaning(TargetRefusedError, "the service found the request wrong: {detail}"),
    401: BY_CODE["NoAuthenticationInformation"],
    403: Meaning(AccessError, "the credentials do not allow this: {detail}", ROLE),
    404: BY_CODE["ResourceNotFound"],
    405: BY_CODE["UnsupportedHttpVerb"],
    408: Meaning(UnavailableError, "the service did not receive the request in time"),
    409: Meaning(TargetRefusedError, "the blob's state does not allow this: {detail}"),
    412: Meaning(TargetBusyError, "the blob is not as it should be: {detail}", OTHER_WRITER),
    413: BY_CODE["RequestBodyTooLarge"],
    416: BY_CODE["InvalidRange"],
    429: BY_CODE["TooManyRequests"],
    500: BY_CODE["InternalError"],
    501: BY_CODE["NotImplemented"],
    503: BY_CODE["ServerBusy"],
    505: BY_CODE["NotImplemented"],
}

UNCONFIRMED = Meaning(
    TargetRefusedError,
    "the service did not confirm the request, its answer has an unexpected status: {detail}",
    "Run the same command again. If it fails again, report it with the request's id.",
)
FAILING = Meaning(UnavailableError, "the service, or a gateway before it, is failing")

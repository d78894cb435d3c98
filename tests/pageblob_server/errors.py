"""Errors as the blob service answers them: status, code, message, XML body.

Codes and statuses are those of "Common REST API error codes" and "Azure Blob Storage error codes"
in the service's REST documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.sax.saxutils import escape


@dataclass(frozen=True, slots=True)
class ServiceError:
    """One refusal of the service.

    `details` become elements of the XML body beside Code and Message (for instance
    AuthenticationErrorDetail); `headers` are added to the answer.
    """

    status: int
    code: str
    message: str
    details: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, request_id: str, time: str) -> bytes:
        """The XML the service sends with the error."""
        message = f"{self.message}\nRequestId:{request_id}\nTime:{time}"
        elements = {"Code": self.code, "Message": message, **self.details}
        inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in elements.items())
        return f'\ufeff<?xml version="1.0" encoding="utf-8"?><Error>{inner}</Error>'.encode()


class RefusedError(Exception):
    """Raised by an operation that the service refuses; `error` is what it answers."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(f"{error.status} {error.code}")
        self.error = error


def invalid_header(name: str, value: str) -> ServiceError:
    """400: a header whose value the service cannot take."""
    return ServiceError(
        400,
        "InvalidHeaderValue",
        "The value for one of the HTTP headers is not in the correct format.",
        {"HeaderName": name, "HeaderValue": value},
    )


def missing_header(name: str) -> ServiceError:
    """400: a mandatory header that is not there."""
    return ServiceError(
        400,
        "MissingRequiredHeader",
        "An HTTP header that's mandatory for this request is not specified.",
        {"HeaderName": name},
    )


def invalid_query(name: str, value: str, reason: str) -> ServiceError:
    """400: a query parameter whose value the service cannot take."""
    return ServiceError(
        400,
        "InvalidQueryParameterValue",
        "Value for one of the query parameters specified in the request URI is invalid.",
        {"QueryParameterName": name, "QueryParameterValue": value, "Reason": reason},
    )


def out_of_range_query(name: str, value: str, least: int, most: int) -> ServiceError:
    """400: a number in the query outside its range."""
    return ServiceError(
        400,
        "OutOfRangeQueryParameterValue",
        "One of the query parameters specified in the request URI "
        "is outside the permissible range.",
        {
            "QueryParameterName": name,
            "QueryParameterValue": value,
            "MinimumAllowed": str(least),
            "MaximumAllowed": str(most),
        },
    )


UNSUPPORTED_QUERY = ServiceError(
    400,
    "UnsupportedQueryParameter",
    "One of the query parameters specified in the request URI is not supported.",
)
UNSUPPORTED_HEADER = ServiceError(
    400,
    "UnsupportedHeader",
    "One of the HTTP headers specified in the request is not supported.",
)
UNSUPPORTED_VERB = ServiceError(
    405, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb."
)
INVALID_URI = ServiceError(
    400, "InvalidUri", "The requested URI does not represent any resource on the server."
)
INVALID_NAME = ServiceError(
    400, "InvalidResourceName", "The specified resource name contains invalid characters."
)
BODY_TOO_LARGE = ServiceError(
    413,
    "RequestBodyTooLarge",
    "The request body is too large and exceeds the maximum permissible limit.",
)
MISSING_LENGTH = ServiceError(
    411, "MissingContentLengthHeader", "Content-Length HTTP header is missing."
)
INVALID_METADATA = ServiceError(
    400,
    "InvalidMetadata",
    "The metadata specified is invalid. It has characters that are not permitted.",
)
EMPTY_METADATA_KEY = ServiceError(
    400, "EmptyMetadataKey", "The key for one of the metadata key-value pairs is empty."
)
METADATA_TOO_LARGE = ServiceError(
    400,
    "MetadataTooLarge",
    "The size of the specified metadata exceeds the maximum size permitted.",
)
INVALID_RANGE = ServiceError(
    416, "InvalidRange", "The range specified is invalid for the current size of the resource."
)
INVALID_PAGE_RANGE = ServiceError(416, "InvalidPageRange", "The page range specified is invalid.")
CONTAINER_NOT_FOUND = ServiceError(
    404, "ContainerNotFound", "The specified container does not exist."
)
CONTAINER_EXISTS = ServiceError(
    409, "ContainerAlreadyExists", "The specified container already exists."
)
BLOB_NOT_FOUND = ServiceError(404, "BlobNotFound", "The specified blob does not exist.")
BLOB_EXISTS = ServiceError(409, "BlobAlreadyExists", "The specified blob already exists.")
INVALID_BLOB_TYPE = ServiceError(
    409, "InvalidBlobType", "The blob type is invalid for this operation."
)
IMMUTABLE = ServiceError(
    409,
    "BlobImmutableDueToPolicy",
    "This operation is not permitted as the blob is immutable due to a policy.",
)
CONDITION_NOT_MET = ServiceError(
    412,
    "ConditionNotMet",
    "The condition specified using HTTP conditional header(s) is not met.",
)
NOT_MODIFIED = ServiceError(304, "ConditionNotMet", CONDITION_NOT_MET.message)
SEQUENCE_CONDITION_NOT_MET = ServiceError(
    412,
    "SequenceNumberConditionNotMet",
    "The sequence number condition specified was not met.",
)
INVALID_MD5 = ServiceError(
    400,
    "InvalidMd5",
    "The MD5 value specified in the request is invalid. "
    "MD5 value must be 128 bits and base64 encoded.",
)
BOTH_CHECKSUMS = ServiceError(
    400,
    "BothCrc64AndMd5HeaderPresent",
    "Both x-ms-content-crc64 header and Content-MD5 header are present.",
)
BOTH_RANGE_CHECKSUMS = ServiceError(
    400,
    "BothCrc64AndMd5RangeHeaderPresent",
    "Both x-ms-range-get-content-crc64 header and x-ms-range-get-content-md5 header are present.",
)
LIST_TIMED_OUT = ServiceError(
    500, "OperationTimedOut", "Operation could not be completed within the specified time."
)
BUSY = ServiceError(503, "ServerBusy", "The server is busy. Please retry your request.")
NOT_PERMITTED = ServiceError(
    403,
    "AuthorizationPermissionMismatch",
    "This request is not authorized to perform this operation using this permission.",
)
NOT_AUTHORIZED = ServiceError(
    403, "AuthorizationFailure", "This request is not authorized to perform this operation."
)


def checksum_mismatch(kind: str, sent: str, computed: str) -> ServiceError:
    """400 Md5Mismatch or Crc64Mismatch: the body is not what the header says."""
    return ServiceError(
        400,
        f"{kind}Mismatch",
        f"The {kind.upper()} value specified in the request did not match "
        f"with the {kind.upper()} value calculated by the server.",
        {
            f"UserSpecified{kind.removesuffix('64')}": sent,
            f"ServerCalculated{kind.removesuffix('64')}": computed,
        },
    )


LEASE_ALREADY_PRESENT = ServiceError(
    409, "LeaseAlreadyPresent", "There is already a lease present."
)
LEASE_BREAKING_NOT_ACQUIRED = ServiceError(
    409,
    "LeaseIsBreakingAndCannotBeAcquired",
    "The lease ID matched, but the lease is currently in breaking state "
    "and cannot be acquired until it is broken.",
)
LEASE_BREAKING_NOT_CHANGED = ServiceError(
    409,
    "LeaseIsBreakingAndCannotBeChanged",
    "The lease ID matched, but the lease is currently in breaking state and cannot be changed.",
)
LEASE_BROKEN_NOT_RENEWED = ServiceError(
    409,
    "LeaseIsBrokenAndCannotBeRenewed",
    "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.",
)
LEASE_MISMATCH = ServiceError(
    409,
    "LeaseIdMismatchWithLeaseOperation",
    "The lease ID specified did not match the lease ID for the blob.",
)
LEASE_NOT_PRESENT = ServiceError(
    409, "LeaseNotPresentWithLeaseOperation", "There is currently no lease on the blob."
)
LEASE_MISSING_ON_BLOB = ServiceError(
    412,
    "LeaseIdMissing",
    "There is currently a lease on the blob and no lease ID was specified in the request.",
)
LEASE_MISMATCH_ON_BLOB = ServiceError(
    412,
    "LeaseIdMismatchWithBlobOperation",
    "The lease ID specified did not match the lease ID for the blob.",
)
LEASE_NOT_PRESENT_ON_BLOB = ServiceError(
    412, "LeaseNotPresentWithBlobOperation", "There is currently no lease on the blob."
)
LEASE_LOST = ServiceError(
    412, "LeaseLost", "A lease ID was specified, but the lease for the blob has expired."
)

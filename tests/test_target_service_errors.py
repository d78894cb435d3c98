"""Every answer of the service means one error, and says what to do."""

from __future__ import annotations

import itertools
import shlex
from datetime import datetime, timezone

import pytest
from azure.storage.blob import StorageErrorCode

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
from vhdtools.target.service_errors import (
    ServiceAnswer,
    error_from_answer,
    read_answer,
)
from vhdtools.target.service_meanings import BY_CODE, BY_STATUS
from vhdtools.text import redact

PLACE = BlobAddress("https://acct.blob.core.windows.net", "vhds", "my disk.vhd")
NOW = datetime(2024, 5, 17, 12, 0, tzinfo=timezone.utc)

# Status, code, the class it means, a word of what the user reads, a word of what to do.
ANSWERS: list[tuple[int, str, type[TargetError], str, str]] = [
    (400, "Crc64Mismatch", ChecksumError, "CRC-64", ""),
    (400, "Md5Mismatch", ChecksumError, "MD5", ""),
    (400, "InvalidHeaderValue", TargetRefusedError, "header", "report"),
    (400, "InvalidInput", TargetRefusedError, "wrong", ""),
    (400, "InvalidMetadata", TargetRefusedError, "metadata", ""),
    (400, "MetadataTooLarge", TargetRefusedError, "8 KiB", ""),
    (400, "InvalidResourceName", TargetRefusedError, "name", ""),
    (400, "InvalidUri", TargetRefusedError, "URL", ""),
    (400, "OutOfRangeInput", TargetRefusedError, "bounds", "8 TiB"),
    (400, "BlobTypeNotSupported", TargetRefusedError, "page blobs", "StorageV2"),
    (400, "SomethingNew", TargetRefusedError, "wrong", ""),
    (401, "NoAuthenticationInformation", AccessError, "credentials", "az login"),
    (401, "InvalidAuthenticationInfo", AccessError, "not valid", "az login"),
    (401, "", AccessError, "credentials", "az login"),
    (403, "AuthenticationFailed", AccessError, "recognize", "acct"),
    (403, "AuthorizationFailure", AccessError, "not allowed", "publicNetworkAccess"),
    (403, "AuthorizationPermissionMismatch", AccessError, "do not allow", "Contributor"),
    (403, "AuthorizationSourceIPMismatch", AccessError, "address", "--ip"),
    (403, "AuthorizationProtocolMismatch", AccessError, "https", "https"),
    (403, "AuthorizationServiceMismatch", AccessError, "not for blobs", "--services b"),
    (403, "AuthorizationResourceTypeMismatch", AccessError, "cover", "--resource-types co"),
    (403, "InsufficientAccountPermissions", AccessError, "do not allow", "Contributor"),
    (403, "KeyBasedAuthenticationNotPermitted", AccessError, "keys", "az login"),
    (403, "PublicAccessNotPermitted", AccessError, "without credentials", "SAS"),
    (409, "PublicAccessNotPermitted", AccessError, "without credentials", "SAS"),
    (403, "AccountIsDisabled", AccessError, "disabled", "az account list"),
    (403, "UnauthorizedBlobOverwrite", AccessError, "replacing", "Contributor"),
    (403, "", AccessError, "do not allow", "Contributor"),
    (404, "ContainerNotFound", TargetMissingError, "container", "--name vhds"),
    (404, "BlobNotFound", TargetMissingError, "no such blob", ""),
    (404, "ResourceNotFound", TargetMissingError, "no such place", "URL"),
    (404, "", TargetMissingError, "no such place", "URL"),
    (405, "UnsupportedHttpVerb", TargetRefusedError, "operation", ""),
    (405, "", TargetRefusedError, "operation", ""),
    (408, "RequestTimeout", UnavailableError, "in time", ""),
    (409, "BlobAlreadyExists", TargetExistsError, "already", "--overwrite"),
    (409, "LeaseAlreadyPresent", TargetBusyError, "another program", "Wait"),
    (409, "LeaseIsBreakingAndCannotBeAcquired", TargetBusyError, "another program", "Wait"),
    (
        409,
        "LeaseIsBreakingAndCannotBeChanged",
        TargetBusyError,
        "broken or released",
        "same command",
    ),
    (409, "LeaseIdMismatchWithLeaseOperation", TargetBusyError, "another program", "Wait"),
    (409, "LeaseIsBrokenAndCannotBeRenewed", TargetBusyError, "broken", "same"),
    (
        409,
        "LeaseNotPresentWithLeaseOperation",
        TargetBusyError,
        "broken or released",
        "same command",
    ),
    (409, "LeaseAlreadyBroken", TargetBusyError, "broken", "same"),
    (409, "ContainerBeingDeleted", TargetRefusedError, "being deleted", "Wait"),
    (409, "ContainerDisabled", TargetRefusedError, "disabled", "owner"),
    (409, "AccountBeingCreated", TargetRefusedError, "created", "minute"),
    (409, "SnapshotsPresent", TargetRefusedError, "snapshots", "--include s"),
    (409, "InvalidBlobType", TargetRefusedError, "not a page blob", "'my disk.vhd'"),
    (409, "ResourceTypeMismatch", TargetRefusedError, "not a page blob", "vhdtool upload"),
    (409, "BlobImmutableDueToPolicy", TargetRefusedError, "legal hold", "container create"),
    (409, "PendingCopyOperation", TargetRefusedError, "copy", "properties.copy"),
    (409, "BlobOverwritten", TargetBusyError, "replaced", "again"),
    (409, "SystemInUse", TargetRefusedError, "using", "later"),
    (409, "InvalidOperation", TargetRefusedError, "refused", ""),
    (409, "FeatureVersionMismatch", TargetRefusedError, "feature", "--api-version"),
    (409, "MemoryExtentStoreAtSizeLimit", TargetRefusedError, "memory", "--extentMemoryLimit"),
    (409, "SomethingNew", TargetRefusedError, "state", ""),
    (412, "LeaseIdMissing", TargetBusyError, "another writer", "Wait"),
    (412, "LeaseIdMismatchWithBlobOperation", TargetBusyError, "another writer", "Wait"),
    (
        412,
        "LeaseNotPresentWithBlobOperation",
        TargetBusyError,
        "broken or released",
        "same command",
    ),
    (412, "LeaseLost", TargetBusyError, "ran out", "same command"),
    (412, "ConditionNotMet", TargetExistsError, "already", "--overwrite"),
    (412, "", TargetBusyError, "not as it should be", "Wait"),
    (413, "RequestBodyTooLarge", TargetRefusedError, "too large", "report"),
    (413, "", TargetRefusedError, "too large", "report"),
    (416, "InvalidPageRange", TargetRefusedError, "not in the blob", "smaller"),
    (416, "InvalidRange", TargetRefusedError, "not in the blob", "smaller"),
    (416, "", TargetRefusedError, "not in the blob", "smaller"),
    (429, "TooManyRequests", UnavailableError, "fewer", ""),
    (429, "", UnavailableError, "fewer", ""),
    (500, "InternalError", UnavailableError, "error of its own", ""),
    (500, "OperationTimedOut", UnavailableError, "in time", ""),
    (500, "", UnavailableError, "error of its own", ""),
    (501, "NotImplemented", TargetRefusedError, "cannot do this", ""),
    (501, "", TargetRefusedError, "cannot do this", ""),
    (502, "", UnavailableError, "failing", ""),
    (503, "ServerBusy", UnavailableError, "fewer", ""),
    (503, "", UnavailableError, "fewer", ""),
    (504, "", UnavailableError, "failing", ""),
    (505, "", TargetRefusedError, "cannot do this", ""),
    (599, "", UnavailableError, "failing", ""),
    (400, "AccountRequiresHttps", TargetRefusedError, "https", "https"),
    (400, "ContentLengthLargerThanTierLimit", TargetRefusedError, "tier", "az disk create"),
    (400, "ConditionHeadersNotSupported", TargetRefusedError, "wrong", "report"),
    (400, "InvalidHttpVerb", TargetRefusedError, "wrong", "report"),
    (400, "InvalidQueryParameterValue", TargetRefusedError, "wrong", "report"),
    (400, "InvalidVersionForPageBlobOperation", TargetRefusedError, "wrong", "report"),
    (411, "MissingContentLengthHeader", TargetRefusedError, "wrong", "report"),
    (400, "MissingRequiredHeader", TargetRefusedError, "wrong", "report"),
    (400, "MissingRequiredQueryParameter", TargetRefusedError, "wrong", "report"),
    (400, "MultipleConditionHeadersNotSupported", TargetRefusedError, "wrong", "report"),
    (400, "OutOfRangeQueryParameterValue", TargetRefusedError, "wrong", "report"),
    (400, "RequestUrlFailedToParse", TargetRefusedError, "wrong", "report"),
    (400, "UnsupportedHeader", TargetRefusedError, "wrong", "report"),
    (400, "UnsupportedQueryParameter", TargetRefusedError, "wrong", "report"),
    (400, "UnsupportedRestVersion", TargetRefusedError, "version", "--api-version"),
    (
        400,
        "BlobApiNotYetSupportedForHierarchicalNamespaceAccounts",
        TargetRefusedError,
        "hierarchical namespace",
        "az storage account create",
    ),
    (409, "EndpointUnsupportedAccountFeatures", TargetRefusedError, "Data Lake", "StorageV2"),
    (
        409,
        "FeatureNotYetSupportedForHierarchicalNamespaceAccounts",
        TargetRefusedError,
        "hierarchical namespace",
        "az storage account create",
    ),
    (403, "KeyVaultAccessTokenCannotBeAcquired", AccessError, "customer-managed", "encryption"),
    (403, "KeyVaultEncryptionKeyNotFound", AccessError, "customer-managed", "encryption"),
    (403, "KeyVaultVaultNotFound", AccessError, "customer-managed", "encryption"),
    (404, "FilesystemNotFound", TargetMissingError, "container", "container create"),
    (404, "PathNotFound", TargetMissingError, "no such blob", ""),
    (409, "BlobArchived", TargetRefusedError, "archive", "set-tier"),
    (409, "BlobBeingRehydrated", TargetRefusedError, "archive", "Wait"),
    (409, "BlobUsesCustomerSpecifiedEncryption", TargetRefusedError, "key", "another name"),
    (409, "BlobCustomerSpecifiedEncryptionMismatch", TargetRefusedError, "key", "another name"),
    (409, "BlobAccessTierNotSupportedForAccountType", TargetRefusedError, "tier", ""),
    (409, "BlobTierInadequateForContentLength", TargetRefusedError, "tier", ""),
    (400, "InvalidBlobTier", TargetRefusedError, "tier", ""),
    (409, "OperationNotAllowedOnIncrementalCopyBlob", TargetRefusedError, "copy", "another name"),
    (200, "", TargetRefusedError, "did not confirm", "report"),
    (302, "", TargetRefusedError, "did not confirm", "report"),
    (418, "", TargetRefusedError, "did not confirm", "report"),
]


@pytest.mark.parametrize(("status", "code", "kind", "word", "way_out"), ANSWERS, ids=str)
def test_one_class_one_message(
    status: int, code: str, kind: type[TargetError], word: str, way_out: str
) -> None:
    answer = ServiceAnswer(status, code, request_id="0123-4567")
    error = error_from_answer(PLACE, answer, 4096)
    assert type(error) is kind
    assert (error.subject, error.offset) == (PLACE.url, 4096)
    assert (error.status, error.code) == (status, code)
    assert word in error.problem
    assert way_out in error.remedy
    assert bool(way_out) == bool(error.remedy)
    text = str(error)
    assert f"HTTP {status}" in text
    assert code in text
    assert "{" not in text
    assert ".." not in text.replace("...", "")
    # The number by which the service's operators find it, where they are the ones to ask.
    assert ("0123-4567" in text) == (kind in (TargetRefusedError, UnavailableError))


def test_the_table_is_tested_whole() -> None:
    tested = {code for _, code, *_ in ANSWERS}
    assert set(BY_CODE) <= tested
    statuses = {status for status, code, *_ in ANSWERS if not code}
    assert set(BY_STATUS) - statuses <= {400, 408, 409}


def test_every_answer_is_an_error() -> None:
    codes = [code.value for code in StorageErrorCode]
    statuses = (200, 304, 400, 401, 403, 404, 409, 412, 416, 429, 500, 503)
    for status, code in (
        *itertools.product(range(100, 600), ("", "Unheard")),
        *itertools.product(statuses, codes),
    ):
        error = error_from_answer(PLACE, ServiceAnswer(status, str(code)))
        assert isinstance(error, TargetError)
        assert type(error) is not TargetError
        assert str(error)


def test_never_retried_and_always() -> None:
    """DESIGN: 408, 429 and 5xx are; other 4xx are not, but for damaged data."""
    for status in range(400, 600):
        error = error_from_answer(PLACE, ServiceAnswer(status))
        again = status in (408, 429) or (status >= 500 and status not in (501, 505))
        assert isinstance(error, UnavailableError) == again


@pytest.mark.parametrize(
    ("status", "code", "throttled"),
    [
        (429, "", True),
        (503, "ServerBusy", True),
        (503, "", True),
        (500, "OperationTimedOut", True),
        (500, "InternalError", False),
        (408, "", False),
        (502, "", False),
    ],
)
def test_throttling(status: int, code: str, throttled: bool) -> None:
    error = error_from_answer(PLACE, ServiceAnswer(status, code, retry_after=4.5))
    assert isinstance(error, UnavailableError)
    assert error.throttled == throttled
    assert error.retry_after == 4.5


@pytest.mark.parametrize(
    ("status", "code", "detail", "word"),
    [
        (403, "AuthenticationFailed", "Signature not valid in the specified time frame: Start [Fri, 17 May 2024] - Expiry [Sat, 18 May 2024]", "SAS has expired"),  # noqa: E501
        (403, "AuthenticationFailed", "Signed expiry time [x] must be after signed start time [y]", "SAS has expired"),  # noqa: E501
        (403, "AuthenticationFailed", "Signature did not match. String to sign used was r", "signature is wrong"),  # noqa: E501
        (403, "AuthenticationFailed", "The MAC signature found in the HTTP request 'abc' is not the same; did not match", "signature is wrong"),  # noqa: E501
        (403, "AuthenticationFailed", "Signature fields not well formed.", "signature is wrong"),
        (403, "AuthenticationFailed", "Request date header too old: 'Fri, 17 May 2024'", "clock"),
        (401, "InvalidAuthenticationInfo", "Lifetime validation failed. The token is expired.", "token has expired"),  # noqa: E501
        (401, "InvalidAuthenticationInfo", "Issuer validation failed.", "Issuer validation failed"),
    ],
)  # fmt: skip
def test_why_access_was_denied(status: int, code: str, detail: str, word: str) -> None:
    error = error_from_answer(PLACE, ServiceAnswer(status, code, detail))
    assert isinstance(error, AccessError)
    assert word in error.problem
    assert error.remedy


def test_managed_disk_denied() -> None:
    disk = BlobAddress("https://md-impexp-x.z1.blob.storage.azure.net", "abcdef", "abcd")
    for status, code in ((403, "AuthenticationFailed"), (401, "NoAuthenticationInformation")):
        error = error_from_answer(disk, ServiceAnswer(status, code))
        assert isinstance(error, AccessError)
        assert "az disk grant-access" in error.remedy


XML = (
    '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>Something '
    "happened.\nRequestId:1\nTime:2024-05-17T12:00:00.0Z</Message>{more}</Error>"
)


class TestReadAnswer:
    def test_code_from_the_body(self) -> None:
        answer = read_answer(409, {}, XML.format(code="LeaseAlreadyPresent", more="").encode())
        assert (answer.code, answer.detail) == ("LeaseAlreadyPresent", "Something happened")

    def test_code_from_the_header(self) -> None:
        """Answers to HEAD have no body."""
        answer = read_answer(404, {"x-ms-error-code": "ContainerNotFound"}, b"")
        assert (answer.code, answer.detail) == ("ContainerNotFound", "")

    def test_details_come_first(self) -> None:
        more = "<AuthenticationErrorDetail>Signature did not match.</AuthenticationErrorDetail>"
        answer = read_answer(403, {}, XML.format(code="AuthenticationFailed", more=more).encode())
        assert answer.detail.startswith("Signature did not match; ")

    def test_account_without_page_blobs(self) -> None:
        """Premium accounts for block blobs name the header alone."""
        more = "<HeaderName>x-ms-blob-type</HeaderName><HeaderValue>PageBlob</HeaderValue>"
        answer = read_answer(400, {}, XML.format(code="InvalidHeaderValue", more=more).encode())
        error = error_from_answer(PLACE, answer)
        assert "no page blobs" in error.problem

    @pytest.mark.parametrize(
        "body",
        [b"", b"<html><title>502 Bad Gateway</title>", b"\xff\xfe\x00", b"{}", b"<Code>" * 9999],
    )
    def test_what_is_not_from_the_service(self, body: bytes) -> None:
        answer = read_answer(502, {"x-ms-request-id": "7"}, body)
        assert (answer.code, answer.detail, answer.request_id) == ("", "", "7")

    def test_redirect_says_where_to(self) -> None:
        answer = read_answer(302, {"Location": "https://login.example/?sig=abc"}, b"")
        error = error_from_answer(PLACE, answer)
        assert "login.example" in error.problem
        assert "abc" not in error.problem

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"Retry-After": "7"}, 7.0),
            ({"Retry-After": "0"}, 0.0),
            ({"Retry-After": "Fri, 17 May 2024 12:00:30 GMT"}, 30.0),
            ({"Retry-After": "Fri, 17 May 2024 12:00:30 -0000"}, 30.0),
            ({"Retry-After": "Fri, 17 May 2024 11:00:00 GMT"}, 0.0),
            ({"x-ms-retry-after-ms": "1500"}, 1.5),
            ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "-5"}, None),
            ({"Retry-After": "1e9"}, None),
            ({"Retry-After": "²"}, None),
        ],
    )
    def test_retry_after(self, headers: dict[str, str], seconds: float | None) -> None:
        assert read_answer(503, headers, b"", NOW).retry_after == seconds


@pytest.mark.parametrize(
    "text",
    [
        "https://a.blob.core.windows.net/c/b?sv=1&sig=S3CRET%2Bx%3D&se=2",
        "sig=S3CRET",
        "Signature=S3CRET;",
        "AccountName=a;AccountKey=S3CRET==;EndpointSuffix=x",
        "SharedAccessSignature=sv=1&sig=S3CRET",
        "Authorization: Bearer S3CRET.S3CRET.S3CRET",
        "'Authorization': 'SharedKey acct:S3CRET='",
        "http://user:S3CRET@proxy:3128/",
    ],
)
def test_secrets_are_blotted_out(text: str) -> None:
    assert "S3CRET" not in redact(f"before {text} after")
    assert redact(f"before {text} after").startswith("before ")
    assert redact(f"before {text} after").endswith(" after")
    error = error_from_answer(PLACE, ServiceAnswer(400, "InvalidInput", text))
    assert "S3CRET" not in str(error)
    assert "S3CRET" not in repr(error)


@pytest.mark.parametrize(
    "text",
    ["token=S3CRET", "access_token=S3CRET&x=y", "?refresh_token=S3CRET", "a sig=S3CRET"],
)
def test_tokens_are_struck_out(text: str) -> None:
    assert "S3CRET" not in redact(text)
    assert redact("tokens are sent; 3 tokens") == "tokens are sent; 3 tokens"


def test_names_in_commands_are_quoted() -> None:
    place = BlobAddress("https://acct.blob.core.windows.net", "vhds", "it's; rm -rf $HOME.vhd")
    error = error_from_answer(place, ServiceAnswer(409, "InvalidBlobType"))
    download = error.remedy.split("`")[1]
    assert f"--name={place.blob}" in shlex.split(download)

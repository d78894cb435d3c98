"""Whatever breaks below an answer comes out as one of our own errors."""

from __future__ import annotations

import errno
import http.client
import inspect
import socket
import ssl
from types import ModuleType
from typing import Any, cast

import azure.core.exceptions
import pytest
import requests.exceptions
import urllib3.exceptions
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.rest import HttpRequest

from vhdtools.errors import (
    AccessError,
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    UnavailableError,
)
from vhdtools.target.access import Access, _Token
from vhdtools.target.api_version import ApiVersion
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.blob_session import BlobSession
from vhdtools.target.failures import error_from_failure
from vhdtools.target.http_connection import Answer, Timeouts
from vhdtools.target.network import Origin, Route
from vhdtools.target.proxies import Proxy, ProxyError, ProxyRefusedError
from vhdtools.target.received_response import ReceivedResponse

PLACE = BlobAddress("https://acct.blob.core.windows.net", "vhds", "disk.vhd")
HERE = BlobAddress("http://127.0.0.1:10000/devstoreaccount1", "vhds", "disk.vhd")


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:1006)")
    error.reason = reason
    return error


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate in certificate chain"
    return error


PROXY = Proxy("https_proxy", "proxy.corp", 3128)


def refused_by_proxy(status: int, *headers: tuple[str, str]) -> ProxyRefusedError:
    return ProxyRefusedError(PROXY, Answer(status, "No", headers, b""))


UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_DNS = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.mark.parametrize(
    ("failure", "kind", "word"),
    [
        (NO_DNS, UnavailableError, "acct.blob.core.windows.net"),
        (UNKNOWN, UnavailableError, "cannot be looked up"),
        (untrusted(), TargetRefusedError, "REQUESTS_CA_BUNDLE"),
        (tls_error("WRONG_VERSION_NUMBER"), TargetRefusedError, "does not speak TLS"),
        (tls_error("UNSUPPORTED_PROTOCOL"), TargetRefusedError, "version of TLS"),
        (tls_error("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), UnavailableError, "connection failed"),
        (ssl.SSLEOFError(8, "EOF occurred"), UnavailableError, "EOF occurred"),
        (refused_by_proxy(407), AccessError, "https_proxy"),
        (refused_by_proxy(403), TargetRefusedError, "NO_PROXY"),
        (refused_by_proxy(503), UnavailableError, "503"),
        (ProxyError("ALL_PROXY", "is not …"), TargetRefusedError, "ALL_PROXY"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), UnavailableError, ""),
        (ConnectionResetError(errno.ECONNRESET, "reset by peer"), UnavailableError, "reset"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), UnavailableError, "Broken pipe"),
        (TimeoutError("timed out"), UnavailableError, "stalled"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), UnavailableError, "unreachable"),
        (OSError(), UnavailableError, "OSError"),
        (http.client.RemoteDisconnected("…"), UnavailableError, "before an answer"),
        (http.client.IncompleteRead(b""), UnavailableError, "in the middle"),
        (http.client.BadStatusLine("SSH-2.0-OpenSSH"), UnavailableError, "SSH-2.0-OpenSSH"),
        (http.client.LineTooLong("head"), UnavailableError, "not HTTP"),
        (OSError("GET https://x/?sig=S3CRET failed"), UnavailableError, "REDACTED"),
    ],
    ids=repr,
)
def test_failures_of_a_connection(failure: Exception, kind: type[TargetError], word: str) -> None:
    error = error_from_failure(PLACE, failure, 512, answered=True)
    assert type(error) is kind
    assert (error.subject, error.offset) == (PLACE.url, 512)
    assert word in str(error)
    assert "S3CRET" not in str(error)


def test_mistakes_in_the_url_end_at_once() -> None:
    error = error_from_failure(PLACE, UNKNOWN)
    assert isinstance(error, TargetMissingError)
    assert "acct" in error.remedy
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    error = error_from_failure(HERE, refused)
    assert isinstance(error, TargetMissingError)
    assert "emulator" in error.remedy
    assert isinstance(error_from_failure(HERE, refused, answered=True), UnavailableError)
    assert isinstance(error_from_failure(PLACE, NO_DNS), UnavailableError)


def test_programming_errors_are_not_dressed_up() -> None:
    with pytest.raises(TypeError):
        error_from_failure(PLACE, KeyError("x"))


def classes(module: ModuleType, root: type[BaseException]) -> list[type[BaseException]]:
    found = [value for _, value in inspect.getmembers(module, inspect.isclass)]
    return [value for value in found if issubclass(value, root)]


def an_instance(kind: type[BaseException]) -> BaseException:
    """One without its constructor's demands, as only its class matters here."""
    error: Any = kind.__new__(kind)
    error.length = error.partial = error.expected = 0  # what some show of themselves
    Exception.__init__(error, "https://x/?sig=S3CRET")
    if issubclass(kind, HttpResponseError):
        answer = Answer(403, "", (), b"")
        error.response = ReceivedResponse(
            HttpRequest("GET", "https://x/?sig=S3CRET"), answer, Route(Origin("https", "x", 443))
        )
    assert isinstance(error, BaseException)
    return error


AZURE = classes(azure.core.exceptions, AzureError)
FOREIGN = [
    *classes(requests.exceptions, requests.exceptions.RequestException),
    *classes(urllib3.exceptions, urllib3.exceptions.HTTPError),
]


@pytest.fixture
def session() -> BlobSession:
    return BlobSession(
        PLACE,
        Access(),
        workers=1,
        timeouts=Timeouts(),
        refresh=lambda _: None,
        version=ApiVersion(),
    )


def raised_as(session: BlobSession, failure: BaseException) -> TargetError:
    def fail(_: Any) -> None:
        raise failure

    with pytest.raises(TargetError) as raised:
        session.ask(fail)
    return raised.value


@pytest.mark.parametrize("kind", [*AZURE, azure.core.exceptions.DeserializationError])
def test_every_error_of_azure_core_is_mapped(
    session: BlobSession, kind: type[BaseException]
) -> None:
    error = raised_as(session, an_instance(kind))
    assert "S3CRET" not in str(error)
    # Nothing that knows the signed URL hangs on to what is raised.
    assert error.__context__ is None
    assert error.__cause__ is None


@pytest.mark.parametrize("kind", FOREIGN)
def test_every_error_of_requests_and_urllib3_is_mapped(
    session: BlobSession, kind: type[BaseException]
) -> None:
    """Only a source of tokens can raise them: the blob's own requests do not use these."""

    class Source:
        def get_token(self, *_: str, **__: Any) -> Any:
            raise an_instance(kind)

    with pytest.raises((AzureError, OSError)) as raised:
        _Token(Source()).get_token("scope")
    assert "S3CRET" not in str(raised_as(session, raised.value))


def test_there_are_such_errors() -> None:
    assert len(AZURE) > 10
    assert len(FOREIGN) > 30


def test_answers_of_token_services_are_not_taken_for_the_blob_services(
    session: BlobSession,
) -> None:
    class Elsewhere:
        status_code = 400
        reason = "Bad Request"
        headers: dict[str, str] = {}  # noqa: RUF012

        def text(self) -> str:
            return ""

    failure = ClientAuthenticationError("AADSTS70043: expired", response=cast(Any, Elsewhere()))
    error = raised_as(session, failure)
    assert isinstance(error, AccessError)
    assert "AADSTS70043" in str(error)


def test_texts_of_token_services_are_told_whole(session: BlobSession) -> None:
    for text in ("x" * 600, " ".join(f"Credential{number} is out." for number in range(60))):
        error = raised_as(session, ClientAuthenticationError(f"{text}\n"))
        assert text.rstrip(".") in error.problem

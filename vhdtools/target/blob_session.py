"""One blob, and the way to it: azure-storage-blob's client on a pipeline and transport of ours.

The SDK's own pipeline has sixteen policies: retries, redirects, hooks, four kinds of logging.
Ours has four: a request is stamped and authorised by the SDK's own policy; its answer is judged by
us, before the SDK does (which logs what it does not know), and decoded.
The requests that carry data, or long lists, go down the same pipeline without the SDK's generated
models: these cost more processor time than the rest of a small request together, and eight times
as much per page range as reading the XML.

The SDK's private names used are two: BlobClient's `_credential_policy`, which signs, and its
argument `_pipeline`, by which its own containers hand theirs to their blobs.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import formatdate
from typing import Any, TypeVar, cast

from azure.core.credentials import AzureSasCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    DeserializationError,
    HttpResponseError,
)
from azure.core.pipeline import Pipeline, PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    ContentDecodePolicy,
    SansIOHTTPPolicy,
)
from azure.core.pipeline.transport import HttpResponse
from azure.core.rest import HttpRequest
from azure.storage.blob import BlobClient

from vhdtools import __version__
from vhdtools.errors import (
    AccessError,
    TargetError,
    UnavailableError,
    UsageError,
    VhdToolsError,
)
from vhdtools.resources import resource_limit
from vhdtools.target.access import Access
from vhdtools.target.api_version import ApiVersion, refuses_version
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.denial import Attempt, sas_fields
from vhdtools.target.failures import error_from_failure
from vhdtools.target.foreign_answers import error_from_foreign_answer, is_from_service
from vhdtools.target.http_connection import Timeouts
from vhdtools.target.received_response import ReceivedResponse
from vhdtools.target.service_errors import error_from_answer, read_answer
from vhdtools.target.sign_in import explain_sign_in
from vhdtools.target.transport import ConnectionTransport, RouteError
from vhdtools.text import redact

__all__ = ["BlobSession"]

T = TypeVar("T")

_DISK_SCOPE = "https://disk.azure.com//.default"
"""With two slashes, one of which the SDK's own `audience` argument would lose."""


class BlobSession:
    """Requests to one blob, each sent once. Safe to use from several threads.

    `refresh` is given the credentials that were refused, and gives fresh ones, or None.
    """

    def __init__(
        self,
        address: BlobAddress,
        access: Access,
        *,
        workers: int,
        timeouts: Timeouts,
        refresh: Callable[[Access], Access | None],
        version: ApiVersion,
    ) -> None:
        self.address = address
        self._transport = ConnectionTransport(workers, timeouts)
        self._refresh = refresh
        self._access = access
        self._lock = threading.Lock()
        self._generation = 0
        self._seen = threading.local()
        self._answered = False
        self.version = version
        self._client, self._pipeline = _connect(address, access, self._transport, version)

    @property
    def name(self) -> str:
        """The blob's URL without credentials."""
        return self.address.url

    @property
    def sas_fields(self) -> Mapping[str, str]:
        """The SAS's fields but the signature; none where there is no SAS."""
        return sas_fields(self._access.sas or "")

    def ask(self, call: Callable[[BlobClient], T], offset: int | None = None) -> T:
        """The result of `call`, which makes one request through the client. Raises TargetError."""
        return self._guard(lambda: call(self._client), offset)

    def send(
        self,
        method: str,
        query: str,
        headers: Mapping[str, str],
        expected: int,
        *,
        offset: int,
        body: memoryview | None = None,
        into: memoryview | None = None,
    ) -> HttpResponse:
        """Send one request as it is. Raises TargetError.

        `expected` is the status of success, `into` receives the body then.
        """

        def run() -> HttpResponse:
            client = self._client
            request = HttpRequest(
                method,
                client.url + query,
                headers=dict(headers),
                content=cast("bytes | None", body),  # it takes any buffer, and does not say so
            )
            return self._pipeline.run(request, stream=True, into=into).http_response

        response = self._guard(run, offset)
        if response.status_code != expected:
            raise self._error(response, offset)
        return response

    def container_headers(self) -> Mapping[str, str]:
        """Get Container Properties: the headers of its answer. Raises TargetError."""
        url = f"{self.address.account_url}/{self.address.container}?restype=container"

        def run() -> HttpResponse:
            return self._pipeline.run(HttpRequest("GET", url), stream=True).http_response

        return self._guard(run, None).headers

    def refresh(self) -> bool:
        """Get fresh credentials; whether there are others now than this thread used last.

        Of several threads that were refused at once, the first asks, the others find it done.
        What is no credential (a file of a SAS that is just being written) is none yet.
        """
        with self._lock:
            if getattr(self._seen, "generation", 0) == self._generation:
                try:
                    fresh = self._refresh(self._access)
                except UsageError:
                    return False
                if fresh is None or fresh == self._access:
                    return False
                self._access = fresh
                self._client, self._pipeline = _connect(
                    self.address, fresh, self._transport, self.version
                )
                self._generation += 1
            self._seen.generation = self._generation
            return True

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _guard(self, call: Callable[[], T], offset: int | None) -> T:
        """The result of `call`; what it raises of the SDK's or the system's, as one of our errors.

        Raised outside the handlers: an SDK error, which knows the signed URL, must not hang on to
        ours as its context.
        """
        self._seen.generation = self._generation
        asked = self.version.current
        cause: Exception | None = None
        problem: VhdToolsError
        try:
            result = self._in_a_version_it_knows(call, asked)
        except _RefusedError as error:
            problem = self._error(error.response, offset)
        except RouteError as error:
            cause = error.failure
            problem = error_from_failure(
                self.address, cause, offset, answered=self._answered, route=error.route
            )
        except (HttpResponseError, ClientAuthenticationError) as error:
            problem = self._sdk_error(error, offset)
        except DeserializationError:
            problem = self.garbled(offset)
        except (AzureError, OSError) as error:  # the source of tokens has a way of its own
            problem = resource_limit(error, self.name) or UnavailableError(
                self.name, f"no credentials could be had: {_text(error)}", "", offset
            )
        else:
            self._answered = True
            return result
        raise problem from cause

    def _in_a_version_it_knows(self, call: Callable[[], T], asked: str) -> T:
        """The result of `call`, made once more where the service knows older versions alone."""
        try:
            return call()
        except _RefusedError as error:
            refused = self._refuses_version(error.response)
            if not refused or not self.version.fall_back(asked, self._takes):
                raise
        return call()

    def _takes(self, version: str) -> bool:
        """Whether the service takes a version of the API."""
        request = HttpRequest("HEAD", self._client.url)
        try:
            self._pipeline.run(request, version=version)
        except _RefusedError as error:
            response = error.response
            return is_from_service(response.headers) and not self._refuses_version(response)
        return True

    def _refuses_version(self, response: HttpResponse) -> bool:
        if not is_from_service(response.headers):
            return False
        answer = read_answer(response.status_code, response.headers, response.body())
        head = response.request.method == "HEAD"
        return refuses_version(answer.status, answer.code, answer.detail, head=head)

    def _sdk_error(self, error: AzureError, offset: int | None) -> TargetError:
        response = getattr(error, "response", None)
        if not isinstance(response, ReceivedResponse):
            # From the source of tokens, which talks to a host of its own.
            failure = explain_sign_in(str(error), os.environ)
            return AccessError(self.name, failure.problem, failure.remedy, offset)
        if isinstance(error, DecodeError) and response.status_code < 300:
            return self.garbled(offset)
        return self._error(response, offset)

    def garbled(self, offset: int | None) -> TargetError:
        """The error of an answer that makes no sense."""
        return UnavailableError(self.name, "the service's answer cannot be read", "", offset)

    def _error(self, response: HttpResponse, offset: int | None) -> TargetError:
        if not is_from_service(response.headers):
            assert isinstance(response, ReceivedResponse)
            return error_from_foreign_answer(self.address, response.answer, response.route, offset)
        self._answered = True
        response = self._with_reason(response)
        answer = read_answer(response.status_code, response.headers, response.body())
        return error_from_answer(self.address, answer, offset, self._attempt(response))

    def _attempt(self, response: HttpResponse) -> Attempt:
        access, request = self._access, response.request
        return Attempt(
            request.method,
            request.url,
            datetime.now(timezone.utc),
            None if access.sas is None else sas_fields(access.sas),
            signed=access.key is not None or access.token is not None,
        )

    def _with_reason(self, response: HttpResponse) -> HttpResponse:
        """A refusal with its reason: the answer to HEAD has no body, that of a GET has.

        What is asked then is Get Page Ranges, which every page blob and managed disk may be asked.
        """
        if response.request.method != "HEAD" or response.status_code not in (400, 401, 403):
            return response
        client = self._client
        request = HttpRequest(
            "GET",
            f"{client.url}?comp=pagelist",
            headers={"x-ms-range": "bytes=0-511"},
        )
        try:
            self._pipeline.run(request, stream=True)
        except _RefusedError as error:
            second = error.response
            if second.status_code == response.status_code and is_from_service(second.headers):
                return second
        except (AzureError, OSError):
            pass  # the first answer stands
        return response


class _Stamp(SansIOHTTPPolicy[HttpRequest, HttpResponse]):
    """What every request says of itself: when, which one, from whom, by which version."""

    def __init__(self, version: ApiVersion) -> None:
        self._version = version

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        headers = request.http_request.headers
        version = request.context.options.pop("version", None)
        headers["x-ms-version"] = version or self._version.current
        headers["x-ms-date"] = formatdate(usegmt=True)
        headers["x-ms-client-request-id"] = str(uuid.uuid4())
        headers["User-Agent"] = f"vhdtools/{__version__}"


class _RefusedError(Exception):
    """An answer other than success; caught where the request was made."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status_code)
        self.response = response


class _Judge(SansIOHTTPPolicy[HttpRequest, HttpResponse]):
    """Keeps refusals, and what is not the service's own answer, from the SDK."""

    def on_response(
        self,
        request: PipelineRequest[HttpRequest],
        response: PipelineResponse[HttpRequest, HttpResponse],
    ) -> None:
        answer = response.http_response
        if answer.status_code >= 300 or not is_from_service(answer.headers):
            raise _RefusedError(answer)


def _connect(
    address: BlobAddress, access: Access, transport: ConnectionTransport, version: ApiVersion
) -> tuple[BlobClient, Pipeline[HttpRequest, HttpResponse]]:
    credential: Any = access.key or access.token
    policies: list[Any] = [_Stamp(version), ContentDecodePolicy("utf-8"), _Judge()]
    if access.sas is not None:
        credential = AzureSasCredential(access.sas)
        if access.token is not None:
            policies.append(BearerTokenCredentialPolicy(access.token, _DISK_SCOPE))
    place = (address.account_url, address.container, address.blob)
    signer = BlobClient(*place, credential=credential, transport=transport)
    if signer._credential_policy is not None:
        policies.append(signer._credential_policy)
    pipeline = Pipeline(transport, policies)
    return BlobClient(*place, credential=credential, _pipeline=pipeline), pipeline


def _text(error: Exception) -> str:
    return redact(" ".join(str(error).split()) or type(error).__name__).rstrip(".")

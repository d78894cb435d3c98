"""Clients for tests: the SDK's without retries, a raw one, and how a refusal is read."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient

from .server import SAS, PageBlobServer

PAGE = 512
MIB = 1024 * 1024


def client(server: PageBlobServer, name: str = "disks/disk.vhd", sas: str = SAS) -> BlobClient:
    """The SDK's client for a blob, with a SAS and without retries."""
    return BlobClient.from_blob_url(server.blob_url(name, sas), retry_total=0)


def raw(
    server: PageBlobServer,
    method: str,
    target: str,
    body: bytes | Iterable[bytes] | None = None,
    **headers: str,
) -> tuple[int, str | None]:
    """Status and error code of a request that the SDK would not send; `_` in names is `-`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, {"Authorization": "SharedKey a:b", **named})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["x-ms-error-code"]
    finally:
        connection.close()


def refusal(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> tuple[int, str]:
    """Status and error code with which the service refuses a call."""
    with pytest.raises(HttpResponseError) as caught:
        call(*arguments, **keywords)
    response: Any = caught.value.response
    return response.status_code, response.headers["x-ms-error-code"]

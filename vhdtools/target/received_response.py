# ruff: noqa: D102 - the members are azure.core's, documented there
"""An answer of the service as azure.core's `HttpResponse`."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest, HttpResponse
from azure.core.utils import case_insensitive_dict

from vhdtools.target.http_connection import Answer

__all__ = ["ReceivedResponse"]


class ReceivedResponse(HttpResponse):
    """An answer, all of it in memory; members mean what azure.core says of them."""

    location_mode = "primary"  # which of an account's places answered: we ask no other

    def __init__(self, request: HttpRequest, answer: Answer) -> None:
        self._request = request
        self._answer = answer
        self._headers = case_insensitive_dict(answer.headers)
        self._encoding: str | None = None

    @property
    def request(self) -> HttpRequest:
        return self._request

    @property
    def status_code(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> MutableMapping[str, str]:
        return self._headers

    @property
    def reason(self) -> str:
        return self._answer.reason

    @property
    def content_type(self) -> str | None:
        return self._headers.get("Content-Type")

    @property
    def is_closed(self) -> bool:
        return True

    @property
    def is_stream_consumed(self) -> bool:
        return True

    @property
    def encoding(self) -> str | None:
        return self._encoding

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        self._encoding = value

    @property
    def url(self) -> str:
        return self._request.url

    @property
    def content(self) -> bytes:
        return self._answer.body

    def body(self) -> bytes:  # the name that the SDK's deserializer knows an answer by
        return self.content

    def text(self, encoding: str | None = None) -> str:
        return self.content.decode(encoding or self._encoding or "utf-8-sig", "replace")

    def json(self) -> Any:
        return json.loads(self.text())

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise HttpResponseError(response=self)

    def close(self) -> None:
        pass

    def read(self) -> bytes:
        return self.content

    def iter_raw(self, **_: Any) -> Iterator[bytes]:
        yield self.content

    def iter_bytes(self, **_: Any) -> Iterator[bytes]:
        yield self.content

    def __enter__(self) -> HttpResponse:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __repr__(self) -> str:
        return f"<{self.status_code} {self.reason}>"

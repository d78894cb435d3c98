"""An answer of the service as the Azure SDK takes it."""

from __future__ import annotations

from azure.core.pipeline.transport import HttpResponse
from azure.core.rest import HttpRequest
from azure.core.utils import case_insensitive_dict

from vhdtools.target.http_connection import Answer
from vhdtools.target.network import Route

__all__ = ["ReceivedResponse"]


class ReceivedResponse(HttpResponse):
    """An `answer`, all of it in memory, and the `route` it came by.

    Of azure.core's two kinds of response this is the one that transports outside of it can fill
    in without writing out every way of streaming.
    """

    location_mode = "primary"  # which of an account's places answered: we ask no other

    def __init__(self, request: HttpRequest, answer: Answer, route: Route) -> None:
        super().__init__(request, answer)  # type: ignore[arg-type]  # it takes both kinds
        self.status_code = answer.status
        self.reason = answer.reason
        self.headers = case_insensitive_dict(answer.headers)
        self.content_type = self.headers.get("Content-Type")
        self.answer = answer
        self.route = route

    def body(self) -> bytes:
        """All of the body."""
        return self.answer.body

    def text(self, encoding: str | None = None) -> str:
        """The body as text; bytes that are none are replaced."""
        return self.answer.body.decode(encoding or "utf-8-sig", "replace")

"""How the Azure SDK's requests travel: azure.core's transport interface over our connections.

The SDK's own (the requests library) costs ten times the processor time per request, cannot tell
sending from connecting when it comes to time-outs, and copies what it receives.
"""

from __future__ import annotations

import http.client
import logging
import threading
from collections import deque
from typing import Any
from urllib.parse import SplitResult, urlsplit

from azure.core.pipeline.transport import HttpResponse, HttpTransport
from azure.core.rest import HttpRequest

from vhdtools.logs import logger
from vhdtools.target.http_connection import Answer, Connection, Timeouts
from vhdtools.target.network import Route, connect, origin_of, route_to
from vhdtools.target.received_response import ReceivedResponse

__all__ = ["ConnectionTransport", "RouteError"]

_log = logger(__name__)

_BODY_METHODS = ("PUT", "POST", "PATCH")


class RouteError(OSError):
    """No whole answer came: `failure` (OSError, http.client.HTTPException) on this `route`."""

    def __init__(self, failure: Exception, route: Route | None) -> None:
        super().__init__(type(failure).__name__)
        self.failure = failure
        self.route = route


class ConnectionTransport(HttpTransport[HttpRequest, HttpResponse]):
    """Sends requests to one origin, over as many connections as there are threads at it.

    Up to `keep` idle connections stay open.
    """

    def __init__(self, keep: int, timeouts: Timeouts) -> None:
        self._idle: deque[Connection] = deque()
        self._keep = keep
        self._timeouts = timeouts
        self._closed = threading.Event()
        self._routes: dict[tuple[str, ...], Route] = {}

    def open(self) -> None:
        """Nothing to do: connections are made when they are needed."""

    def close(self) -> None:
        """Close idle connections now, and the others when they are done."""
        self._closed.set()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:  # several threads may empty it
                return
            connection.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, request: HttpRequest, **options: Any) -> HttpResponse:
        """Send `request` once, and receive all of the answer. Raises RouteError.

        Of the options, `into` matters: a buffer that receives the body of a 206 of just its
        length. The rest are other transports'.
        """
        url = urlsplit(request.url)
        route = None
        try:
            route = self._route(url)
            answer = self._exchange(request, url, route, options.get("into"))
        except (OSError, http.client.HTTPException) as failure:
            raise RouteError(failure, route) from failure
        if _log.isEnabledFor(logging.DEBUG):
            # Without the query, where a SAS would be.
            request_id = answer.header("x-ms-request-id") or "-"
            _log.debug("%s %s: %d, %s", request.method, url.path, answer.status, request_id)
        return ReceivedResponse(request, answer, route)

    def _exchange(
        self, request: HttpRequest, url: SplitResult, route: Route, into: memoryview | None
    ) -> Answer:
        head = _head(request, url, route)
        connection = self._connection(route)
        try:
            answer = connection.exchange(request.method, head, request.content or b"", into)
        except BaseException:
            connection.close()
            raise
        if connection.reusable and not self._closed.is_set() and len(self._idle) < self._keep:
            self._idle.append(connection)
            if self._closed.is_set():  # since the check before: whoever closed may have missed it
                self.close()
        else:
            connection.close()
        return answer

    def _connection(self, route: Route) -> Connection:
        while True:
            try:
                connection = self._idle.pop()  # the one used last
            except IndexError:
                return connect(route, self._timeouts)
            if not connection.is_stale():
                return connection
            connection.close()

    def _route(self, url: SplitResult) -> Route:
        key = url[:2]
        if key not in self._routes:
            self._routes[key] = route_to(origin_of(url))
        return self._routes[key]


def _head(request: HttpRequest, url: SplitResult, route: Route) -> bytes:
    origin, proxy = route.origin, route.proxy
    target = url.path or "/"
    if url.query:
        target += "?" + url.query
    lines = [f"Host: {origin.authority}", "Accept-Encoding: identity"]
    if proxy is not None and origin.scheme == "http":
        target = f"http://{origin.authority}{target}"
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
    names = request.headers
    if request.method in _BODY_METHODS and "Content-Length" not in names:
        lines.append(f"Content-Length: {len(request.content or b'')}")
    lines += [f"{name}: {value}" for name, value in names.items()]
    text = "\r\n".join([f"{request.method} {target} HTTP/1.1", *lines, "", ""])
    if text.count("\n") != len(lines) + 2 or text.count("\r") != len(lines) + 2:
        raise ValueError("a header contains a line break")
    return text.encode("latin-1")

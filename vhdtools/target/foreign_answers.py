"""Answers that are not the service's: a proxy's, a filter's, a sign-in page's, a gateway's.

The service marks its answers with x-ms-request-id and x-ms-version. Without these marks nothing in
an answer says anything about the blob, not even 200 or 404. What can be seen of who answered is
part of the error.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from azure.core.utils import case_insensitive_dict

from vhdtools.errors import AccessError, TargetError, TargetRefusedError, UnavailableError
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.http_connection import Answer
from vhdtools.target.network import Route
from vhdtools.target.proxies import Proxy, authentication_methods
from vhdtools.target.service_errors import read_answer
from vhdtools.text import printable, redact

__all__ = ["error_from_foreign_answer", "error_from_proxy_answer", "is_from_service"]

_MARKS = ("x-ms-request-id", "x-ms-version")
_REFUSALS = {501, 505, 511}  # of 5xx, those that no further try will change: RFC 9110, 6585
_TITLE = re.compile(rb"<title[^>]*>(.{1,1000}?)</title", re.IGNORECASE | re.DOTALL)
_PAGE = 64 * 1024
_MOST_TEXT = 100


def is_from_service(headers: Mapping[str, str]) -> bool:
    """Whether an answer with these headers (names in any case) is Azure Storage's own."""
    return any(mark in headers for mark in _MARKS)


def error_from_foreign_answer(
    address: BlobAddress, answer: Answer, route: Route | None, offset: int | None = None
) -> TargetError:
    """The error for an answer to a request for the blob at `address` that came by `route`."""
    proxy = None if route is None else route.proxy
    if answer.status == 407 and proxy is not None:
        return _proxy_sign_in(address, proxy, answer, offset)
    problem = f"the request was not answered by Azure Storage, but with {_seen(answer)}"
    if route is not None and str(route):
        problem += f", {route}"
    return _error(address, problem, _remedy(address, answer.status, proxy), answer, offset)


def error_from_proxy_answer(
    address: BlobAddress, proxy: Proxy, answer: Answer, offset: int | None = None
) -> TargetError:
    """The error for the answer of a proxy that did not open a tunnel to the service."""
    if answer.status == 407:
        return _proxy_sign_in(address, proxy, answer, offset)
    problem = f"{proxy} answered a request for {address.host} with {_seen(answer)}"
    return _error(address, problem, _remedy(address, answer.status, proxy), answer, offset)


def _error(
    address: BlobAddress, problem: str, remedy: str, answer: Answer, offset: int | None
) -> TargetError:
    status = answer.status
    headers = case_insensitive_dict(answer.headers)
    if status in (408, 429) or (status >= 500 and status not in _REFUSALS):
        return UnavailableError(
            address.url,
            problem,
            remedy,
            offset,
            status,
            throttled=status in (429, 503),
            retry_after=read_answer(status, headers, b"").retry_after,
        )
    return TargetRefusedError(address.url, problem, remedy, offset, status)


def _proxy_sign_in(
    address: BlobAddress, proxy: Proxy, answer: Answer, offset: int | None
) -> TargetError:
    methods = authentication_methods(answer.all_of("Proxy-Authenticate"))
    variable = proxy.source if proxy.source.upper().endswith("_PROXY") else "HTTPS_PROXY"
    if methods and "basic" not in (method.lower() for method in methods):
        problem = (
            f"{proxy} requires a sign-in by {' or '.join(methods)}, and vhdtools supports Basic"
        )
        remedy = (
            f"Name a proxy in {variable} that accepts Basic or no sign-in (a local relay such as "
            f"px or cntlm signs in to this one), or name {address.host} in NO_PROXY."
        )
    elif proxy.authorization is not None:
        problem = f"{proxy} did not accept the user name and password in {variable}"
        remedy = "Correct them; percent-encode what is special in a URL (@ is %40, : is %3A)."
    else:
        problem = f"{proxy} requires a user name and a password"
        remedy = f"Put them before the host in {variable}, percent-encoded: USER:PASSWORD@HOST:PORT"
    return AccessError(address.url, f"{problem} (HTTP 407)", remedy, offset, 407)


def _remedy(address: BlobAddress, status: int, proxy: Proxy | None) -> str:
    bypass = "" if proxy is None else f", or name {address.host} in NO_PROXY"
    if status == 413:
        return (
            "A server on the way accepts no request of this size: have its limit raised to at "
            f"least 5 MiB{bypass}."
        )
    if status == 511 or (status < 400 and proxy is None):
        return (
            "The network may require a sign-in: open a web page in a browser, sign in, and run "
            "the same command again. If there is none, check the URL."
        )
    if proxy is not None and status >= 500:
        return f"Ask whoever runs the proxy whether it reaches {address.host}{bypass}."
    if proxy is not None:
        return f"Ask whoever runs the proxy to allow {address.host}{bypass}."
    if status >= 500 and status not in _REFUSALS:
        return ""
    return (
        f"Check the URL. If it is right, a filter or gateway of the network answers instead of "
        f"{address.host}: ask whoever runs it to allow this host."
    )


def _seen(answer: Answer) -> str:
    """The status of an answer, and what it shows of who gave it, and why."""
    names = ("Server", "Via", "Proxy-Status", "X-Squid-Error")
    shown = [f"{name}: {_shown(value)}" for name in names if (value := answer.header(name))]
    # The rest of a redirect may repeat the URL that was asked for, signature and all.
    if place := _host_of(answer.header("Location") or ""):
        shown.append(f"a redirect to {_shown(place)}")
    if title := _title(answer):
        shown.append(f"a page titled '{title}'")
    status = _shown(f"HTTP {answer.status} {answer.reason}".rstrip())
    return f"{status} ({'; '.join(shown)})" if shown else status


def _title(answer: Answer) -> str:
    found = _TITLE.search(answer.body[:_PAGE])
    if found is None:
        return ""
    return _shown(html.unescape(found[1].decode("utf-8", "replace")))


def _host_of(location: str) -> str:
    """Scheme and host of a redirect; "" for one to another path of the same host."""
    try:
        parts = urlsplit(location)
        return f"{parts.scheme}://{parts.hostname}" if parts.scheme and parts.hostname else ""
    except ValueError:
        return ""


def _shown(text: str) -> str:
    text = printable(redact(" ".join(text.split())))
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 1] + "…"

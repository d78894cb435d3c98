"""Proxies: which one the environment names, what it is asked for, and how it refuses."""

from __future__ import annotations

import base64
import os
import re
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from vhdtools.target.http_connection import Answer

__all__ = [
    "Proxy",
    "ProxyError",
    "ProxyRefusedError",
    "ProxyUnreachableError",
    "authentication_methods",
    "configured_proxy",
    "parse_proxy",
]

SYSTEM = "the system's settings"

_FORM = "http://HOST:PORT (before HOST, perhaps USER:PASSWORD@, percent-encoded)"
_QUOTED = r'"(?:[^"\\]|\\.)*"?'
_METHOD = r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]*)(?=\s*(?:,|$)|\s+[^\s=,])"
_MOST_METHODS = 8


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `source` is the environment variable that names it, as it is spelled there.

    `authorization` is the Proxy-Authorization header for the user and password in its URL.
    """

    source: str
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"the proxy {host}:{self.port} (from {self.source})"


class ProxyError(ConnectionError):
    """The proxy that `source` names cannot be used."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source} {problem}")
        self.source = source


class ProxyUnreachableError(ConnectionError):
    """There is no connection to the proxy; `cause` says why."""

    def __init__(self, proxy: Proxy, cause: OSError) -> None:
        super().__init__(f"{proxy} cannot be reached")
        self.proxy = proxy
        self.cause = cause


class ProxyRefusedError(ConnectionError):
    """The proxy answered the request for a tunnel, and made none."""

    def __init__(self, proxy: Proxy, answer: Answer) -> None:
        super().__init__(f"{proxy} answered {answer.status}")
        self.proxy = proxy
        self.answer = answer


def configured_proxy(scheme: str) -> tuple[str, str] | None:
    """The URL of the proxy for requests of this scheme, and what names it; exceptions aside."""
    proxies = urllib.request.getproxies()
    for key in (scheme, "all"):
        if url := proxies.get(key):
            return url, _source(f"{key}_proxy", url)
    return None


def _source(variable: str, url: str) -> str:
    """The variable's name as it is spelled; the lower-case one is the stronger (urllib)."""
    named = [
        name for name, value in os.environ.items() if name.lower() == variable and value == url
    ]
    return variable if variable in named else next(iter(named), SYSTEM)


def parse_proxy(url: str, source: str) -> Proxy:
    """The proxy at `url`. Raises ProxyError, which repeats nothing that may be a password."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ProxyError(source, f"is not of the form {_FORM}") from None
    if parts.scheme != "http":
        scheme = parts.scheme if parts.scheme.isalnum() else "unknown"
        raise ProxyError(source, f"names a proxy of the kind {scheme}://, and only http:// works")
    if not host:
        raise ProxyError(source, f"is not of the form {_FORM}")
    authorization = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
    return Proxy(source, host, port or 80, authorization)


def authentication_methods(challenges: Iterable[str]) -> list[str]:
    """The methods that Proxy-Authenticate headers offer: RFC 9110, 11.6.1."""
    found: dict[str, None] = {}
    for challenge in challenges:
        for method in re.findall(_METHOD, re.sub(_QUOTED, '""', challenge)):
            found[method] = None
    return list(found)[:_MOST_METHODS]

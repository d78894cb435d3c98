"""Reaching a host: directly or through a proxy, in plain or with TLS.

The environment's usual variables hold: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (on
Windows and macOS the system's settings where none is set), REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE
as the Azure CLI has them, SSL_CERT_FILE and SSL_CERT_DIR as OpenSSL has them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import urllib.request
from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult

from vhdtools.resources import resource_limit
from vhdtools.target.http_connection import Connection, Timeouts
from vhdtools.target.proxies import (
    SYSTEM,
    Proxy,
    ProxyRefusedError,
    ProxyUnreachableError,
    configured_proxy,
    parse_proxy,
)

__all__ = [
    "Origin",
    "Route",
    "TrustError",
    "connect",
    "is_address",
    "is_loopback",
    "origin_of",
    "route_to",
]

_PORTS = {"http": 80, "https": 443}
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
_UNSENT = 256 * 1024


class TrustError(OSError):
    """The file of certificate authorities that the environment names cannot be used."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request goes: scheme, host without brackets, port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The Host header: the port only if it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """How requests reach an origin: through a proxy, or directly.

    `exception` says where it is excepted from the proxy that is configured ("" where none is).
    """

    origin: Origin
    proxy: Proxy | None = None
    exception: str = ""

    def __str__(self) -> str:
        if self.proxy is not None:
            return f"through {self.proxy}"
        return f"without a proxy, by {self.exception}" if self.exception else ""


def origin_of(url: SplitResult) -> Origin:
    """The origin of a split URL. Raises ValueError for other schemes, no host or a bad port."""
    if url.scheme not in _PORTS or not url.hostname:
        raise ValueError("not an http or https URL with a host")
    return Origin(url.scheme, url.hostname, url.port or _PORTS[url.scheme])


def is_address(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine itself, so that nothing leaves it."""
    if is_address(host):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def route_to(origin: Origin) -> Route:
    """The route that the environment or the system prescribes; never a proxy for loopback.

    Raises ProxyError.
    """
    configured = None if is_loopback(origin.host) else configured_proxy(origin.scheme)
    if configured is None:
        return Route(origin)
    url, source = configured
    if urllib.request.proxy_bypass(f"{origin.host}:{origin.port}"):
        return Route(origin, exception=SYSTEM if source == SYSTEM else "NO_PROXY")
    return Route(origin, parse_proxy(url, source))


def connect(route: Route, timeouts: Timeouts) -> Connection:
    """A connection ready for requests to the route's origin.

    Through a proxy, an http origin is asked for by its whole URL (the caller writes it), an https
    origin through a tunnel. Raises OSError: ProxyUnreachableError, ProxyRefusedError,
    socket.gaierror, ssl.SSLError, ...
    """
    origin = route.origin
    context = _tls(_ca_bundle()) if origin.scheme == "https" else None
    if route.proxy is None:
        raw = _socket(origin.host, origin.port, timeouts)
    else:
        raw = _proxy_socket(route.proxy, origin, timeouts)
    if context is not None:
        try:
            raw.settimeout(timeouts.connect)
            raw = context.wrap_socket(raw, server_hostname=origin.host)
        except BaseException:
            raw.close()
            raise
    return Connection(raw, timeouts)


def _socket(host: str, port: int, timeouts: Timeouts) -> socket.socket:
    raw = socket.create_connection((host, port), timeouts.connect)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with contextlib.suppress(OSError):  # refinements that some systems know and do not allow
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A line that died under way is noticed while the kernel still holds bytes to send.
            milliseconds = int(timeouts.stall * 1000)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            # Else megabytes wait in the kernel on a slow line, and "sent" means nothing.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
    return raw


def _proxy_socket(proxy: Proxy, origin: Origin, timeouts: Timeouts) -> socket.socket:
    try:
        raw = _socket(proxy.host, proxy.port, timeouts)
    except OSError as error:
        raise ProxyUnreachableError(proxy, error) from error
    if origin.scheme == "http":
        return raw
    try:
        tunnel = Connection(raw, timeouts)
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        target = f"{host}:{origin.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        answer = tunnel.exchange("CONNECT", "\r\n".join([*lines, "", ""]).encode("latin-1"), b"")
        if not 200 <= answer.status < 300:
            raise ProxyRefusedError(proxy, answer)
    except BaseException:
        raw.close()
        raise
    return raw


def _ca_bundle() -> str | None:
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None


@cache
def _tls(ca_bundle: str | None) -> ssl.SSLContext:
    if ca_bundle is not None:
        folder = os.path.isdir(ca_bundle)  # noqa: PTH112
        try:
            context = ssl.create_default_context(
                capath=ca_bundle if folder else None, cafile=None if folder else ca_bundle
            )
        except OSError as error:
            if resource_limit(error) is not None:
                raise
            raise TrustError(f"{ca_bundle}: {error.strerror or error}") from error
    else:
        # What the system trusts, and what certifi does: a bare system trusts nobody.
        context = ssl.create_default_context()
        with contextlib.suppress(ImportError):
            import certifi

            context.load_verify_locations(certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context

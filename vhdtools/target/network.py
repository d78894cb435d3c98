"""Reaching a host: directly or through a proxy, in plain or with TLS.

The environment's usual variables hold: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY (on
Windows and macOS the system's settings where none is set), REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE
as the Azure CLI has them, SSL_CERT_FILE and SSL_CERT_DIR as OpenSSL has them.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import os
import socket
import ssl
import urllib.request
from dataclasses import dataclass
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit

from vhdtools.target.http_connection import Connection, Timeouts

__all__ = [
    "Origin",
    "ProxyError",
    "TrustError",
    "connect",
    "is_address",
    "is_loopback",
    "origin_of",
    "proxy_for",
]

_PORTS = {"http": 80, "https": 443}
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
_UNSENT = 256 * 1024


class ProxyError(ConnectionError):
    """The proxy refused; `status` is its HTTP status, or 0 if it is of a kind we do not speak."""

    def __init__(self, proxy: str, problem: str, status: int = 0) -> None:
        super().__init__(f"the proxy {proxy} {problem}")
        self.status = status


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


def proxy_for(origin: Origin) -> str | None:
    """The URL of the proxy that requests to `origin` go through; never one for loopback."""
    if is_loopback(origin.host) or urllib.request.proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(origin.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def connect(origin: Origin, proxy: str | None, timeouts: Timeouts) -> Connection:
    """A connection ready for requests to `origin`.

    Through a proxy, an http origin is asked for by its whole URL (the caller writes it), an https
    origin through a tunnel. Raises OSError: ProxyError, socket.gaierror, ssl.SSLError, ...
    """
    context = _tls(_ca_bundle()) if origin.scheme == "https" else None
    if proxy is None:
        raw = _socket(origin.host, origin.port, timeouts)
    else:
        raw = _proxy_socket(proxy, origin, timeouts)
    if context is not None:
        try:
            raw.settimeout(timeouts.connect)
            raw = context.wrap_socket(raw, server_hostname=origin.host)
        except BaseException:
            raw.close()
            raise
    return Connection(raw, timeouts)


def proxy_authorization(proxy: str) -> str | None:
    """The Proxy-Authorization header for the user and password in a proxy's URL."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


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


def _proxy_socket(proxy: str, origin: Origin, timeouts: Timeouts) -> socket.socket:
    try:
        parts = urlsplit(proxy)
        host, port = parts.hostname, parts.port
    except ValueError as error:  # which repeats no more than the port, or the host in brackets
        raise ProxyError("of the environment", f"has a URL that is none: {error}") from None
    shown = f"{parts.scheme}://{host}:{port}"
    if parts.scheme != "http" or not host:
        raise ProxyError(shown, "is not an http:// proxy, the only kind supported")
    raw = _socket(host, port or 80, timeouts)
    if origin.scheme == "http":
        return raw
    try:
        tunnel = Connection(raw, timeouts)
        target = f"{origin.host}:{origin.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if authorization := proxy_authorization(proxy):
            lines.append(f"Proxy-Authorization: {authorization}")
        answer = tunnel.exchange("CONNECT", "\r\n".join([*lines, "", ""]).encode("latin-1"), b"")
        if not 200 <= answer.status < 300:
            raise ProxyError(
                shown, f"answered {answer.status} {answer.reason}".rstrip(), answer.status
            )
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

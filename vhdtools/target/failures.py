"""What breaks before there is an answer, as vhdtools' own errors, each with the route it was on."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

from vhdtools.errors import (
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    UnavailableError,
    VhdToolsError,
)
from vhdtools.resources import resource_limit
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.foreign_answers import error_from_proxy_answer
from vhdtools.target.network import Route, TrustError, is_loopback
from vhdtools.target.proxies import ProxyError, ProxyRefusedError, ProxyUnreachableError
from vhdtools.text import printable, redact

__all__ = ["error_from_failure"]

_UNKNOWN_HOST = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

# OpenSSL's reasons that no further try will change.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}
_NO_COMMON_TLS = {
    "NO_PROTOCOLS_AVAILABLE",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "UNSUPPORTED_PROTOCOL",
}
# X509_V_ERR_*: not yet valid, expired; the names do not match.
_WRONG_TIME = {9, 10}
_WRONG_NAME = {62, 64}


def error_from_failure(
    address: BlobAddress,
    failure: Exception,
    offset: int | None = None,
    *,
    answered: bool = False,
    route: Route | None = None,
) -> VhdToolsError:
    """The one error that a failed connection means for the blob at `address`.

    `failure` is an OSError (of a socket, DNS, TLS, a proxy) or an http.client.HTTPException.
    `answered` says that the service was heard from before: then a name that is not found, or
    a port of this machine where no service listens, may come back; else it is a mistake in the
    URL, or in the proxy's. `route` is the way to the service that the request was on.
    """
    if (limit := resource_limit(failure, address.url)) is not None:
        return limit
    if isinstance(failure, ProxyRefusedError):
        return error_from_proxy_answer(address, failure.proxy, failure.answer, offset)
    if isinstance(failure, ProxyUnreachableError):
        return _proxy_unreachable(address, failure, offset, answered=answered)
    by = f", {route}" if route is not None and str(route) else ""

    def refused(problem: str, remedy: str = "") -> TargetError:
        return TargetRefusedError(address.url, problem + by, remedy, offset)

    def missing(problem: str, remedy: str) -> TargetError:
        return TargetMissingError(address.url, problem + by, remedy, offset)

    def unavailable(problem: str, remedy: str = "") -> TargetError:
        return UnavailableError(address.url, problem + by, remedy, offset)

    match failure:
        case ProxyError():
            remedy = f"Correct {failure.source}, or name {address.host} in NO_PROXY."
            return refused(str(failure), remedy)
        case TrustError():
            return refused(
                f"the file of certificate authorities cannot be used: {failure}",
                "Correct REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE), or unset it.",
            )
        case socket.gaierror():
            problem = f"the host name {address.host} cannot be looked up ({failure.strerror})"
            if _unknown(failure) and not answered:
                return missing(
                    problem,
                    f"Check the account's name ({address.account}) and the network; where only a "
                    "proxy reaches the internet, set HTTPS_PROXY.",
                )
            return unavailable(problem, "Check the network.")
        case ssl.SSLCertVerificationError():
            return refused(
                f"the certificate of {address.host} is not trusted: "
                f"{failure.verify_message.rstrip('.')}",
                _certificate_remedy(address, failure),
            )
        case ssl.SSLError() if _reason(failure) in _NOT_TLS:
            return refused("the server does not speak TLS on this port", "Check https and port.")
        case ssl.SSLError() if _reason(failure) in _NO_COMMON_TLS:
            return refused("the server and this machine have no version of TLS in common")
        case ConnectionRefusedError():
            problem = f"{_authority(address)} refused the connection: no service listens there"
            if is_loopback(address.host) and not answered:
                return missing(problem, "Start the emulator, or correct the port.")
            return unavailable(problem)
        case TimeoutError():
            return unavailable("the connection stalled: nothing moved for too long")
        case http.client.RemoteDisconnected():
            return unavailable("the connection was closed before an answer came")
        case http.client.IncompleteRead():
            return unavailable("the connection was closed in the middle of an answer")
        case http.client.HTTPException():
            return unavailable(f"the answer is not HTTP: {_shown(str(failure))}")
        case OSError():
            return unavailable(f"the connection failed: {_cause(failure)}")
        case _:
            raise TypeError(f"not a failure of a connection: {type(failure).__name__}")


def _proxy_unreachable(
    address: BlobAddress, failure: ProxyUnreachableError, offset: int | None, *, answered: bool
) -> TargetError:
    proxy, cause = failure.proxy, failure.cause
    remedy = f"Correct {proxy.source}, or name {address.host} in NO_PROXY."
    final = False
    match cause:
        case socket.gaierror():
            problem = f"the name of {proxy} cannot be looked up ({cause.strerror})"
            final = _unknown(cause) and not answered
        case ConnectionRefusedError():
            problem = f"{proxy} refused the connection: no service listens there"
            final = is_loopback(proxy.host) and not answered
        case TimeoutError():
            problem = f"{proxy} did not accept a connection in time"
        case _:
            problem = f"{proxy} cannot be reached: {_cause(cause)}"
    kind = TargetRefusedError if final else UnavailableError
    return kind(address.url, problem, remedy, offset)


def _certificate_remedy(address: BlobAddress, failure: ssl.SSLCertVerificationError) -> str:
    code = getattr(failure, "verify_code", None)
    if code in _WRONG_NAME and ".privatelink." in address.host:
        public = address.host.replace(".privatelink.", ".")
        return (
            f"Use the account's public name, {public}: inside the virtual network, private DNS "
            "resolves it to the private endpoint."
        )
    if code in _WRONG_NAME:
        return (
            "Check the host in the URL: the certificate is for other names. A proxy or a sign-in "
            "page of the network may have answered instead."
        )
    if code in _WRONG_TIME:
        return "Check this machine's clock; if it is right, the server must renew its certificate."
    return (
        "If a proxy of your network signs its own certificates, name its authority's file in "
        "REQUESTS_CA_BUNDLE."
    )


def _authority(address: BlobAddress) -> str:
    return urlsplit(address.url).netloc


def _unknown(failure: socket.gaierror) -> bool:
    return failure.errno in _UNKNOWN_HOST


def _cause(failure: OSError) -> str:
    return _shown(failure.strerror or str(failure) or type(failure).__name__)


def _shown(text: str) -> str:
    return printable(redact(text))[:200]


def _reason(failure: ssl.SSLError) -> str | None:
    return getattr(failure, "reason", None)  # those not made by OpenSSL have none

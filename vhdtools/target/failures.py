"""What goes wrong before there is an answer, told as vhdtools' own errors."""

from __future__ import annotations

import http.client
import socket
import ssl

from vhdtools.errors import (
    AccessError,
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    UnavailableError,
)
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.network import ProxyError, TrustError, is_loopback
from vhdtools.text import redact

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


def error_from_failure(
    address: BlobAddress, failure: Exception, offset: int | None = None, *, answered: bool = False
) -> TargetError:
    """The one error that a failed connection means for the blob at `address`.

    `failure` is an OSError (of a socket, DNS, TLS, a proxy) or an http.client.HTTPException.
    `answered` says that the service was heard from before: then a name that is not found, or
    a port of this machine where nobody listens, may come back; else it is a mistake in the URL.
    """
    name = address.url

    def refused(problem: str, remedy: str = "") -> TargetError:
        return TargetRefusedError(name, problem, remedy, offset)

    def unavailable(problem: str, remedy: str = "") -> TargetError:
        return UnavailableError(name, problem, remedy, offset)

    match failure:
        case ProxyError():
            problem = redact(str(failure))
            if failure.status == 407:
                remedy = "Put user and password into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT."
                return AccessError(name, problem, remedy, offset, 407)
            if failure.status >= 500:
                return unavailable(problem)
            return refused(problem, "Correct HTTPS_PROXY, or name the host in NO_PROXY.")
        case TrustError():
            return refused(
                f"the file of certificate authorities cannot be used: {failure}",
                "Correct REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE), or unset it.",
            )
        case socket.gaierror():
            problem = f"the host name {address.host} cannot be looked up ({failure.strerror})"
            if failure.errno in _UNKNOWN_HOST and not answered:
                remedy = f"Check the account's name ({address.account}) and the network."
                return TargetMissingError(name, problem, remedy, offset)
            return unavailable(problem, "Check the network.")
        case ssl.SSLCertVerificationError():
            return refused(
                f"the server's certificate is not trusted: {failure.verify_message}",
                "If a proxy of your network signs its own certificates, name its authority's "
                "file in REQUESTS_CA_BUNDLE.",
            )
        case ssl.SSLError() if _reason(failure) in _NOT_TLS:
            return refused("the server does not speak TLS on this port", "Check https and port.")
        case ssl.SSLError() if _reason(failure) in _NO_COMMON_TLS:
            return refused("the server and this machine have no version of TLS in common")
        case ConnectionRefusedError() if is_loopback(address.host) and not answered:
            remedy = "Start the emulator, or correct the port."
            return TargetMissingError(name, "nobody listens at this address", remedy, offset)
        case TimeoutError():
            return unavailable("the connection stalled: nothing moved for too long")
        case http.client.RemoteDisconnected():
            return unavailable("the connection was closed before an answer came")
        case http.client.IncompleteRead():
            return unavailable("the connection was closed in the middle of an answer")
        case http.client.HTTPException():
            return unavailable(f"the answer is not HTTP: {redact(str(failure))[:200]}")
        case OSError():
            reason = failure.strerror or str(failure) or type(failure).__name__
            return unavailable(f"the connection failed: {redact(reason)[:200]}")
        case _:
            raise TypeError(f"not a failure of a connection: {type(failure).__name__}")


def _reason(failure: ssl.SSLError) -> str | None:
    return getattr(failure, "reason", None)  # those not made by OpenSSL have none

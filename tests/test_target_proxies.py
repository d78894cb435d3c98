"""Errors on the way to the service name the way: which proxy, by which variable, what it said."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pageblob_server import SAS
from vhdtools.errors import (
    AccessError,
    ResourceLimitError,
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    UnavailableError,
    VhdToolsError,
)
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.destination import open_target
from vhdtools.target.failures import error_from_failure
from vhdtools.target.foreign_answers import error_from_foreign_answer
from vhdtools.target.http_connection import Answer, Timeouts
from vhdtools.target.network import Origin, Route
from vhdtools.target.proxies import (
    Proxy,
    ProxyError,
    ProxyRefusedError,
    ProxyUnreachableError,
    authentication_methods,
    parse_proxy,
)

HOST = "acct.blob.core.windows.net"
PLACE = BlobAddress(f"https://{HOST}", "vhds", "disk.vhd")
PROXY = Proxy("ALL_PROXY", "proxy.corp", 3128)
SHOWN = "the proxy proxy.corp:3128 (from ALL_PROXY)"
ROUTE = Route(Origin("https", HOST, 443), PROXY)
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
QUICK = Timeouts(connect=5, stall=5)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextlib.contextmanager
def proxy_that_says(answer: bytes) -> Iterator[int]:
    """A proxy that gives `answer` to its one request; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def asked_through(url: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> TargetError:
    monkeypatch.setenv(variable, url)
    with (
        contextlib.closing(open_target(f"{PLACE.url}?{SAS}", timeouts=QUICK)) as target,
        pytest.raises(TargetError) as failed,
    ):
        target.state()
    return failed.value


class TestUnreachable:
    @pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
    def test_the_variable_is_named(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        error = asked_through(f"http://user:S3CRET@127.0.0.1:{port}", variable, monkeypatch)
        assert type(error) is TargetRefusedError
        shown = f"the proxy 127.0.0.1:{port} (from {variable}) refused the connection"
        assert error.problem.startswith(shown)
        assert error.remedy == f"Correct {variable}, or name {HOST} in NO_PROXY."
        assert "S3CRET" not in repr(error)

    def test_the_name_that_is_not_found_is_the_proxys(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(host: object, *_: object, **__: object) -> None:
            assert host == "proxy.corp"
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        error = asked_through("http://proxy.corp:3128", "HTTPS_PROXY", monkeypatch)
        assert error.problem == (
            "the name of the proxy proxy.corp:3128 (from HTTPS_PROXY) cannot be looked up "
            "(Name or service not known)"
        )
        assert type(error) is TargetRefusedError

    @pytest.mark.parametrize(
        ("cause", "answered", "kind", "words"),
        [
            (UNKNOWN, True, UnavailableError, f"the name of {SHOWN} cannot be looked up"),
            (REFUSED, False, UnavailableError, f"{SHOWN} refused the connection"),
            (TimeoutError(), False, UnavailableError, f"{SHOWN} did not accept a connection"),
            (OSError(101, "Unreachable"), False, UnavailableError, f"{SHOWN} cannot be reached: U"),
            (OSError(errno.EMFILE, "…"), False, ResourceLimitError, "too many are open"),
        ],
    )
    def test_others(
        self, cause: OSError, answered: bool, kind: type[VhdToolsError], words: str
    ) -> None:
        failure = ProxyUnreachableError(PROXY, cause)
        failure.__cause__ = cause
        error = error_from_failure(PLACE, failure, answered=answered, route=ROUTE)
        assert type(error) is kind
        assert error.problem.startswith(words) or kind is ResourceLimitError
        assert words in error.problem


class TestBehindAProxy:
    @pytest.mark.parametrize(
        "failure",
        [
            REFUSED,
            TimeoutError(),
            ConnectionResetError(errno.ECONNRESET, "reset"),
            ssl.SSLEOFError(8, "EOF occurred"),
        ],
        ids=repr,
    )
    def test_the_way_is_named(self, failure: Exception) -> None:
        error = error_from_failure(PLACE, failure, route=ROUTE)
        assert error.problem.endswith(f", through {SHOWN}")

    def test_exceptions_are_named(self) -> None:
        route = Route(Origin("https", HOST, 443), exception="NO_PROXY")
        error = error_from_failure(PLACE, UNKNOWN, route=route)
        assert isinstance(error, TargetMissingError)
        assert f"the host name {HOST} cannot be looked up" in error.problem
        assert error.problem.endswith(", without a proxy, by NO_PROXY")
        plain = error_from_failure(PLACE, UNKNOWN, route=Route(Origin("https", HOST, 443)))
        assert "proxy" not in plain.problem
        assert "HTTPS_PROXY" in plain.remedy

    def test_urls_that_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = asked_through("http://user:S3/CRET@proxy:1", "https_proxy", monkeypatch)
        assert error.problem.startswith("https_proxy is not of the form http://HOST:PORT")
        assert "CRET" not in str(error)
        assert error.remedy.startswith("Correct https_proxy")


class TestRefusals:
    @pytest.mark.parametrize(
        ("offered", "words"),
        [
            (["NTLM"], "a sign-in by NTLM, and vhdtools supports Basic"),
            (["Negotiate", "NTLM"], "by Negotiate or NTLM,"),
            (['Digest realm="a, Basic, b", qop="auth", nonce="x=="'], "by Digest,"),
            (["Negotiate, NTLM TlRMTVNT=="], "by Negotiate or NTLM,"),
        ],
    )
    def test_methods_that_are_not_spoken(
        self, monkeypatch: pytest.MonkeyPatch, offered: list[str], words: str
    ) -> None:
        headers = "".join(f"Proxy-Authenticate: {value}\r\n" for value in offered)
        answer = f"HTTP/1.1 407 No\r\n{headers}Content-Length: 0\r\n\r\n".encode()
        with proxy_that_says(answer) as port:
            url = f"http://user:S3CRET@127.0.0.1:{port}"
            error = asked_through(url, "HTTPS_PROXY", monkeypatch)
        assert isinstance(error, AccessError)
        assert error.problem.startswith(f"the proxy 127.0.0.1:{port} (from HTTPS_PROXY) requires")
        assert words in error.problem
        assert error.problem.endswith("(HTTP 407)")
        assert "relay" in error.remedy
        assert "USER:PASSWORD" not in error.remedy
        assert "S3CRET" not in str(error)

    @pytest.mark.parametrize(
        ("credentials", "words"),
        [("", "requires a user name and a password"), ("u:p@", "did not accept the user name and")],
    )
    @pytest.mark.parametrize("method", ["", "basic", "Basic"])
    def test_basic(
        self, monkeypatch: pytest.MonkeyPatch, credentials: str, words: str, method: str
    ) -> None:
        offer = f'Proxy-Authenticate: Negotiate, {method} realm="x"\r\n' if method else ""
        answer = f"HTTP/1.1 407 No\r\n{offer}Content-Length: 0\r\n\r\n".encode()
        with proxy_that_says(answer) as port:
            error = asked_through(f"http://{credentials}127.0.0.1:{port}", "ALL_PROXY", monkeypatch)
        assert isinstance(error, AccessError)
        assert words in error.problem
        assert ("USER:PASSWORD" in error.remedy) == (not credentials)
        assert "ALL_PROXY" in str(error)

    def test_over_http_too(self) -> None:
        headers = [("Proxy-Authenticate", "NTLM"), ("Proxy-Authenticate", "Negotiate")]
        error = error_from_foreign_answer(PLACE, Answer(407, "No", headers, b""), ROUTE)
        assert isinstance(error, AccessError)
        assert f"{SHOWN} requires a sign-in by NTLM or Negotiate" in error.problem

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (302, TargetRefusedError),
            (403, TargetRefusedError),
            (408, UnavailableError),
            (429, UnavailableError),
            (502, UnavailableError),
            (503, UnavailableError),
            (504, UnavailableError),
            (501, TargetRefusedError),
            (511, TargetRefusedError),
        ],
    )
    def test_others(self, status: int, kind: type[TargetError]) -> None:
        page = b"<title>ERROR: no DNS</title>"
        headers = [("Server", "squid/6.1"), ("X-Squid-Error", "ERR_DNS_FAIL 0")]
        failure = ProxyRefusedError(PROXY, Answer(status, "No", headers, page))
        error = error_from_failure(PLACE, failure, 512, route=ROUTE)
        assert type(error) is kind
        assert isinstance(error, TargetError)
        assert (error.status, error.offset) == (status, 512)
        assert error.problem == (
            f"{SHOWN} answered a request for {HOST} with HTTP {status} No (Server: squid/6.1; "
            "X-Squid-Error: ERR_DNS_FAIL 0; a page titled 'ERROR: no DNS')"
        )
        assert error.remedy


@pytest.mark.parametrize(
    ("make", "host", "words"),
    [
        (62, f"{HOST.replace('.blob', '.privatelink.blob')}", f"public name, {HOST}:"),
        (62, HOST, "the certificate is for other names"),
        (64, "10.0.0.4", "the certificate is for other names"),
        (10, HOST, "clock"),
        (9, HOST, "clock"),
        (19, HOST, "REQUESTS_CA_BUNDLE"),
    ],
)
def test_certificates(make: int, host: str, words: str) -> None:
    failure = ssl.SSLCertVerificationError(1, "certificate verify failed")
    failure.verify_code = make
    failure.verify_message = "of some kind."
    place = BlobAddress(f"https://{host}", "vhds", "disk.vhd")
    error = error_from_failure(place, failure)
    assert type(error) is TargetRefusedError
    assert error.problem == f"the certificate of {host} is not trusted: of some kind"
    assert words in error.remedy


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [("http://p:1/", "p", 1), ("p", "p", 80), ("p:8080", "p", 8080), ("http://[::1]:9", "::1", 9)],
)
def test_urls(url: str, host: str, port: int) -> None:
    assert parse_proxy(url, "X") == Proxy("X", host, port)


@given(st.text("abCD:/@?#[]%. \\"))
def test_no_url_raises_anything_else(text: str) -> None:
    with contextlib.suppress(ProxyError):
        parse_proxy(text, "X")


@given(st.text())
def test_no_challenge_raises(text: str) -> None:
    assert all(
        method.isascii() and method.isprintable() for method in authentication_methods([text])
    )

"""The way to a host: proxies, TLS, and what the environment says of them."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trustme
from azure.core.rest import HttpRequest

from tests.pageblob_server import SAS
from vhdtools.checksums import crc64
from vhdtools.errors import (
    AccessError,
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    UnavailableError,
)
from vhdtools.target.destination import open_target
from vhdtools.target.http_connection import Connection, Timeouts
from vhdtools.target.network import Origin, Route, connect, is_loopback, origin_of, route_to
from vhdtools.target.proxies import ProxyError, parse_proxy
from vhdtools.target.transport import ConnectionTransport

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

HOST = "disks.example.com"
QUICK = Timeouts(connect=5, stall=5)
DATA = memoryview(bytes(512))
ANSWER = b"HTTP/1.1 201 Created\r\nx-ms-request-id: 1\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


class Listener:
    """Accepts one connection, and lets `handle` have it in a thread; keeps what it was told."""

    def __init__(self, handle: Callable[[Listener, socket.socket], None]) -> None:
        self.heard: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(10)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, args=(handle,))

    def _serve(self, handle: Callable[[Listener, socket.socket], None]) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._socket.accept()
            connection.settimeout(10)
            with connection:
                handle(self, connection)

    def hear(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        self.heard.append(data)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._thread.join()


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """A certificate authority that is trusted."""
    made = trustme.CA()
    bundle = tmp_path / "ca.pem"
    made.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    return made


def server_context(authority: trustme.CA, name: str = HOST) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def answer_once(listener: Listener, connection: socket.socket) -> None:
    listener.hear(connection)
    connection.sendall(ANSWER)


@contextlib.contextmanager
def transport() -> Iterator[ConnectionTransport]:
    with contextlib.closing(ConnectionTransport(1, QUICK)) as made:
        yield made


class TestProxies:
    def test_tunnel(self, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA) -> None:
        def handle(listener: Listener, connection: socket.socket) -> None:
            listener.hear(connection)
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with server_context(authority).wrap_socket(connection, server_side=True) as inside:
                answer_once(listener, inside)

        with Listener(handle) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://us%40er:pass@127.0.0.1:{proxy.port}")
            target = open_target(f"https://{HOST}/vhds/x.vhd?{SAS}", timeouts=QUICK)
            target._blob.size = 512  # type: ignore[attr-defined]
            assert target.write(0, DATA, crc64(DATA)) is False
            target.close()
        connect, request = proxy.heard
        assert connect.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n".encode())
        pair = base64.b64encode(b"us@er:pass")
        assert b"Proxy-Authorization: Basic " + pair in connect
        assert b"sig=" not in connect
        assert request.startswith(b"PUT /vhds/x.vhd?comp=page&sv=")
        assert b"Proxy-Authorization" not in request

    def test_plain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Listener(answer_once) as proxy, transport() as way:
            monkeypatch.setenv("HTTP_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")
            response = way.send(HttpRequest("GET", f"http://{HOST}:8080/vhds/x.vhd"))
        assert response.status_code == 201
        assert proxy.heard[0].startswith(f"GET http://{HOST}:8080/vhds/x.vhd HTTP/1.1\r\n".encode())
        assert b"Proxy-Authorization: Basic " in proxy.heard[0]
        assert f"Host: {HOST}:8080\r\n".encode() in proxy.heard[0]

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            ("407 Proxy Authentication Required", AccessError),
            ("403 Forbidden", TargetRefusedError),
            ("502 Bad Gateway", UnavailableError),
            ("503 Service Unavailable", UnavailableError),
        ],
    )
    def test_that_refuse(
        self, monkeypatch: pytest.MonkeyPatch, answer: str, kind: type[TargetError]
    ) -> None:
        def handle(listener: Listener, connection: socket.socket) -> None:
            listener.hear(connection)
            connection.sendall(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())

        with Listener(handle) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:S3CRET@127.0.0.1:{proxy.port}")
            target = open_target(f"https://{HOST}/vhds/x.vhd?{SAS}", timeouts=QUICK)
            with pytest.raises(kind) as failed:
                target.state()
            target.close()
        assert type(failed.value) is kind
        assert answer[:3] in failed.value.problem
        assert f"127.0.0.1:{proxy.port}" in failed.value.problem
        assert "S3CRET" not in str(failed.value)

    @pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "https://127.0.0.1:1"])
    def test_of_other_kinds(self, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        target = open_target(f"https://{HOST}/vhds/x.vhd?{SAS}")
        with pytest.raises(TargetRefusedError, match=r"only http:// works") as failed:
            target.state()
        assert "HTTPS_PROXY" in failed.value.remedy
        target.close()

    @pytest.mark.parametrize(
        ("environment", "url", "expected"),
        [
            ({}, "https://a.example", None),
            ({"HTTPS_PROXY": "http://p:1"}, "https://a.example", "p:1 HTTPS_PROXY"),
            ({"https_proxy": "p:1"}, "https://a.example", "p:1 https_proxy"),
            ({"HTTPS_PROXY": "p:1", "https_proxy": "p:1"}, "https://a.example", "p:1 https_proxy"),
            ({"https_proxy": "p:1", "HTTPS_PROXY": "q:1"}, "https://a.example", "p:1 https_proxy"),
            ({"HTTPS_PROXY": "http://p:1"}, "http://a.example", None),
            ({"HTTP_PROXY": "http://u:secret@p"}, "http://a.example", "p:80 HTTP_PROXY"),
            ({"ALL_PROXY": "http://[::1]:1"}, "https://a.example", "::1:1 ALL_PROXY"),
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.example"}, "https://a.example", None),
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example"}, "https://a.example", None),
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://a.example", None),
            ({"HTTPS_PROXY": "p:1", "NO_PROXY": "b.example"}, "https://a.ex", "p:1 HTTPS_PROXY"),
            ({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:10000", None),
            ({"HTTP_PROXY": "http://p:1"}, "http://localhost:10000", None),
            ({"HTTP_PROXY": "http://p:1"}, "http://[::1]:10000", None),
        ],
    )  # fmt: skip
    def test_which(
        self,
        monkeypatch: pytest.MonkeyPatch,
        environment: dict[str, str],
        url: str,
        expected: str | None,
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        route = route_to(origin_of(urlsplit(url)))
        proxy = route.proxy
        assert (proxy and f"{proxy.host}:{proxy.port} {proxy.source}") == expected
        assert route.exception == ("NO_PROXY" if "NO_PROXY" in environment and not expected else "")


class TestTls:
    def test_trusted(self, serve: Serve, trusted_server: Callable[[Serve], str]) -> None:
        target = open_target(trusted_server(serve))
        assert target.write(0, DATA, crc64(DATA)) is True
        target.close()

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_where_trust_is_named(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
    ) -> None:
        from vhdtools.target import network

        server = serve(tls=True)
        assert server.ca_pem is not None
        bundle = tmp_path / f"{variable}.pem"
        bundle.write_bytes(server.ca_pem)
        server.create_blob("disks/x.vhd", 512)
        monkeypatch.setenv(variable, str(bundle))
        network._tls.cache_clear()
        target = open_target(server.blob_url("disks/x.vhd"))
        assert target.state() is not None
        target.close()
        network._tls.cache_clear()

    @pytest.mark.parametrize(
        ("issuer", "name"), [("unknown", "127.0.0.1"), ("known", "other.example")]
    )
    def test_not_trusted(self, authority: trustme.CA, issuer: str, name: str) -> None:
        context = server_context(authority if issuer == "known" else trustme.CA(), name)

        def handle(_: Listener, connection: socket.socket) -> None:
            context.wrap_socket(connection, server_side=True)

        with Listener(handle) as server:
            target = open_target(f"https://127.0.0.1:{server.port}/a/vhds/x.vhd?{SAS}")
            with pytest.raises(TargetRefusedError, match=r"is not trusted") as failed:
                target.state()
            remedy = "REQUESTS_CA_BUNDLE" if issuer == "unknown" else "Check the host in the URL"
            assert remedy in failed.value.remedy
            target.close()

    def test_where_there_is_none(self, serve: Serve) -> None:
        url = serve().blob_url("disks/x.vhd").replace("http:", "https:")
        target = open_target(url)
        with pytest.raises(TargetRefusedError, match=r"does not speak TLS"):
            target.state()
        target.close()

    def test_broken_off(self) -> None:
        with Listener(lambda *_: None) as server:
            target = open_target(f"https://127.0.0.1:{server.port}/a/vhds/x.vhd?{SAS}")
            with pytest.raises(UnavailableError):
                target.state()
            target.close()

    def test_a_bundle_that_is_not_there(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        target = open_target(serve(tls=True).blob_url("disks/x.vhd"))
        with pytest.raises(TargetRefusedError, match=r"none\.pem") as failed:
            target.state()
        assert "REQUESTS_CA_BUNDLE" in str(failed.value)
        target.close()


@pytest.fixture
def trusted_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Serve], str]:
    """Starts a TLS server whose certificate is trusted; gives the URL of a blob there."""

    def start(serve: Serve) -> str:
        server = serve(tls=True)
        assert server.ca_pem is not None
        bundle = tmp_path / "trusted.pem"
        bundle.write_bytes(server.ca_pem)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        server.create_blob("disks/x.vhd", 512)
        return server.blob_url("disks/x.vhd")

    return start


class TestConnecting:
    def test_options_of_the_socket(self) -> None:
        with Listener(lambda *_: None) as server:
            connection = connect(Route(Origin("http", "127.0.0.1", server.port)), QUICK)
            made = connection.socket
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
            connection.close()

    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        target = open_target(f"http://127.0.0.1:{port}/devstoreaccount1/vhds/x.vhd?{SAS}")
        with pytest.raises(TargetMissingError, match=r"refused the connection: no service"):
            target.state()
        target.close()

    @pytest.mark.parametrize("status", [200, 302])
    def test_a_sign_in_page_answers(self, status: int) -> None:
        """What says yes to everything must not be taken for the service."""

        def handle(listener: Listener, connection: socket.socket) -> None:
            page = b"<html>Welcome</html>"
            head = f"HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nContent-Length: {len(page)}"
            for _ in range(3):
                listener.hear(connection)
                connection.sendall(head.encode() + b"\r\n\r\n" + page)

        with Listener(handle) as server:
            target = open_target(f"http://127.0.0.1:{server.port}/a/vhds/x.vhd?{SAS}")
            with pytest.raises(TargetRefusedError, match=r"not answered by Azure"):
                target.create(512, {}, replace=False)
            target._blob.size = 512  # type: ignore[attr-defined]
            with pytest.raises(TargetRefusedError, match=r"not answered by Azure"):
                target.write(0, DATA, crc64(DATA))
            with pytest.raises((TargetRefusedError, UnavailableError)):
                list(target.page_ranges(0, 512))
            target.close()

    def test_unknown_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        target = open_target(f"https://typo.blob.core.windows.net/vhds/x.vhd?{SAS}")
        with pytest.raises(TargetMissingError, match=r"typo") as failed:
            target.state()
        assert "typo" in failed.value.remedy
        target.close()

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            ("127.0.0.1", True),
            ("127.9.9.9", True),
            ("::1", True),
            ("localhost", True),
            ("a.localhost", True),
            ("10.0.0.1", False),
            ("0.0.0.0", False),
            ("localhost.example", False),
            ("127.0.0.1.example", False),
            ("example", False),
        ],
    )
    def test_what_is_this_machine(self, host: str, expected: bool) -> None:
        assert is_loopback(host) == expected

    @pytest.mark.parametrize("name", ["x-a", "x-a\nInjected"])
    def test_headers_cannot_be_injected(self, name: str) -> None:
        request = HttpRequest("GET", "http://127.0.0.1:1/x", headers={name: "b\r\nInjected: c"})
        with transport() as way, pytest.raises(ValueError, match=r"line break"):
            way.send(request)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:port", "http://127.0.0.1:99999", "http://[:1"])
def test_a_proxy_whose_url_is_none(proxy: str) -> None:
    with pytest.raises(ProxyError, match=r"HTTPS_PROXY is not of the form") as failed:
        parse_proxy(proxy.replace("//", "//user:S3CRET/"), "HTTPS_PROXY")
    assert "S3CRET" not in str(failed.value)
    assert failed.value.__context__ is None or failed.value.__suppress_context__
    with pytest.raises(ProxyError, match=r"HTTPS_PROXY is not of the form"):
        parse_proxy(proxy, "HTTPS_PROXY")


def test_closed_while_a_request_was_out(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes back after closing is closed as well, even between check and keeping."""
    made = ConnectionTransport(2, Timeouts())
    closed: list[object] = []

    class Late(deque[Connection]):
        def append(self, connection: Connection) -> None:
            made.close()
            super().append(connection)

    made._idle = Late()
    close = Connection.close

    def watched(connection: Connection) -> None:
        closed.append(connection)
        close(connection)

    monkeypatch.setattr(Connection, "close", watched)
    made.send(HttpRequest("HEAD", serve().blob_url("disks/none")))
    assert len(closed) == 1
    assert not made._idle

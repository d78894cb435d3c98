"""Answers of others than the service are known as theirs, and say nothing about the blob."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.pageblob_server import Foreign, Match, Operation, Rule, WrongStatus, on
from tests.support.uploads import target_at
from vhdtools.checksums import crc64
from vhdtools.errors import TargetError, TargetRefusedError, UnavailableError
from vhdtools.ranges import PAGE
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.foreign_answers import error_from_foreign_answer, is_from_service
from vhdtools.target.http_connection import Answer
from vhdtools.target.network import Origin, Route
from vhdtools.target.page_target import PageTarget
from vhdtools.target.proxies import Proxy

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

EVERYTHING = Match()
DATA = memoryview(b"\1" * PAGE)
HTML = ("Content-Type", "text/html")
PORTAL = Foreign(
    200, (HTML, ("Server", "mini_httpd/1.30")), b"<html><TITLE>\n Hotel &amp; Spa </title>"
)
FILTER = Foreign(
    403, (HTML, ("Via", "1.1 filter.corp")), b"<title>Blocked \x1b[2J\xe2\x80\xae</title>"
)
REDIRECT = Foreign(
    302, (("Location", "https://login.example/?back=https%3A%2F%2Fx%2F%3Fsig%3DS3CRET"),)
)

PLACE = BlobAddress("https://acct.blob.core.windows.net", "vhds", "disk.vhd")
PROXY = Proxy("HTTPS_PROXY", "proxy.corp", 3128)
THROUGH = Route(Origin("https", PLACE.host, 443), PROXY)


def get_range(target: PageTarget) -> None:
    target.read_into(0, bytearray(PAGE))


CALLS: dict[str, Callable[[PageTarget], object]] = {
    "state": lambda target: target.state(),
    "create": lambda target: target.create(PAGE, {}, replace=False),
    "lease": lambda target: target.acquire_lease("11111111-1111-4111-8111-111111111111"),
    "write": lambda target: target.write(0, DATA, crc64(DATA)),
    "clear": lambda target: target.clear(0, PAGE),
    "ranges": lambda target: list(target.page_ranges(0, PAGE)),
    "read": get_range,
    "metadata": lambda target: target.set_metadata({"a": "b"}),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [PORTAL, FILTER], ids=["portal", "filter"])
def test_no_call_takes_them_for_the_services(serve: Serve, call: str, fault: Foreign) -> None:
    server = serve()
    server.create_blob("disks/x.vhd", PAGE)
    with target_at(server.blob_url("disks/x.vhd")) as target:
        target.state()
        server.inject(Rule(fault, EVERYTHING, times=None))
        with pytest.raises(TargetRefusedError, match=r"not answered by Azure Storage") as failed:
            CALLS[call](target)
    assert failed.value.status == fault.status
    for word in ("az ", "role", "page blob", "delete"):
        assert word not in failed.value.problem + failed.value.remedy


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (PORTAL, "HTTP 200 OK (Server: mini_httpd/1.30; a page titled 'Hotel & Spa')"),
        (
            FILTER,
            (
                "HTTP 403 Forbidden (Server: elsewhere; Via: 1.1 filter.corp; "
                r"a page titled 'Blocked \x1b[2J\u202e')"
            ),
        ),
        (REDIRECT, "HTTP 302 Found (Server: elsewhere; a redirect to https://login.example)"),
        (Foreign(302, (("Location", "/portal"),)), "HTTP 302 Found (Server: elsewhere)"),
        (Foreign(404), "HTTP 404 Not Found (Server: elsewhere)"),
        (Foreign(413, (("Server", "nginx"),)), "HTTP 413 Request Entity Too Large (Server: nginx)"),
        (Foreign(501), "HTTP 501 Not Implemented (Server: elsewhere)"),
        (Foreign(511), "HTTP 511 Network Authentication Required (Server: elsewhere)"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Foreign) else "",
)
def test_who_answered_is_said(serve: Serve, fault: Foreign, seen: str) -> None:
    server = serve(Rule(fault, EVERYTHING, times=None))
    with (
        target_at(server.blob_url("disks/x.vhd")) as target,
        pytest.raises(TargetRefusedError) as failed,
    ):
        target.set_metadata({"a": "b"})
    problem = failed.value.problem
    assert problem == f"the request was not answered by Azure Storage, but with {seen}"
    assert "S3CRET" not in str(failed.value)
    assert failed.value.remedy


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
def test_what_may_pass_is_tried_again(serve: Serve, status: int) -> None:
    busy = Foreign(status, (("Retry-After", "7"), ("Server", "envoy")))
    server = serve(Rule(busy, EVERYTHING, times=None))
    with (
        target_at(server.blob_url("disks/x.vhd")) as target,
        pytest.raises(UnavailableError, match=r"not answered by Azure Storage.*envoy") as failed,
    ):
        target.state()
    assert failed.value.status == status
    assert failed.value.retry_after == 7
    assert failed.value.throttled == (status in (429, 503))


def test_a_write_answered_with_200_is_not_done(serve: Serve) -> None:
    """Put Page has 201 for success alone, and Azure's marks do not make another status one."""
    server = serve(Rule(WrongStatus(200), on(Operation.PUT_PAGE), times=None))
    server.create_blob("disks/x.vhd", PAGE)
    with (
        target_at(server.blob_url("disks/x.vhd")) as target,
        pytest.raises(TargetRefusedError, match=r"did not confirm.*HTTP 200, request") as failed,
    ):
        target.write(0, DATA, crc64(DATA))
    assert failed.value.status == 200
    assert "not answered by Azure" not in str(failed.value)


def test_a_creation_answered_with_200_is_not_done(serve: Serve) -> None:
    server = serve(Rule(WrongStatus(200), on(Operation.PUT_BLOB), times=None))
    with (
        target_at(server.blob_url("disks/x.vhd")) as target,
        pytest.raises(TargetRefusedError, match=r"did not confirm.*HTTP 200, request"),
    ):
        target.create(PAGE, {}, replace=False)


def test_a_foreign_answer_is_no_sign_of_the_service(serve: Serve) -> None:
    """What was never reached is not known to exist: a port without a server is a mistake then."""
    server = serve(Rule(Foreign(503), EVERYTHING, times=None))
    with target_at(server.blob_url("disks/x.vhd")) as target:
        with pytest.raises(UnavailableError):
            target.state()
        server.stop()
        with pytest.raises(TargetError, match=r"refused the connection|closed") as failed:
            target.state()
    assert not isinstance(failed.value, UnavailableError)


@pytest.mark.parametrize("mark", ["x-ms-request-id", "X-MS-Version"])
def test_one_mark_is_enough(mark: str) -> None:
    from azure.core.utils import case_insensitive_dict

    assert is_from_service(case_insensitive_dict({mark: "1"}))
    assert not is_from_service(case_insensitive_dict({"Server": "Azure", "x-ms-other": "1"}))


@pytest.mark.parametrize(
    ("status", "proxied", "words"),
    [
        (200, False, "sign in"),
        (200, True, "Ask whoever runs the proxy"),
        (403, False, "Check the URL"),
        (403, True, f"allow {PLACE.host}, or name {PLACE.host} in NO_PROXY"),
        (413, False, "5 MiB."),
        (413, True, "NO_PROXY"),
        (504, True, "whether it reaches"),
        (511, True, "open a web page in a browser"),
    ],
)
def test_remedies_fit_the_route(status: int, proxied: bool, words: str) -> None:
    answer = Answer(status, "", [], b"")
    error = error_from_foreign_answer(PLACE, answer, THROUGH if proxied else None)
    assert words in error.remedy
    assert ("through the proxy proxy.corp:3128 (from HTTPS_PROXY)" in error.problem) == proxied


def test_long_titles_are_cut() -> None:
    page = b"<title lang=en>" + b"x" * 500 + b"</title>"
    error = error_from_foreign_answer(PLACE, Answer(403, "No", [], page), None)
    assert "x" * 99 + "\u2026" in error.problem
    assert "x" * 100 not in error.problem

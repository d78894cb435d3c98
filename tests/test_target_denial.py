"""Access denied: what the SAS and the service's clock tell of the reason; nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from tests.pageblob_server import (
    SAS,
    ManagedDisk,
    Operation,
    PageBlobServer,
    Refuse,
    Rule,
    on,
)
from tests.pageblob_server.errors import NOT_AUTHORIZED, ServiceError
from tests.support.azurite import Azurite
from vhdtools.checksums import crc64
from vhdtools.errors import AccessError
from vhdtools.target.blob_address import BlobAddress
from vhdtools.target.denial import Attempt, Reason, clock_difference, sas_fields, why_denied
from vhdtools.target.destination import open_target
from vhdtools.target.page_target import PageTarget
from vhdtools.target.service_errors import ServiceAnswer, error_from_answer

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

URL = "https://acct.blob.core.windows.net/vhds/disk.vhd"
NOW = datetime(2024, 5, 17, 12, 0, tzinfo=timezone.utc)
GOOD = "sv=2022-11-02&sr=b&sp=racw&st=2024-05-17T11:00Z&se=2024-05-18&sig=S3CRET"


def reason(
    sas: str | None,
    code: str = "",
    *,
    method: str = "HEAD",
    url: str = URL,
    date: datetime | None = NOW,
    now: datetime = NOW,
    signed: bool = False,
    detail: str = "no",
) -> Reason | None:
    fields = None if sas is None else sas_fields(sas)
    return why_denied(Attempt(method, url, now, fields, signed), code, detail, date)


class TestTheSasItself:
    @pytest.mark.parametrize("code", ["", "AuthenticationFailed", "AuthorizationFailure"])
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (
                ("2024-05-18", "2024-05-17T08:48:00Z"),
                "expired at 2024-05-17 08:48:00 UTC, 3 h 12 min ago",
            ),
            (("2024-05-18", "2024-05-15"), "expired at 2024-05-15 00:00:00 UTC, 2 d 12 h ago"),
            (("2024-05-18", "2024-05-17T12:00Z"), "0 s ago"),
            (
                ("st=2024-05-17T11:00Z", "st=2024-05-17T13:00:30Z"),
                "not valid before 2024-05-17 13:00:30 UTC, which is in 1 h",
            ),
        ],
    )
    def test_times(self, change: tuple[str, str], problem: str, code: str) -> None:
        found = reason(GOOD.replace(*change), code)
        assert found is not None
        assert problem in found.problem
        assert "az storage blob generate-sas" in found.remedy

    def test_its_times_are_the_services(self) -> None:
        """A SAS that a machine whose clock is ahead made from now on is not valid yet."""
        ahead = NOW + timedelta(hours=1, minutes=3)
        found = reason(GOOD.replace("2024-05-17T11:00Z", "2024-05-17T13:03:00Z"), now=ahead)
        assert found is not None
        assert "this machine's clock is 1 h 3 min ahead of the service's" in found.problem
        assert "clock" in found.remedy
        behind = reason(GOOD, now=NOW - timedelta(days=9))
        assert behind is None
        expired = reason(GOOD, date=NOW + timedelta(days=1), now=NOW)
        assert expired is not None
        assert "clock is 1 d behind the service's" in expired.problem
        # Where the service told no time, this machine's has to do.
        assert reason(GOOD, date=None, now=NOW) is None
        assert reason(GOOD, date=None, now=NOW + timedelta(days=1)) is not None

    @pytest.mark.parametrize(
        ("method", "query", "permissions", "problem"),
        [
            ("HEAD", "", "cw", "reading the blob's properties: it has the permissions cw, and r"),
            ("GET", "?comp=pagelist", "cw", "listing page ranges"),
            ("GET", "", "cw", "reading the blob"),
            ("PUT", "", "r", "creating the blob: it has the permissions r, and c or w is needed"),
            ("PUT", "?comp=page", "rc", "writing pages"),
            ("PUT", "?comp=metadata", "rc", "writing metadata"),
            ("PUT", "?comp=properties", "rc", "writing properties"),
            ("PUT", "?comp=lease", "rc", "leasing the blob"),
        ],
    )
    def test_permissions(self, method: str, query: str, permissions: str, problem: str) -> None:
        sas = GOOD.replace("sp=racw", f"sp={permissions}")
        for code in ("", "AuthorizationPermissionMismatch", "AuthorizationFailure"):
            found = reason(sas, code, method=method, url=URL + query)
            assert found is not None
            assert problem in found.problem
        # A wrong signature is refused before permissions are looked at.
        assert reason(sas, "AuthenticationFailed", method=method, url=URL + query) is None

    @pytest.mark.parametrize(
        ("more", "problem"),
        [
            ("&ss=qt&srt=sco", "not for blobs (ss=qt"),
            ("&ss=b&srt=sc", "does not cover blobs themselves (srt=sc"),
            ("&sip=10.0.0.0-10.0.0.9", "from 10.0.0.0-10.0.0.9 only"),
            ("&si=weekly", "stored access policy 'weekly'"),
        ],
    )
    def test_other_limits(self, more: str, problem: str) -> None:
        found = reason(GOOD + more)
        assert found is not None
        assert problem in found.problem
        assert found.remedy

    def test_of_another_service(self) -> None:
        found = reason(GOOD.replace("sr=b", "sr=s"))
        assert found is not None
        assert "Azure Files" in found.problem

    def test_https_only(self) -> None:
        found = reason(GOOD + "&spr=https", url="http://127.0.0.1/acct/vhds/disk.vhd")
        assert found == Reason("the SAS allows https only", "Use the https URL.")
        assert reason(GOOD + "&spr=https") is None
        assert reason(GOOD + "&spr=https,http", url="http://127.0.0.1/a/b/c") is None

    def test_this_machines_address(self) -> None:
        found = reason(GOOD + "&sip=10.0.0.1", "AuthorizationSourceIPMismatch", detail="20.1.2.3")
        assert found is not None
        assert "10.0.0.1 only" in found.problem
        assert "20.1.2.3" in found.problem

    def test_the_network_if_the_sas_is_in_order(self) -> None:
        found = reason(GOOD, "AuthorizationFailure")
        assert found is not None
        assert "permissions racw, valid until 2024-05-18 00:00:00 UTC" in found.problem
        assert "publicNetworkAccess" in found.remedy
        assert "networkRuleSet" in found.remedy

    def test_what_says_its_reason_needs_no_evidence(self) -> None:
        expired = GOOD.replace("2024-05-18", "2024-05-01")
        for code in ("KeyBasedAuthenticationNotPermitted", "AccountIsDisabled"):
            assert reason(expired, code) is None

    def test_in_order(self) -> None:
        assert reason(GOOD) is None
        assert reason("sig=S3CRET&se=soon&st=") is None

    @pytest.mark.parametrize("code", ["", "AuthorizationFailure", "AuthenticationFailed"])
    def test_the_signature_is_never_told(self, code: str) -> None:
        place = BlobAddress("https://acct.blob.core.windows.net", "vhds", "disk.vhd")
        for sas in (GOOD, GOOD.replace("2024-05-18", "2024-05-01"), GOOD + "&si=x"):
            attempt = Attempt("HEAD", f"{URL}?{sas}", NOW, sas_fields(sas))
            error = error_from_answer(place, ServiceAnswer(403, code, date=NOW), None, attempt)
            assert "S3CRET" not in f"{error} {error!r} {attempt.sas!r}"


class TestTheClock:
    @pytest.mark.parametrize("code", ["", "AuthenticationFailed"])
    def test_of_a_key_or_token(self, code: str) -> None:
        found = reason(None, code, signed=True, now=NOW - timedelta(hours=1, seconds=5))
        assert found is not None
        assert "1 h behind the service's" in found.problem
        assert "clock" in found.remedy

    def test_that_is_right_enough(self) -> None:
        assert reason(None, signed=True, now=NOW + timedelta(minutes=15)) is None
        assert reason(None, signed=True, now=NOW + timedelta(minutes=16)) is not None
        assert reason(None, signed=True, now=NOW + timedelta(days=1), date=None) is None
        assert reason(None, now=NOW + timedelta(days=1)) is None
        code = "AuthorizationPermissionMismatch"
        assert reason(None, code, signed=True, now=NOW + timedelta(days=1)) is None

    def test_how_it_is_said(self) -> None:
        for seconds, text in ((61, "1 min 1 s"), (3600, "1 h"), (90_000, "1 d 1 h"), (0, "0 s")):
            assert clock_difference(NOW - timedelta(seconds=seconds), NOW) == f"{text} behind"


@contextmanager
def opened(server: PageBlobServer, sas: str) -> Iterator[PageTarget]:
    if not server.blob("disks/disk.vhd").exists:
        server.create_blob("disks/disk.vhd", 1 << 20)
    with closing(open_target(server.blob_url("disks/disk.vhd", sas))) as target:
        yield target


def refused(call: Callable[[], object]) -> AccessError:
    with pytest.raises(AccessError) as failed:
        call()
    assert "sig=" not in str(failed.value).replace("sig=REDACTED", "")
    return failed.value


class TestAtTheFirstRequest:
    """A HEAD, whose refusal has no body, and of some services no code either."""

    @pytest.fixture(params=[True, False], ids=["code", "no code"])
    def server(self, serve: Serve, request: pytest.FixtureRequest) -> PageBlobServer:
        return serve(head_error_codes=request.param)

    def test_expired(self, server: PageBlobServer) -> None:
        with opened(server, SAS.replace("2999-01-01T00%3A00%3A00Z", "2024-01-01")) as target:
            error = refused(target.state)
        assert "the SAS expired at 2024-01-01 00:00:00 UTC" in error.problem
        assert "generate-sas" in error.remedy
        assert error.status == 403

    def test_not_valid_yet(self, server: PageBlobServer) -> None:
        with opened(server, SAS + "&st=2998-01-01") as target:
            error = refused(target.state)
        assert "not valid before 2998-01-01" in error.problem

    def test_this_machines_clock_is_ahead(self, server: PageBlobServer) -> None:
        server.pass_time(-3600)
        start = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        with opened(server, f"{SAS}&st={start}") as target:
            error = refused(target.state)
        assert "this machine's clock is" in error.problem
        assert "ahead of the service's" in error.problem

    def test_a_permission_is_missing(self, server: PageBlobServer) -> None:
        with opened(server, SAS.replace("sp=racwdl", "sp=cw")) as target:
            error = refused(target.state)
        assert "it has the permissions cw, and r is needed" in error.problem

    def test_a_wrong_signature(self, serve: Serve, server: PageBlobServer) -> None:
        """The reason is in the body alone: it is fetched by one more request."""
        server.set_sas(SAS)
        with opened(server, SAS.replace("c2lnbmF0dXJl", "b3RoZXI")) as target:
            error = refused(target.state)
        assert "the signature is wrong" in error.problem
        assert [made.operation for made in server.requests] == [
            Operation.GET_PROPERTIES,
            Operation.GET_PAGE_RANGES,
        ]

    def test_the_network(self, server: PageBlobServer) -> None:
        server.inject(Rule(Refuse(NOT_AUTHORIZED), on(), times=None))
        with opened(server, SAS) as target:
            error = refused(target.state)
        assert "although the SAS does" in error.problem
        assert "publicNetworkAccess" in error.remedy

    def test_the_account_is_disabled(self, server: PageBlobServer) -> None:
        disabled = ServiceError(403, "AccountIsDisabled", "The specified account is disabled.")
        server.inject(Rule(Refuse(disabled), on(), times=None))
        with opened(server, SAS) as target:
            error = refused(target.state)
        assert error.problem.startswith("the storage account is disabled")

    def test_under_way(self, server: PageBlobServer) -> None:
        with opened(server, SAS.replace("2999-01-01T00%3A00%3A00Z", "2999-01-01")) as target:
            target.state()
            server.pass_time(1000 * 366 * 86400)
            error = refused(lambda: target.write(0, memoryview(bytes(512)), crc64(bytes(512))))
        assert "the SAS expired at 2999-01-01" in error.problem

    def test_what_a_managed_disk_must_not_be_sent_is_not(self, serve: Serve) -> None:
        server = serve(managed_disks=(ManagedDisk("upload/abcd", 1 << 20),), sas=SAS)
        url = server.blob_url("upload/abcd", SAS.replace("c2lnbmF0dXJl", "b3RoZXI"))
        with closing(open_target(url, managed_disk=True)) as target:
            refused(target.state)
        assert server.violations == ()

    def test_the_reason_that_cannot_be_had(self, server: PageBlobServer) -> None:
        """The second request may fail or succeed: what the first one met stands."""
        refusal = Refuse(ServiceError(403, "AuthenticationFailed", "No."))
        server.inject(Rule(refusal, on(Operation.GET_PROPERTIES), times=None))
        with opened(server, SAS) as target:
            error = refused(target.state)
        assert error.status == 403


def test_azurite_says_an_expired_sas_is_not_authorized(
    azurite: Azurite, container: ContainerClient
) -> None:
    sas = azurite.sas(container.container_name, "x.vhd", valid_for=timedelta(hours=-2))
    url = azurite.blob_url(container.container_name, "x.vhd")
    with closing(open_target(f"{url}?{sas}")) as target:
        error = refused(target.state)
    assert "the SAS expired at" in error.problem
    assert "2 h" in error.problem
    assert 'connection-string "$AZURE_STORAGE_CONNECTION_STRING"' in error.remedy

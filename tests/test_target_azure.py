"""The Azure target against the strict service: faults, paging, access that expires."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline import Pipeline
from azure.storage.blob import BlobClient, BlobLeaseClient

from tests.pageblob_server import (
    ACCOUNT_KEY,
    SAS,
    CutBody,
    CutHeaders,
    FlipReply,
    FlipRequest,
    Match,
    Moment,
    NoChecksum,
    Operation,
    PageBlobServer,
    Refuse,
    Reset,
    Rule,
    Stall,
    WrongChecksum,
    bad_request,
    internal_error,
    on,
    operation_timed_out,
    request_timeout,
    server_busy,
    too_many_requests,
)
from tests.pageblob_server.clients import client
from tests.pageblob_server.errors import ServiceError
from vhdtools.checksums import crc64
from vhdtools.errors import (
    AccessError,
    ChecksumError,
    TargetBusyError,
    TargetError,
    TargetRefusedError,
    UnavailableError,
)
from vhdtools.ranges import PAGE, PageRange
from vhdtools.target.destination import open_target
from vhdtools.target.http_connection import Timeouts
from vhdtools.target.page_target import MAX_WRITE, PageTarget

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

MIB = 1024 * 1024
SIZE = 16 * MIB
DATA = memoryview(random.Random(0).randbytes(MAX_WRITE))
READS = on(Operation.GET_BLOB)
LISTS = on(Operation.GET_PAGE_RANGES)
QUICK = Timeouts(connect=5, stall=0.3, slowest=1 << 40)
OTHER_SAS = SAS.replace("c2lnbmF0dXJl", "b3RoZXI")

Open = Callable[..., PageTarget]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens targets on the blob disks/disk.vhd of a server, made with SIZE bytes of zeros."""
    targets: list[PageTarget] = []

    def open_on(server: PageBlobServer, sas: str | None = SAS, **options: Any) -> PageTarget:
        if not server.blob("disks/disk.vhd").exists:
            server.create_blob("disks/disk.vhd", SIZE)
        target = open_target(server.blob_url("disks/disk.vhd", sas), **options)
        targets.append(target)
        return target

    yield open_on
    for target in targets:
        target.close()


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[PageBlobServer], None]:
    """Makes a server's certificate trusted."""

    def trust(server: PageBlobServer) -> None:
        assert server.ca_pem is not None
        bundle = tmp_path / "ca.pem"
        bundle.write_bytes(server.ca_pem)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))

    return trust


def write(target: PageTarget, offset: int = 0, length: int = PAGE) -> bool:
    return target.write(offset, DATA[:length], crc64(DATA[:length]))


def read(target: PageTarget, offset: int = 0, length: int = PAGE) -> bytes:
    buffer = bytearray(length)
    target.read_into(offset, buffer)
    return bytes(buffer)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "kind", "throttled", "retry_after"),
        [
            (server_busy(), UnavailableError, True, None),
            (server_busy(7), UnavailableError, True, 7.0),
            (too_many_requests(3), UnavailableError, True, 3.0),
            (operation_timed_out(), UnavailableError, True, None),
            (internal_error(), UnavailableError, False, None),
            (internal_error(Moment.AFTER_EFFECT), UnavailableError, False, None),
            (request_timeout(), UnavailableError, False, None),
            (Reset(Moment.BEFORE_BODY), UnavailableError, False, None),
            (Reset(Moment.BEFORE_BODY, 100_000), UnavailableError, False, None),
            (Reset(Moment.BEFORE_EFFECT), UnavailableError, False, None),
            (Reset(Moment.AFTER_EFFECT), UnavailableError, False, None),
            (CutHeaders(), UnavailableError, False, None),
            (CutHeaders(0), UnavailableError, False, None),
            (Stall(None), UnavailableError, False, None),
            (Stall(None, Moment.BEFORE_BODY), UnavailableError, False, None),
            (FlipRequest(), ChecksumError, None, None),
            (WrongChecksum(), ChecksumError, None, None),
            (bad_request(), TargetRefusedError, None, None),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("length", [PAGE, MAX_WRITE])
    def test_of_a_write(
        self,
        page_blob_server: PageBlobServer,
        opened: Open,
        fault: Any,
        kind: type[TargetError],
        throttled: bool | None,
        retry_after: float | None,
        length: int,
    ) -> None:
        target = opened(page_blob_server, timeouts=QUICK)
        page_blob_server.inject(Rule(fault))
        with pytest.raises(kind) as failed:
            write(target, MIB, length)
        error = failed.value
        assert type(error) is kind
        assert error.offset == MIB
        assert error.subject == target.name
        if isinstance(error, UnavailableError):
            assert (error.throttled, error.retry_after) == (throttled, retry_after)
        page_blob_server.release()
        # One attempt, and the next one is not harmed by what this one left behind.
        writes = [made for made in page_blob_server.requests if made.operation == "put-page"]
        assert len(writes) <= 1
        assert write(target, MIB, length) is True

    def test_unconfirmed_write(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        target = opened(page_blob_server)
        page_blob_server.inject(Rule(NoChecksum()))
        assert write(target) is False
        assert write(target) is True

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (CutBody(100), UnavailableError),
            (CutBody(0), UnavailableError),
            (CutHeaders(), UnavailableError),
            (Reset(Moment.BEFORE_EFFECT), UnavailableError),
            (Stall(None), UnavailableError),
            (server_busy(), UnavailableError),
            (FlipReply(1000), ChecksumError),
        ],
        ids=str,
    )
    def test_of_a_read(
        self,
        page_blob_server: PageBlobServer,
        opened: Open,
        fault: Any,
        kind: type[TargetError],
    ) -> None:
        target = opened(page_blob_server, timeouts=QUICK)
        write(target, 0, MIB)
        page_blob_server.inject(Rule(fault, READS))
        with pytest.raises(kind) as failed:
            read(target, 0, MIB)
        assert type(failed.value) is kind
        page_blob_server.release()
        assert read(target, 0, MIB) == DATA[:MIB]

    @pytest.mark.parametrize(
        ("refusal", "kind"),
        [
            (ServiceError(403, "AuthorizationFailure", "No."), AccessError),
            (ServiceError(413, "RequestBodyTooLarge", "Too much."), TargetRefusedError),
            (ServiceError(503, "ServerBusy", "Busy."), UnavailableError),
        ],
    )
    def test_refused_before_the_body_was_read(
        self,
        page_blob_server: PageBlobServer,
        opened: Open,
        refusal: ServiceError,
        kind: type[TargetError],
    ) -> None:
        """The answer counts, not that the connection closed on what was still being sent."""
        target = opened(page_blob_server)
        page_blob_server.inject(Rule(Refuse(refusal, Moment.BEFORE_BODY)))
        with pytest.raises(kind) as failed:
            write(target, 0, MAX_WRITE)
        assert (failed.value.status, failed.value.code) == (refusal.status, refusal.code)

    def test_every_call_is_made_once(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        target = opened(page_blob_server)
        target.state()
        lease_id = "11111111-2222-4333-8444-555555555555"
        calls: list[Callable[[], object]] = [
            target.state,
            lambda: target.create(SIZE, {}, replace=True),
            lambda: target.acquire_lease(lease_id),
            lambda: write(target),
            lambda: target.clear(0, PAGE),
            lambda: list(target.page_ranges(0, SIZE)),
            lambda: read(target),
            lambda: target.set_metadata({"a": "b"}),
            lambda: target.set_content_md5(bytes(16)),
            target.renew_lease,
            target.release_lease,
        ]
        for call in calls:
            page_blob_server.inject(Rule(server_busy(), Match()))
            before = len(page_blob_server.requests)
            with pytest.raises(UnavailableError):
                call()
            assert len(page_blob_server.requests) == before + 1
            call()

    def test_release_that_failed_is_made_again(
        self, page_blob_server: PageBlobServer, opened: Open
    ) -> None:
        target = opened(page_blob_server)
        target.acquire_lease("11111111-2222-4333-8444-555555555555")
        page_blob_server.inject(Rule(server_busy(), on(Operation.RELEASE_LEASE)))
        with pytest.raises(UnavailableError):
            target.release_lease()
        target.release_lease()
        assert page_blob_server.blob("disks/disk.vhd").lease_state == "available"

    def test_lease_that_ran_out_is_had_again(
        self, page_blob_server: PageBlobServer, opened: Open
    ) -> None:
        target = opened(page_blob_server)
        old = "11111111-2222-4333-8444-555555555555"
        target.acquire_lease(old)
        page_blob_server.pass_time(100)
        heir = opened(page_blob_server)
        heir.acquire_lease("99999999-2222-4333-8444-555555555555", previous=old)
        write(heir)


class TestLeases:
    OURS = "11111111-2222-4333-8444-555555555555"

    def test_without_an_end(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        """A virtual machine's disk: nobody is told to break the lease, or to wait for its end."""
        target = opened(page_blob_server)
        with client(page_blob_server) as blob:
            blob.acquire_lease(lease_duration=-1)
        found = target.state()
        assert found is not None
        assert found.leased
        assert found.leased_forever
        for previous in (None, "99999999-2222-4333-8444-555555555555"):
            with pytest.raises(TargetBusyError, match="lease without an end") as failed:
                target.acquire_lease(self.OURS, previous)
            assert "Leave the lease alone" in failed.value.remedy
            assert "az vm list" in failed.value.remedy
            assert failed.value.code == "LeaseAlreadyPresent"

    def test_with_an_end(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        target = opened(page_blob_server)
        with client(page_blob_server) as blob:
            blob.acquire_lease(lease_duration=60)
        found = target.state()
        assert found is not None
        assert found.leased
        assert not found.leased_forever
        with pytest.raises(TargetBusyError, match="another program holds a lease") as failed:
            target.acquire_lease(self.OURS)
        assert "within a minute" in failed.value.remedy

    def test_broken_by_somebody(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        """That is no other writer."""
        target = opened(page_blob_server)
        target.acquire_lease(self.OURS)
        with client(page_blob_server) as blob:
            BlobLeaseClient(blob).break_lease(0)
        for call in (lambda: write(target), target.renew_lease):
            with pytest.raises(TargetBusyError, match=r"was broken or|broke it") as failed:
                call()
            assert "another writer" not in str(failed.value)


class TestPageRanges:
    def test_paged(self, serve: Serve, opened: Open) -> None:
        server = serve(page_ranges_per_answer=2)
        offsets = [0, 2, 4, 5, 9, 12, 31]
        server.create_blob("disks/disk.vhd", SIZE, *((at * PAGE, b"x" * PAGE) for at in offsets))
        target = opened(server)
        target.state()
        ranges = target.page_ranges(0, SIZE)
        assert next(ranges) == PageRange(0, PAGE)
        first = len(server.requests)
        assert list(ranges) == [
            PageRange(at * PAGE, count * PAGE)
            for at, count in ((2, 1), (4, 2), (9, 1), (12, 1), (31, 1))
        ]
        assert first == 2  # asked for as they are wanted
        assert len(server.requests) == 4

    def test_fragmented(self, serve: Serve, opened: Open) -> None:
        """What cannot be listed in time is listed in parts."""
        server = serve(page_ranges_timeout=3000)
        pages = [(at * PAGE, b"x" * PAGE) for at in range(0, SIZE // PAGE, 4)]
        server.create_blob("disks/disk.vhd", SIZE, *pages)
        target = opened(server)
        expected = [PageRange(offset, PAGE) for offset, _ in pages]
        assert list(target.page_ranges(0, SIZE)) == expected
        asked = [made for made in server.requests if made.operation == "get-page-ranges"]
        assert [made.status for made in asked] == [500, 500, 200, 200, 200, 200]
        # What was learned is kept.
        before = len(server.requests)
        assert list(target.page_ranges(0, SIZE)) == expected
        assert all(made.status == 200 for made in server.requests[before:])

    def test_fragmented_beyond_help(self, serve: Serve, opened: Open) -> None:
        server = serve(page_ranges_timeout=3)
        pages = [(at * PAGE, b"x" * PAGE) for at in range(0, 64, 4)]
        server.create_blob("disks/disk.vhd", SIZE, *pages)
        with pytest.raises(UnavailableError) as failed:
            list(opened(server).page_ranges(0, SIZE))
        assert failed.value.throttled

    def test_too_slow(self, serve: Serve, opened: Open) -> None:
        """An answer that does not come in time is asked for in parts the next time."""
        server = serve()
        target = opened(server, timeouts=QUICK)
        target.state()
        server.inject(Rule(Stall(None), LISTS))
        with pytest.raises(UnavailableError, match=r"stalled"):
            list(target.page_ranges(0, SIZE))
        server.release()
        before = len(server.requests)
        assert list(target.page_ranges(0, SIZE)) == []
        asked = [made.length for made in server.requests[before:] if made.status == 200]
        assert asked == [SIZE // 2, SIZE // 2]

    def test_goes_on_where_a_part_failed(self, serve: Serve, opened: Open) -> None:
        server = serve(page_ranges_per_answer=2)
        pages = [(at * 8 * PAGE, b"x" * PAGE) for at in range(10)]
        server.create_blob("disks/disk.vhd", SIZE, *pages)
        target = opened(server)
        server.inject(Rule(operation_timed_out(), LISTS, skip=2))
        assert list(target.page_ranges(0, SIZE)) == [PageRange(offset, PAGE) for offset, _ in pages]


class TestReading:
    def test_one_request_each(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        """The SDK's own download would list the whole blob's page ranges after every one."""
        target = opened(page_blob_server)
        write(target, 0, MAX_WRITE)
        before = len(page_blob_server.requests)
        assert read(target, 0, MAX_WRITE) == DATA
        assert [made.operation for made in page_blob_server.requests[before:]] == ["get-blob"]

    def test_more_than_the_service_checks(
        self, page_blob_server: PageBlobServer, opened: Open
    ) -> None:
        target = opened(page_blob_server)
        write(target, MIB, MAX_WRITE)
        assert read(target, 0, 2 * MAX_WRITE) == bytes(MIB) + DATA + bytes(MAX_WRITE - MIB)

    def test_shrunk_blob(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        target = opened(page_blob_server)
        target.state()
        page_blob_server.create_blob("disks/disk.vhd", MIB)
        with pytest.raises(UnavailableError, match=r"1048576 bytes, and 2097152 were asked"):
            read(target, 0, 2 * MIB)
        with pytest.raises(TargetRefusedError) as refused:
            read(target, 2 * MIB, PAGE)
        assert refused.value.status == 416


class Tokens:
    """A token credential that counts, and gives what it is told to."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.extend(scopes)
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        return AccessToken(token, 4_000_000_000)


class TestAccess:
    @pytest.mark.parametrize(
        "credential",
        [
            SAS,
            f"?{SAS}",
            AzureSasCredential(SAS),
            ACCOUNT_KEY,
            AzureNamedKeyCredential("devstoreaccount1", ACCOUNT_KEY),
        ],
        ids=["SAS", "?SAS", "AzureSasCredential", "key", "AzureNamedKeyCredential"],
    )
    def test_kinds(self, page_blob_server: PageBlobServer, opened: Open, credential: Any) -> None:
        assert write(opened(page_blob_server, None, credential=credential)) is True

    def test_none(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        with pytest.raises(AccessError, match=r"needs credentials") as failed:
            write(opened(page_blob_server, None))
        assert failed.value.status == 401

    def test_expired_sas_says_so(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        target = opened(page_blob_server)
        write(target)
        page_blob_server.expire_sas()
        with pytest.raises(AccessError, match=r"the SAS has expired") as failed:
            write(target)
        assert failed.value.remedy
        assert target.refresh_access() is False

    def test_fresh_sas_is_asked_for_once(
        self, page_blob_server: PageBlobServer, opened: Open
    ) -> None:
        asked: list[int] = []

        def refresh() -> str:
            asked.append(1)
            page_blob_server.set_sas(OTHER_SAS)
            return OTHER_SAS

        target = opened(page_blob_server, refresh=refresh)
        write(target)
        page_blob_server.expire_sas()
        refused = threading.Barrier(8)

        def work(number: int) -> bool:
            with pytest.raises(AccessError):
                write(target, number * PAGE)
            refused.wait()
            assert target.refresh_access() is True
            return write(target, number * PAGE)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [True] * 8
        assert len(asked) == 1

    def test_the_same_again_is_not_fresh(
        self, page_blob_server: PageBlobServer, opened: Open
    ) -> None:
        target = opened(page_blob_server, refresh=lambda: SAS)
        assert target.refresh_access() is False
        target = opened(page_blob_server, refresh=lambda: None)
        assert target.refresh_access() is False

    def test_expired_again_is_refreshed_again(
        self, page_blob_server: PageBlobServer, opened: Open
    ) -> None:
        fresh = iter([OTHER_SAS, SAS])
        target = opened(page_blob_server, refresh=lambda: next(fresh))
        assert target.refresh_access() is True
        # Asked twice without a request in between, as by somebody who watches the workers.
        assert target.refresh_access() is True
        with pytest.raises(StopIteration):
            target.refresh_access()

    def test_lease_outlives_a_refresh(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        target = opened(page_blob_server, refresh=lambda: OTHER_SAS)
        target.acquire_lease("11111111-2222-4333-8444-555555555555")
        assert target.refresh_access() is True
        write(target)
        target.renew_lease()

    def test_tokens(self, serve: Serve, opened: Open, trusted: Callable[[Any], None]) -> None:
        server = serve(tls=True, token="good")
        trusted(server)
        tokens = Tokens("good")
        target = opened(server, None, credential=tokens)
        assert write(target) is True
        assert tokens.scopes == ["https://storage.azure.com/.default"]

    def test_token_that_expires(
        self, serve: Serve, opened: Open, trusted: Callable[[Any], None]
    ) -> None:
        server = serve(tls=True, token="old")
        trusted(server)
        target = opened(server, None, credential=Tokens("old", "new"))
        assert write(target) is True
        server.set_token("new")
        assert write(target) is True

    @pytest.mark.parametrize("error", [ValueError("broken"), RuntimeError("sig=secret")])
    def test_token_source_that_fails(
        self,
        serve: Serve,
        opened: Open,
        trusted: Callable[[Any], None],
        error: Exception,
    ) -> None:
        server = serve(tls=True)
        trusted(server)
        tokens = Tokens("x")
        tokens.get_token = lambda *_, **__: (_ for _ in ()).throw(error)  # type: ignore[method-assign]
        with pytest.raises(AccessError, match=type(error).__name__) as failed:
            write(opened(server, None, credential=tokens))
        assert "secret" not in str(failed.value)


class TestConnections:
    def test_kept_alive(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        target = opened(page_blob_server)
        for number in range(20):
            write(target, number * PAGE)
        list(target.page_ranges(0, SIZE))
        target.state()
        assert page_blob_server.stats().connections == 1

    def test_as_many_as_workers(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        target = opened(page_blob_server, workers=4)
        for _ in range(5):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda number: write(target, number * PAGE), range(40)))
        assert page_blob_server.stats().connections <= 4

    def test_closed_while_idle(self, page_blob_server: PageBlobServer, opened: Open) -> None:
        """A connection that the service dropped in a pause is not taken for a failure."""
        target = opened(page_blob_server)
        write(target)
        page_blob_server.stop()
        again = PageBlobServer(
            type(page_blob_server.options)(port=page_blob_server.port),
        )
        with again:
            again.create_blob("disks/disk.vhd", SIZE)
            assert write(target) is True


class TestPrivateNamesOfTheSdk:
    """The two that are used; a release without them must be noticed here."""

    def test_the_client_signs(self) -> None:
        client = BlobClient(
            "https://a.blob.core.windows.net", "c", "b", credential=AzureSasCredential("sig=x")
        )
        assert client._credential_policy is not None
        anonymous = BlobClient("https://a.blob.core.windows.net", "c", "b")
        assert anonymous._credential_policy is None

    def test_the_client_takes_a_pipeline(self) -> None:
        class MarkerError(Exception):
            pass

        class Stop(Pipeline[Any, Any]):
            def run(self, request: Any, **kwargs: Any) -> Any:
                raise MarkerError

        client = BlobClient(
            "https://a.blob.core.windows.net",
            "c",
            "b",
            _pipeline=Stop(cast(Any, None), policies=[]),
        )
        with pytest.raises(MarkerError):
            client.get_blob_properties()

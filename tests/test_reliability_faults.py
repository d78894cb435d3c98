"""Uploads to a service that fails in every way it can, one fault at a time, over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from tests.pageblob_server import (
    BlobLimits,
    CutBody,
    CutHeaders,
    Fault,
    FlipReply,
    FlipRequest,
    Moment,
    NoChecksum,
    Operation,
    PageBlobServer,
    Record,
    Refuse,
    Reset,
    Rule,
    ServerOptions,
    Stall,
    WrongChecksum,
    internal_error,
    on,
    operation_timed_out,
    request_timeout,
    server_busy,
    too_many_requests,
)
from tests.pageblob_server.errors import ServiceError
from tests.support.build_vhd import place
from tests.support.uploads import QUICK, Stages, dynamic, expected_blob, fixed, send, target_at
from vhdtools.errors import (
    AccessError,
    TargetBusyError,
    TargetError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
    UnavailableError,
    VerificationError,
)
from vhdtools.image import open as open_image
from vhdtools.target.destination import open_target
from vhdtools.target.http_connection import Timeouts
from vhdtools.transfer.job import UploadOptions
from vhdtools.transfer.result import UploadResult
from vhdtools.transfer.retry import RetryPolicy
from vhdtools.transfer.upload import upload_image
from vhdtools.transfer.verify import verify_image

pytest_plugins = ["tests.pageblob_server.fixtures"]

NAME = "disks/disk.vhd"
HASTY = Timeouts(connect=5.0, stall=0.3, slowest=10_000_000)

WORD = (("A" * 16).ljust(700, "-") * 12).ljust(5 * 2048, "-")
"""Twelve runs of 8 KiB, too far apart for one request, in 5 MiB."""
REQUESTS = 13


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return place(tmp_path_factory.mktemp("disks") / "disk.vhd", dynamic(WORD))


@pytest.fixture(scope="module")
def expected(disk: Path) -> bytes:
    return expected_blob(disk)


@pytest.fixture(scope="module")
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer(ServerOptions()) as running:
        running.create_container("disks")
        yield running


@pytest.fixture
def name(server: PageBlobServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A blob for this test alone; no thread of ours outlives the test."""
    yield f"disks/{abs(hash(request.node.nodeid))}.vhd"
    server.clear_faults()
    server.release()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("vhdtools")]


def options(**changes: Any) -> UploadOptions:
    return UploadOptions(**{"retry": QUICK, "workers": 4, **changes})


def upload(
    disk: Path, server: PageBlobServer, name: str, timeouts: Timeouts = HASTY, **changes: Any
) -> UploadResult:
    progress = Stages()
    result = send(
        disk, server.blob_url(name), options(progress=progress, **changes), timeouts=timeouts
    )
    progress.assert_complete()
    return result


def content(server: PageBlobServer, name: str) -> bytes:
    blob = server.blob(name)
    return blob.read(0, blob.size)


BEFORE, EFFECT, AFTER = Moment.BEFORE_BODY, Moment.BEFORE_EFFECT, Moment.AFTER_EFFECT

FAULTS: dict[str, Fault] = {
    "503": server_busy(),
    "429": too_many_requests(),
    "500 timed out": operation_timed_out(),
    "500 timed out, yet done": operation_timed_out(AFTER),
    "500": internal_error(),
    "500, yet done": internal_error(AFTER),
    "502 of a gateway": Refuse(ServiceError(502, "", "Bad Gateway")),
    "408": request_timeout(),
    "reset before the body": Reset(BEFORE),
    "reset before the effect": Reset(EFFECT),
    "reset after the effect": Reset(AFTER),
    "stall before the body": Stall(None, BEFORE),
    "stall before the effect": Stall(None, EFFECT),
    "stall after the effect": Stall(None, AFTER),
    "no answer but the status": CutHeaders(5),
    "headers cut": CutHeaders(60),
    "closed without a word": CutHeaders(0),
}
OPERATIONS = [
    Operation.GET_PROPERTIES,
    Operation.PUT_BLOB,
    Operation.ACQUIRE_LEASE,
    Operation.PUT_PAGE,
    Operation.GET_PAGE_RANGES,
    Operation.GET_BLOB,
    Operation.SET_METADATA,
    Operation.RELEASE_LEASE,
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda item: item.value)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_of_any_request_is_got_over(
    fault: str,
    operation: Operation,
    disk: Path,
    expected: bytes,
    server: PageBlobServer,
    name: str,
) -> None:
    before = server.stats().faults
    # The first look finds no blob, so that nothing takes effect; the second is verify's.
    skip = 1 if operation is Operation.GET_PROPERTIES else 0
    server.inject(Rule(FAULTS[fault], on(operation, blob=name), skip=skip))
    result = upload(disk, server, name, verify=True)
    assert sum(server.stats().faults.values()) == sum(before.values()) + 1
    assert content(server, name) == expected
    assert result.verified
    # A list of ranges that takes too long is asked for in parts, which is no try again.
    in_parts = operation is Operation.GET_PAGE_RANGES and "timed out" in fault
    assert result.retries == (0 if in_parts else 1)
    assert server.blob(name).metadata == {"vhdtools_crc64": f"{result.crc64:016x}"}
    assert server.blob(name).lease_state in ("available", "expired")


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_many_writes_are_got_over(
    fault: str, disk: Path, expected: bytes, server: PageBlobServer, name: str
) -> None:
    match = on(Operation.PUT_PAGE, blob=name)
    server.inject(Rule(FAULTS[fault], match, skip=2, times=5))
    result = upload(disk, server, name)
    assert content(server, name) == expected
    assert result.retries == 5
    assert result.requests == REQUESTS


class TestChecksums:
    def test_a_bit_flipped_under_way_is_noticed_by_the_service(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        server.inject(Rule(FlipRequest(12345), on(Operation.PUT_PAGE, blob=name), times=3))
        result = upload(disk, server, name)
        assert result.retry_reasons == {"checksum": 3}
        assert content(server, name) == expected

    def test_a_wrong_checksum_in_the_answer_is_sent_again(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        server.inject(Rule(WrongChecksum(), on(Operation.PUT_PAGE, blob=name), times=3))
        result = upload(disk, server, name)
        assert result.retry_reasons == {"checksum": 3}
        assert content(server, name) == expected

    def test_answers_without_a_checksum_are_counted(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        server.inject(Rule(NoChecksum(), on(Operation.PUT_PAGE, blob=name), times=3))
        result = upload(disk, server, name)
        assert result.unconfirmed_requests == 3
        assert result.retries == 0
        assert content(server, name) == expected

    def test_damage_behind_the_service_is_found_by_verify_and_mended(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        server.inject(
            Rule(FlipRequest(1000, unnoticed=True), on(Operation.PUT_PAGE, blob=name), skip=3)
        )
        with pytest.raises(VerificationError) as caught:
            upload(disk, server, name, verify=True)
        blob = server.blob(name)
        offset = caught.value.offset
        assert offset is not None
        assert blob.read(offset, 1) != expected[offset : offset + 1]
        assert blob.read(0, offset) == expected[:offset]
        assert blob.metadata["vhdtools_checkpoint"] == f"0,{0:016x}"
        result = upload(disk, server, name, verify=True)
        assert result.resumed_bytes == 0
        assert content(server, name) == expected

    def test_a_bit_flipped_on_the_way_back_is_noticed(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        upload(disk, server, name)
        server.inject(Rule(FlipReply(1000), on(Operation.GET_BLOB, blob=name), times=3))
        with open_image(disk) as image, target_at(server.blob_url(name)) as target:
            found = verify_image(image, target, workers=4, retry=QUICK)
        assert found.retries == 3
        assert content(server, name) == expected

    @pytest.mark.parametrize("fault", [CutBody(0), CutBody(1000)], ids=["all", "the rest"])
    def test_a_body_cut_short_is_read_again(
        self, fault: Fault, disk: Path, server: PageBlobServer, name: str
    ) -> None:
        upload(disk, server, name)
        server.inject(Rule(fault, on(Operation.GET_BLOB, blob=name), times=2))
        with open_image(disk) as image, target_at(server.blob_url(name)) as target:
            assert verify_image(image, target, workers=2, retry=QUICK).retries == 2

    def test_a_list_of_ranges_cut_short_is_asked_for_again(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        server.inject(Rule(CutBody(200), on(Operation.GET_PAGE_RANGES, blob=name), times=2))
        assert upload(disk, server, name).retries == 2
        assert content(server, name) == expected


FINAL = [
    (400, "InvalidInput", TargetRefusedError),
    (400, "", TargetRefusedError),
    (401, "NoAuthenticationInformation", AccessError),
    (403, "AuthenticationFailed", AccessError),
    (403, "AuthorizationPermissionMismatch", AccessError),
    (404, "BlobNotFound", TargetMissingError),
    (404, "ContainerNotFound", TargetMissingError),
    (409, "BlobImmutableDueToPolicy", TargetRefusedError),
    (409, "SnapshotsPresent", TargetRefusedError),
    (409, "MemoryExtentStoreAtSizeLimit", TargetRefusedError),
    (412, "LeaseIdMismatchWithBlobOperation", TargetBusyError),
    (413, "RequestBodyTooLarge", TargetRefusedError),
    (416, "InvalidPageRange", TargetRefusedError),
    (501, "NotImplemented", TargetRefusedError),
]


@pytest.mark.parametrize(("status", "code", "kind"), FINAL, ids=str)
def test_what_no_further_try_can_change_is_not_tried_again(
    status: int, code: str, kind: type[TargetError], disk: Path, server: PageBlobServer, name: str
) -> None:
    fault = Refuse(ServiceError(status, code, "No."))
    server.inject(Rule(fault, on(Operation.PUT_PAGE, offset=0, blob=name), times=None))
    with pytest.raises(kind) as caught:
        upload(disk, server, name)
    assert type(caught.value) is kind
    assert caught.value.status == status
    refused = [r for r in server.requests if r.name == name and r.fault is not None]
    # A lease that is said to be lost is asked for again, three times, as it may have run out.
    assert len(refused) == (4 if status == 412 else 1)


def test_a_container_that_is_not_there_says_how_to_make_it(
    disk: Path, server: PageBlobServer, name: str
) -> None:
    del name
    with pytest.raises(TargetMissingError, match="az storage container create"):
        upload(disk, server, "nowhere/disk.vhd")


class TestPacing:
    def test_retry_after_is_kept(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        """The next try of that request comes a second later, although retries are quick."""
        server.inject(Rule(server_busy(retry_after=1), on(Operation.PUT_PAGE, offset=0, blob=name)))
        upload(disk, server, name)
        tries = [
            r
            for r in server.requests
            if r.name == name and r.operation is Operation.PUT_PAGE and r.offset == 0
        ]
        assert len(tries) == 2
        assert tries[1].started - tries[0].started >= 1.0
        assert content(server, name) == expected

    def test_a_service_with_limits_gets_it_all(self, tmp_path: Path) -> None:
        """It refuses what comes too fast; the upload slows down, and ends."""
        disk = place(tmp_path / "disk.vhd", fixed("A" * (12 * 2048)))
        limits = BlobLimits(bytes_per_second=16 << 20, requests_per_second=100, burst_seconds=0.1)
        with PageBlobServer(ServerOptions(limits=limits)) as server:
            server.create_container("disks")
            result = upload(disk, server, NAME, workers=8)
            assert content(server, NAME) == expected_blob(disk)
            assert server.stats().by_status.get("503", 0) == result.retry_reasons.get("503", 0)


def test_an_uplink_too_slow_for_any_usual_time_out_works(tmp_path: Path) -> None:
    """1 Mbit/s for eight workers with 2 MiB each takes 134 s; here it is fifty times as fast."""
    disk = place(tmp_path / "disk.vhd", dynamic(("A" * 4096 + "-" * 4096) * 8))
    scaled = Timeouts(connect=20.0 / 50, stall=60.0 / 50, slowest=16_000 * 50)
    with PageBlobServer(ServerOptions(total_rate=50 * 125_000)) as server:
        server.create_container("disks")
        result = upload(disk, server, NAME, timeouts=scaled, workers=8)
        assert content(server, NAME) == expected_blob(disk)
    assert result.retries == 0


class Token:
    """A source of one token."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._text, 2**32)


class TestExpiredAccess:
    def test_it_ends_with_what_to_do_and_goes_on_later(self, disk: Path, expected: bytes) -> None:
        with PageBlobServer() as server:
            server.create_container("disks")
            server.expire_sas(after=7)
            with pytest.raises(AccessError, match="expired") as caught:
                upload(disk, server, NAME, workers=1, checkpoint_seconds=0.001)
            assert caught.value.resumable
            assert "SAS" in caught.value.remedy
            server.set_sas(None)
            server.pass_time(61)  # the lease could not be given back
            upload(disk, server, NAME)
            assert content(server, NAME) == expected

    @pytest.mark.parametrize("workers", [1, 4])
    def test_a_fresh_sas_from_the_callback_goes_on(
        self, workers: int, disk: Path, expected: bytes
    ) -> None:
        fresh = "sv=2024-11-04&sr=b&sp=racwdl&se=2999-01-01T00%3A00%3A00Z&sig=ZnJlc2g%3D"
        asked: list[int] = []
        with PageBlobServer() as server:
            server.create_container("disks")
            server.expire_sas(after=9)

            def refresh() -> str:
                asked.append(1)
                server.set_sas(fresh)
                return fresh

            target = open_target(server.blob_url(NAME), workers=workers, refresh=refresh)
            try:
                with open_image(disk) as image:
                    result = upload_image(image, target, options(workers=workers))
            finally:
                target.close()
            assert content(server, NAME) == expected
        assert asked == [1]
        assert 1 <= result.retry_reasons["access"] <= workers + 1

    def test_a_fresh_token_from_the_callback_goes_on(
        self, disk: Path, expected: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with PageBlobServer(ServerOptions(tls=True, token="first")) as server:
            (tmp_path / "ca.pem").write_bytes(server.ca_pem or b"")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
            server.create_container("disks")
            server.expire_token(after=9)

            def refresh() -> Token:
                server.set_token("second")
                return Token("second")

            url = server.blob_url(NAME, sas=None)
            target = open_target(url, credential=Token("first"), workers=2, refresh=refresh)
            try:
                with open_image(disk) as image:
                    upload_image(image, target, options(workers=2))
            finally:
                target.close()
            assert content(server, NAME) == expected


class Running:
    """An upload in a thread of its own, of which one request is stalled."""

    def __init__(
        self, disk: Path, server: PageBlobServer, name: str, operation: Operation, skip: int
    ) -> None:
        self.result: UploadResult | None = None
        self.error: TargetError | None = None
        self._server = server
        before = self._stalls()
        server.inject(Rule(Stall(None), on(operation, blob=name), skip=skip))
        self._thread = threading.Thread(target=self._run, args=(disk, server, name))
        self._thread.start()
        wait_for(lambda: self._stalls() > before)

    def let_go(self) -> None:
        """Let the request go on, and the upload end."""
        self._server.release()
        self._thread.join()

    def _stalls(self) -> int:
        return self._server.stats().faults.get("Stall, before effect", 0)

    def _run(self, disk: Path, server: PageBlobServer, name: str) -> None:
        try:
            # Alone, so that nothing else is sent while the one request is stalled.
            self.result = upload(disk, server, name, Timeouts(), workers=1, checkpoint_seconds=60)
        except TargetError as error:
            self.error = error


class TestOneWriter:
    def test_a_delayed_write_of_a_dead_run_does_not_arrive(
        self, disk: Path, tmp_path: Path, server: PageBlobServer, name: str
    ) -> None:
        """A write hangs somewhere, its sender gives up, the disk changes, a new run begins."""
        server.inject(Rule(Stall(None), on(Operation.PUT_PAGE, offset=0, blob=name), times=None))
        impatient = RetryPolicy(first_delay=0.01, max_delay=0.01, patience=0.0)
        with pytest.raises(UnavailableError):
            upload(disk, server, name, retry=impatient)
        server.clear_faults()
        changed = place(tmp_path / "changed.vhd", dynamic("B" + WORD[1:]))
        upload(changed, server, name, overwrite=True)
        server.release()  # and now the old write goes on
        wait_for(lambda: any(lost(record, name) for record in server.requests))
        assert content(server, name) == expected_blob(changed)

    def test_the_lease_is_held_while_it_runs(
        self, disk: Path, server: PageBlobServer, name: str
    ) -> None:
        running = Running(disk, server, name, Operation.PUT_PAGE, skip=5)
        assert server.blob(name).lease_state == "leased"
        with pytest.raises(TargetBusyError, match="another upload by vhdtools") as caught:
            upload(disk, server, name)
        assert "on this machine" in caught.value.problem
        with pytest.raises(TargetBusyError):
            upload(disk, server, name, overwrite=True)
        running.let_go()
        assert running.result is not None
        assert server.blob(name).lease_state == "available"
        assert upload(disk, server, name).already_there

    def test_a_lease_that_ran_out_is_taken_again(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        """A laptop slept; nobody else came."""
        running = Running(disk, server, name, Operation.PUT_PAGE, skip=5)
        server.pass_time(3600)
        running.let_go()
        assert running.result is not None
        assert content(server, name) == expected

    def test_a_lease_that_ran_out_and_was_taken_ends_the_first(
        self, disk: Path, expected: bytes, server: PageBlobServer, name: str
    ) -> None:
        """A laptop slept, and meanwhile the upload was resumed elsewhere, and done."""
        running = Running(disk, server, name, Operation.PUT_PAGE, skip=5)
        server.pass_time(3600)
        second = upload(disk, server, name)
        running.let_go()
        assert isinstance(running.error, TargetBusyError)
        assert content(server, name) == expected
        assert server.blob(name).metadata == {"vhdtools_crc64": f"{second.crc64:016x}"}

    def test_a_blob_deleted_under_way_is_an_error(
        self, disk: Path, server: PageBlobServer, name: str
    ) -> None:
        gone = Refuse(ServiceError(404, "BlobNotFound", "The specified blob does not exist."))
        server.inject(Rule(gone, on(Operation.PUT_PAGE, blob=name), skip=5, times=None))
        with pytest.raises(TargetMissingError):
            upload(disk, server, name)

    def test_a_blob_that_appears_meanwhile_is_not_replaced(
        self, disk: Path, server: PageBlobServer, name: str
    ) -> None:
        """Somebody made one between the look and the creation."""
        running = Running(disk, server, name, Operation.PUT_BLOB, skip=0)
        server.create_blob(name, 4096, (0, b"\7" * 512))
        running.let_go()
        assert isinstance(running.error, TargetExistsError)
        assert content(server, name) == b"\7" * 512 + bytes(3584)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so, which it will be soon."""
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.005)


def lost(record: Record, name: str) -> bool:
    """Whether a request was refused as its lease is no longer in force."""
    return record.name == name and record.status == 412

"""Stopping, failing and going on: what is kept, what is believed, and what is never claimed."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.doubles import DISK, MemoryImage, MemoryTarget
from tests.support.uploads import QUICK, Stages, check_sums
from vhdtools.checksums import crc64
from vhdtools.errors import (
    AccessError,
    SourceChangedError,
    SourceReadError,
    TargetBusyError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
    TransferInterruptedError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from vhdtools.ranges import PAGE
from vhdtools.transfer import keeper
from vhdtools.transfer.checkpoint import CHECKPOINT_KEY, CRC64_KEY, OWNER_KEY, Checkpoint
from vhdtools.transfer.footer import fixed_footer
from vhdtools.transfer.job import UploadOptions
from vhdtools.transfer.owner import Owner, decode_owners, encode_owners
from vhdtools.transfer.result import UploadResult
from vhdtools.transfer.retry import RetryPolicy
from vhdtools.transfer.upload import upload_image

MIB = 1 << 20
RUN = 16 * 1024
WORKERS = 2
WINDOW = 4 * WORKERS
"""Chunks taken ahead of the one that is due, at the most."""
NEVER = 3600.0


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


def disk() -> bytes:
    """24 MiB: every second MiB begins with data, each page of it another."""
    content = bytearray(24 * MIB)
    for start in range(0, len(content), 2 * MIB):
        for offset in range(start, start + RUN, PAGE):
            content[offset : offset + 8] = (offset + 1).to_bytes(8, "big")
    return bytes(content)


CONTENT = disk()
TO_SEND = 12 * RUN + PAGE


def options(**changes: Any) -> UploadOptions:
    usual = {"workers": WORKERS, "retry": QUICK, "checkpoint_seconds": NEVER}
    return UploadOptions(**{**usual, **changes})


def upload(
    target: MemoryTarget,
    content: bytes = CONTENT,
    *,
    image: MemoryImage | None = None,
    stop: threading.Event | None = None,
    **changes: Any,
) -> UploadResult:
    progress = Stages()
    image = image or MemoryImage(content)
    result = upload_image(image, target, options(progress=progress, **changes), stop)
    check_sums(result)
    progress.assert_complete()
    return result


def whole(content: bytes = CONTENT) -> bytes:
    return content + fixed_footer(None, len(content))


def assert_done(target: MemoryTarget, content: bytes = CONTENT) -> None:
    assert target.held() == whole(content)
    assert target.metadata == {CRC64_KEY: f"{crc64(whole(content)):016x}"}
    assert target.lease_id is None
    assert target.finished


def unavailable() -> UnavailableError:
    return UnavailableError("memory://target", "no answer")


class Once:
    """A hook that raises at the *number*-th call of *operation*, with *always* from it on."""

    def __init__(
        self,
        operation: str,
        error: Callable[[], BaseException] = unavailable,
        *,
        number: int = 1,
        always: bool = False,
    ) -> None:
        self._operation = operation
        self._error = error
        self._number = number
        self._always = always
        self._lock = threading.Lock()
        self.seen = 0

    def __call__(self, operation: str, _offset: int) -> None:
        if operation != self._operation:
            return
        with self._lock:
            self.seen += 1
            strikes = self.seen == self._number or (self._always and self.seen > self._number)
        if strikes:
            raise self._error()


def stopped_after(writes: int, target: MemoryTarget | None = None) -> MemoryTarget:
    """A target that an upload was stopped at after so many writes."""
    target = target or MemoryTarget()
    stop = threading.Event()

    def count(operation: str, _offset: int) -> None:
        if operation == "write" and len(target.writes) >= writes:
            stop.set()

    target.after = count
    with pytest.raises(TransferInterruptedError):
        upload(target, stop=stop)
    target.after = lambda _operation, _offset: None
    return target


def checkpoint_of(target: MemoryTarget) -> Checkpoint:
    found = Checkpoint.read(target.metadata)
    assert found is not None
    return found


class TestStop:
    @pytest.mark.parametrize("writes", [1, 2, 3, 5, 8, 12])
    def test_the_same_call_goes_on(self, writes: int) -> None:
        target = stopped_after(writes)
        checkpoint = checkpoint_of(target)
        assert checkpoint.crc64 == crc64(CONTENT[: checkpoint.offset])
        assert target.lease_id is None
        assert not target.finished
        before = sum(item.length for item in target.writes)
        result = upload(target)
        assert_done(target)
        assert result.resumed_bytes == checkpoint.offset
        assert result.resumed_proven
        sent = sum(item.length for item in target.writes)
        assert result.sent_bytes == sent - before
        assert sent - TO_SEND <= WINDOW * RUN

    def test_it_may_be_stopped_again_and_again(self) -> None:
        target = MemoryTarget()
        last = -1
        for writes in (2, 4, 6, 8, 10):
            stopped_after(writes, target)
            assert checkpoint_of(target).offset >= last
            last = checkpoint_of(target).offset
        assert last > 0
        upload(target)
        assert_done(target)

    def test_the_error_says_what_is_kept_and_how_to_go_on(self) -> None:
        target = MemoryTarget()
        target.after = lambda operation, _offset: stop.set() if operation == "write" else None
        stop = threading.Event()
        with pytest.raises(TransferInterruptedError) as caught:
            upload(target, stop=stop)
        assert f"stopped at {checkpoint_of(target).offset:,} of" in caught.value.problem
        assert "same command" in caught.value.remedy
        assert caught.value.resumable

    def test_a_checkpoint_that_could_not_be_written_is_not_boasted_of(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        short = RetryPolicy(first_delay=0.001, max_delay=0.001, patience=0.01)
        monkeypatch.setattr("vhdtools.transfer.upload._PARTING", short)
        target = MemoryTarget()
        stop = threading.Event()
        target.after = lambda operation, _offset: stop.set() if operation == "write" else None
        target.before = Once("set_metadata", always=True)
        with pytest.raises(TransferInterruptedError, match="could not be written"):
            upload(target, stop=stop)
        assert checkpoint_of(target).offset == 0

    def test_before_it_begins_nothing_is_made(self) -> None:
        target = MemoryTarget()
        stop = threading.Event()
        stop.set()
        with pytest.raises(TransferInterruptedError, match="before anything was sent"):
            upload(target, stop=stop)
        assert target.content is None
        assert target.calls == ["state"]

    def test_while_the_service_does_not_answer(self) -> None:
        target = MemoryTarget()
        stop = threading.Event()
        patient = RetryPolicy(first_delay=30.0, max_delay=60.0, patience=900.0)

        def fail(operation: str, _offset: int) -> None:
            if operation == "state":
                stop.set()
                raise unavailable()

        target.before = fail
        with pytest.raises(TransferInterruptedError):
            upload(target, stop=stop, retry=patient)

    def test_while_checking_what_is_there(self) -> None:
        target = stopped_after(6)
        before = checkpoint_of(target)
        stop = threading.Event()
        image = MemoryImage(CONTENT, before_read=lambda _offset, _length: stop.set())
        with pytest.raises(TransferInterruptedError, match="before anything was sent"):
            upload(target, image=image, stop=stop)
        assert checkpoint_of(target) == before
        assert target.lease_id is None
        upload(target)
        assert_done(target)

    def test_while_recognising_a_finished_upload(self) -> None:
        target = MemoryTarget()
        upload(target)
        stop = threading.Event()
        image = MemoryImage(CONTENT, before_read=lambda _offset, _length: stop.set())
        with pytest.raises(TransferInterruptedError):
            upload(target, image=image, stop=stop)
        assert_done(target)

    @pytest.mark.parametrize("phase", ["page_ranges", "read_into"])
    def test_after_all_was_sent(self, phase: str) -> None:
        """While the page ranges are listed, and while the blob is read back."""
        target = MemoryTarget()
        stop = threading.Event()

        def fail_once(operation: str, _offset: int) -> None:
            if operation == phase and not stop.is_set():
                stop.set()
                raise unavailable()

        target.before = fail_once
        with pytest.raises(TransferInterruptedError, match="stopped at 25,165,824 of 25,166,336"):
            upload(target, stop=stop, verify=True)
        assert CRC64_KEY not in target.metadata
        result = upload(target)
        assert result.sent_bytes == PAGE, "the footer alone"
        assert_done(target)

    def test_while_hashing(self) -> None:
        """The MD5 lags behind the upload; nothing but it is left to wait for."""
        target = MemoryTarget()
        stop = threading.Event()
        sent = threading.Event()
        target.before = lambda operation, _offset: (
            sent.set() if operation == "page_ranges" else None
        )

        def slow(_offset: int, _length: int) -> None:
            if threading.current_thread().name.startswith("vhdtools-md5"):
                assert sent.wait(30)
                stop.set()

        image = MemoryImage(CONTENT, before_read=slow)
        with pytest.raises(TransferInterruptedError, match="stopped at 25,165,824"):
            upload(target, image=image, stop=stop, content_md5=True)
        assert target.md5 is None
        assert CRC64_KEY not in target.metadata


OPERATIONS = ["state", "create", "acquire_lease", "write", "page_ranges", "set_metadata"]


class TestLostRequests:
    """One request in turn never arrives, or its answer is lost although it took effect."""

    @pytest.mark.parametrize("operation", [*OPERATIONS, "release_lease"])
    @pytest.mark.parametrize("arrived", [False, True], ids=["request", "answer"])
    def test_of_a_new_upload(self, operation: str, arrived: bool) -> None:
        target = MemoryTarget()
        hook = Once(operation)
        if arrived:
            target.after = hook
        else:
            target.before = hook
        result = upload(target)
        # Listing ends with its last range; there is no answer after that.
        assert result.retries == (0 if operation == "page_ranges" and arrived else 1)
        assert_done(target)

    @pytest.mark.parametrize("operation", [*OPERATIONS, "clear", "renew_lease"])
    @pytest.mark.parametrize("arrived", [False, True], ids=["request", "answer"])
    def test_of_a_resumed_upload(self, operation: str, arrived: bool) -> None:
        target = stopped_after(7)
        target.store(21 * MIB, b"\7" * MIB)  # to be cleared
        hook = Once(operation)
        if arrived:
            target.after = hook
        else:
            target.before = hook
        upload(target)
        assert_done(target)

    @pytest.mark.parametrize("arrived", [False, True], ids=["request", "answer"])
    def test_of_an_overwriting_upload(self, arrived: bool) -> None:
        target = MemoryTarget()
        target.exists_with(5 * MIB, (0, b"\7" * MIB))
        for operation in ("create", "acquire_lease"):
            hook = Once(operation)
            if arrived:
                target.after = hook
            else:
                target.before = hook
            assert upload(target, overwrite=True).retries == 1
            assert_done(target)

    def test_of_the_end_for_good_leaves_an_unfinished_upload(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The mark took effect, but nobody knows: what is claimed is that it is not finished."""
        target = MemoryTarget()
        target.after = Once("set_metadata", number=1, always=True)
        impatient = replace(QUICK, patience=0.05)
        monkeypatch.setattr("vhdtools.transfer.upload._PARTING", impatient)
        with pytest.raises(UnavailableError):
            upload(target, retry=impatient)
        target.after = lambda _operation, _offset: None
        assert target.held() == whole()
        result = upload(target)
        assert result.already_there or result.sent_bytes == PAGE
        assert_done(target)


class TestFailure:
    def test_what_was_confirmed_is_kept(self) -> None:
        target = MemoryTarget()
        target.before = Once("write", lambda: TargetRefusedError("t", "no"), number=7)
        with pytest.raises(TargetRefusedError):
            upload(target)
        assert checkpoint_of(target).offset > 0
        assert target.lease_id is None
        target.before = lambda _operation, _offset: None
        assert upload(target).resumed_bytes > 0
        assert_done(target)

    def test_patience_ends_with_a_checkpoint(self) -> None:
        target = MemoryTarget()
        target.before = Once("write", number=7, always=True)
        with pytest.raises(UnavailableError):
            upload(target, retry=replace(QUICK, patience=0.05))
        checkpoint = checkpoint_of(target)
        assert checkpoint.offset > 0
        assert checkpoint.crc64 == crc64(CONTENT[: checkpoint.offset])

    def test_an_unexpected_error_passes_through_with_a_checkpoint(self) -> None:
        target = MemoryTarget()
        target.before = Once("write", lambda: ZeroDivisionError("a bug"), number=7)
        with pytest.raises(ZeroDivisionError):
            upload(target)
        assert checkpoint_of(target).offset > 0

    def test_a_keyboard_interrupt_leaves_a_checkpoint(self) -> None:
        target = MemoryTarget()
        target.before = Once("page_ranges", KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            upload(target)
        assert checkpoint_of(target).offset == len(CONTENT)
        assert target.lease_id is None

    def test_expired_credentials_are_asked_for_again(self) -> None:
        target = MemoryTarget()
        valid = threading.Event()
        asked: list[int] = []

        def check(operation: str, _offset: int) -> None:
            if operation == "write" and len(target.writes) > 4 and not valid.is_set():
                raise AccessError("memory://target", "expired")

        def refresh() -> bool:
            asked.append(1)
            valid.set()
            return True

        target.before = check
        target.fresh_access = refresh
        result = upload(target)
        assert asked
        assert result.retry_reasons["access"] >= 1
        assert_done(target)

    def test_expired_credentials_without_fresh_ones_end_it(self) -> None:
        target = MemoryTarget()
        target.before = Once("write", lambda: AccessError("t", "expired"), number=5, always=True)
        with pytest.raises(AccessError) as caught:
            upload(target)
        assert caught.value.resumable
        assert checkpoint_of(target).offset > 0


class TestSource:
    def test_a_changed_disk_is_refused_with_the_range(self) -> None:
        target = stopped_after(8)
        before = target.held(), target.metadata[CHECKPOINT_KEY]
        offset = checkpoint_of(target).offset
        assert offset > 0
        changed = bytearray(CONTENT)
        changed[100] ^= 1
        with pytest.raises(SourceChangedError) as caught:
            upload(target, bytes(changed))
        assert f"(0, {offset:,})" in str(caught.value)
        assert "--overwrite" in caught.value.remedy
        assert (target.held(), target.metadata[CHECKPOINT_KEY]) == before
        assert target.lease_id is None
        result = upload(target, bytes(changed), overwrite=True)
        assert result.resumed_bytes == 0
        assert_done(target, bytes(changed))

    def test_a_disk_changed_above_the_checkpoint_is_sent_as_it_is_now(self) -> None:
        target = stopped_after(4)
        changed = bytearray(CONTENT)
        changed[-1] = 1
        upload(target, bytes(changed))
        assert_done(target, bytes(changed))

    def test_a_disk_of_another_size_is_refused(self) -> None:
        target = stopped_after(4)
        with pytest.raises(SourceChangedError, match="25,166,336"):
            upload(target, CONTENT + bytes(MIB))

    @pytest.mark.parametrize("offset", [0, 10 * MIB, 22 * MIB])
    def test_a_read_error_ends_it_and_nothing_is_made_up(self, offset: int) -> None:
        def broken(start: int, length: int) -> None:
            if start <= offset < start + length:
                raise SourceReadError("memory.vhd", "cannot be read: I/O error", offset=offset)

        target = MemoryTarget()
        with pytest.raises(SourceReadError):
            upload(target, image=MemoryImage(CONTENT, before_read=broken))
        assert checkpoint_of(target).offset <= offset
        assert not any(item.offset <= offset < item.end for item in target.writes)
        upload(target)
        assert_done(target)

    def test_a_disk_that_shrinks_is_not_padded(self) -> None:
        image = MemoryImage(CONTENT)
        target = MemoryTarget()
        target.after = lambda operation, _offset: (
            image.content.__delitem__(slice(14 * MIB + PAGE, None))
            if operation == "write"
            else None
        )
        with pytest.raises(SourceReadError, match="ends early"):
            upload(target, image=image)
        assert checkpoint_of(target).offset <= 14 * MIB
        assert CRC64_KEY not in target.metadata

    def test_a_disk_written_under_way_is_noticed_at_once(self) -> None:
        image = MemoryImage(CONTENT)
        target = MemoryTarget()
        released = threading.Event()

        def written(operation: str, _offset: int) -> None:
            if operation == "write" and len(target.writes) == 3:
                image.changed = SourceChangedError("memory.vhd", "the file was changed")
                # The keeper looks meanwhile; no further write begins after it did.
                released.wait(0.5)

        target.before = written
        with pytest.raises(SourceChangedError):
            upload(target, image=image, checkpoint_seconds=0.02)
        assert len(target.writes) < 10
        assert CRC64_KEY not in target.metadata

    def test_a_disk_written_while_it_is_checked_is_noticed_at_once(self) -> None:
        target = stopped_after(11)
        image = MemoryImage(CONTENT)
        reads = 0

        def written(_offset: int, _length: int) -> None:
            nonlocal reads
            reads += 1
            image.changed = SourceChangedError("memory.vhd", "the file was changed")
            time.sleep(0.1)  # the keeper looks meanwhile

        image.before_read = written
        with pytest.raises(SourceChangedError, match="was changed"):
            upload(target, image=image, checkpoint_seconds=0.01)
        assert reads < 8
        assert target.lease_id is None

    def test_a_disk_written_at_the_last_moment_is_noticed(self) -> None:
        image = MemoryImage(CONTENT)
        target = MemoryTarget()

        def written(operation: str, _offset: int) -> None:
            if operation == "page_ranges":
                image.changed = SourceChangedError("memory.vhd", "the file was changed")

        target.before = written
        with pytest.raises(SourceChangedError):
            upload(target, image=image)
        assert CRC64_KEY not in target.metadata
        assert not target.finished


class TestTrust:
    """What others did to the blob between two runs."""

    def test_what_lies_above_the_checkpoint_is_not_believed(self) -> None:
        target = stopped_after(5)
        target.store(21 * MIB, b"\7" * MIB)  # zeros in the disk
        upload(target)
        assert_done(target)

    def test_a_hole_below_the_checkpoint_is_found_and_mended(self) -> None:
        target = stopped_after(8)
        assert target.content is not None
        target.pages.discard(0)
        target.content[:PAGE] = bytes(PAGE)
        with pytest.raises(VerificationError) as caught:
            upload(target)
        assert caught.value.offset is not None
        assert caught.value.offset < PAGE
        assert checkpoint_of(target) == Checkpoint(0, 0)
        upload(target)
        assert_done(target)

    def test_a_strange_page_below_the_checkpoint_is_found_and_mended(self) -> None:
        target = stopped_after(8)
        target.store(MIB, b"\7" * PAGE)
        with pytest.raises(VerificationError):
            upload(target, image=MemoryImage(CONTENT, reads_zeros=True))
        upload(target)
        assert_done(target)

    def test_stored_damage_is_found_by_verify_and_mended(self) -> None:
        target = MemoryTarget()

        def damage(operation: str, offset: int) -> None:
            if operation == "write" and offset == 0:
                assert target.content is not None
                target.content[4321] ^= 8

        target.after = damage
        with pytest.raises(VerificationError) as caught:
            upload(target, verify=True)
        assert caught.value.offset == 4321
        assert checkpoint_of(target) == Checkpoint(0, 0)
        assert target.lease_id is None
        target.after = lambda _operation, _offset: None
        assert upload(target, verify=True).verified
        assert_done(target)

    def test_a_damaged_footer_is_found_by_verify(self) -> None:
        target = MemoryTarget()

        def other_footer(operation: str, offset: int) -> None:
            if operation == "write" and offset == len(CONTENT):
                assert target.content is not None
                image = MemoryImage(CONTENT)
                assert image.footer is None
                other = bytearray(whole()[-PAGE:])
                other[24] ^= 1  # another time stamp, and the checksum that suits it
                other[64:68] = (~(sum(other) - sum(other[64:68])) & 0xFFFFFFFF).to_bytes(4, "big")
                target.content[-PAGE:] = other

        target.after = other_footer
        with pytest.raises(VerificationError, match="footer"):
            upload(target, verify=True)
        assert CRC64_KEY not in target.metadata

    def test_a_finished_blob_that_differs_loses_its_mark_and_nothing_else(self) -> None:
        """It may have become a machine's disk: no later run may write to it without being told."""
        target = MemoryTarget()
        upload(target)
        assert target.content is not None
        target.content[4321] ^= 8
        target.metadata["owner"] = "somebody"
        content = target.held()
        with pytest.raises(VerificationError):
            upload(target, verify=True)
        assert target.metadata == {"owner": "somebody"}
        with pytest.raises(TargetExistsError):
            upload(target)
        assert target.held() == content

    def test_metadata_of_others_is_kept(self) -> None:
        target = stopped_after(5)
        target.metadata["owner"] = "somebody"
        upload(target)
        assert target.metadata.pop("owner") == "somebody"
        assert_done(target)

    @pytest.mark.parametrize(
        "text", ["", "x", "513,0123456789abcdef", "-512,0123456789abcdef", "9" * 19 + ",0" * 1]
    )
    def test_a_checkpoint_that_makes_no_sense_is_somebody_elses(self, text: str) -> None:
        target = stopped_after(5)
        target.metadata[CHECKPOINT_KEY] = text
        before = target.held()
        with pytest.raises(TargetExistsError, match="no unfinished upload"):
            upload(target)
        assert target.held() == before

    def test_a_checkpoint_past_the_end_is_refused(self) -> None:
        target = stopped_after(5)
        target.metadata[CHECKPOINT_KEY] = f"{len(CONTENT) + PAGE},{0:016x}"
        with pytest.raises(TargetExistsError, match="past the disk's end"):
            upload(target)

    def test_a_checkpoint_of_other_content_is_refused(self) -> None:
        target = stopped_after(5)
        target.metadata[CHECKPOINT_KEY] = f"{MIB},{0:016x}"
        with pytest.raises(SourceChangedError):
            upload(target)

    def test_a_blob_of_somebody_else_is_refused_untouched(self) -> None:
        target = MemoryTarget()
        target.exists_with(len(whole()), (0, b"\7" * MIB))
        with pytest.raises(TargetExistsError):
            upload(target)
        assert target.calls == ["state"]
        upload(target, overwrite=True)
        assert_done(target)


class TestOneWriter:
    def test_a_lease_of_somebody_else_is_an_error_and_nothing_is_touched(self) -> None:
        target = stopped_after(5)
        before = dict(target.metadata)
        target.lease_id = "somebody-else"
        target.our_lease = None
        with pytest.raises(TargetBusyError, match="lease"):
            upload(target)
        assert (target.lease_id, target.metadata) == ("somebody-else", before)

    def test_a_live_process_here_is_named(self) -> None:
        target = stopped_after(5)
        owner = replace(Owner.current(), lease_id="01234567-89ab-cdef-0123-456789abcdef")
        target.metadata[OWNER_KEY] = owner.encode()
        target.lease_id = owner.lease_id
        with pytest.raises(TargetBusyError, match=f"process {os.getpid()} on this machine"):
            upload(target)

    def test_another_machine_is_named(self) -> None:
        target = stopped_after(5)
        owner = replace(Owner.current(), host="0" * 16)
        target.metadata[OWNER_KEY] = owner.encode()
        target.lease_id = owner.lease_id
        with pytest.raises(TargetBusyError, match=r"another machine.*60 seconds"):
            upload(target)

    def test_the_lease_of_a_dead_process_here_is_taken_over(self) -> None:
        target = stopped_after(5)
        owner = replace(Owner.current(), pid=9_999_999_999)
        assert owner.is_dead
        target.metadata[OWNER_KEY] = owner.encode()
        target.lease_id = owner.lease_id
        upload(target)
        assert_done(target)

    def test_a_lease_that_ran_out_with_nobody_there_is_taken_again(self) -> None:
        """After a laptop's sleep."""
        target = MemoryTarget()

        def sleep(operation: str, _offset: int) -> None:
            if operation == "write" and len(target.writes) == 4 and not slept.is_set():
                slept.set()
                target.lease_id = None
            if operation in ("write", "set_metadata") and target.lease_id is None:
                raise TargetBusyError("memory://target", "the lease was lost")

        slept = threading.Event()
        target.before = sleep
        result = upload(target)
        assert result.retry_reasons["lease"] >= 1
        assert_done(target)

    def test_a_lease_that_somebody_else_took_ends_it_without_a_word(self) -> None:
        target = MemoryTarget()

        def take(operation: str, _offset: int) -> None:
            if operation == "write" and len(target.writes) == 4:
                target.lease_id = "somebody-else"
                target.metadata = {"vhdtools_owner": "theirs"}

        target.before = take
        with pytest.raises(TargetBusyError):
            upload(target)
        assert len(target.writes) == 4
        assert (target.lease_id, target.metadata) == ("somebody-else", {"vhdtools_owner": "theirs"})

    def test_the_keeper_renews_the_lease(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keeper, "_RENEW_SECONDS", 0.01)
        target = MemoryTarget()
        renewed = threading.Event()

        def wait(operation: str, _offset: int) -> None:
            if operation == "renew_lease":
                renewed.set()
            elif operation == "write" and len(target.writes) == 4:
                assert renewed.wait(30)

        target.before = wait
        upload(target)
        assert_done(target)

    def test_what_the_keeper_finds_is_what_is_raised(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keeper, "_RENEW_SECONDS", 0.01)
        target = MemoryTarget()
        found = threading.Event()

        def fail(operation: str, _offset: int) -> None:
            if operation == "renew_lease":
                found.set()
                raise TargetMissingError("memory://target", "the blob was deleted")
            if operation == "write" and len(target.writes) >= 4:
                assert found.wait(30)

        target.before = fail
        with pytest.raises(TargetMissingError, match="deleted"):
            upload(target)

    def test_a_bug_in_the_keeper_is_raised_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keeper, "_RENEW_SECONDS", 0.01)
        target = MemoryTarget()
        found = threading.Event()

        def fail(operation: str, _offset: int) -> None:
            if operation == "renew_lease":
                found.set()
                raise ZeroDivisionError("a bug")
            if operation == "write" and len(target.writes) >= 4:
                assert found.wait(30)

        target.before = fail
        with pytest.raises(ZeroDivisionError):
            upload(target)

    def test_the_keeper_writes_checkpoints(self) -> None:
        target = MemoryTarget()
        written = threading.Event()

        def wait(operation: str, _offset: int) -> None:
            if operation == "set_metadata":
                written.set()
            elif operation == "write" and len(target.writes) == 6:
                assert written.wait(30)

        target.before = wait
        upload(target, checkpoint_seconds=0.01)
        assert target.calls.count("set_metadata") >= 2
        assert_done(target)

    def test_somebody_who_finished_meanwhile_is_recognised(self) -> None:
        """Between the first look and the lease, another run of the same upload came to its end."""
        target = stopped_after(5)
        ours = MemoryTarget()
        ours.content, ours.metadata = target.content, target.metadata
        looked = threading.Event()

        def finish_meanwhile(operation: str, _offset: int) -> None:
            if operation == "acquire_lease" and not looked.is_set():
                looked.set()
                upload(target)
                ours.content, ours.metadata = target.content, target.metadata
                ours.pages = target.pages

        ours.before = finish_meanwhile
        result = upload(ours)
        assert result.already_there
        assert not ours.writes
        assert ours.lease_id is None
        assert ours.metadata == {CRC64_KEY: f"{crc64(whole()):016x}"}

    def test_two_that_begin_at_once_do_not_share_a_blob(self) -> None:
        target = MemoryTarget()

        def other_first(operation: str, _offset: int) -> None:
            if operation == "create" and target.content is None:
                target.exists_with(len(whole()))
                target.metadata = {OWNER_KEY: "theirs"}

        target.before = other_first
        with pytest.raises(TargetExistsError):
            upload(target)
        assert target.metadata == {OWNER_KEY: "theirs"}


class Killed(BaseException):
    """The process is gone: nothing that follows reaches the target."""


class TestKilled:
    """Killed at each request in turn, and once more while taking over from the one that was."""

    def kill(self, target: MemoryTarget, number: int, *, arrived: bool, **changes: Any) -> None:
        calls = 0

        def strike(_operation: str, _offset: int) -> None:
            nonlocal calls
            calls += 1
            if calls >= number:
                raise Killed

        def silence(_operation: str, _offset: int) -> None:
            if calls >= number:
                raise Killed

        target.before, target.after = (silence, strike) if arrived else (strike, strike)
        if not arrived:
            target.after = lambda _operation, _offset: None
        with pytest.raises(Killed):
            upload(target, **changes)
        target.before = target.after = lambda _operation, _offset: None
        self.bury(target)

    def bury(self, target: MemoryTarget) -> None:
        """Make the owners be processes that are no more."""
        owners = decode_owners(target.metadata.get(OWNER_KEY, ""))
        if owners:
            dead = [replace(owner, pid=9_999_999_999) for owner in owners]
            target.metadata[OWNER_KEY] = encode_owners(*dead)
        target.our_lease = None

    @pytest.mark.parametrize("arrived", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("number", range(2, 18))
    def test_a_new_upload(self, number: int, arrived: bool) -> None:
        target = MemoryTarget()
        self.kill(target, number, arrived=arrived)
        result = upload(target)
        assert result.retries == 0, "nobody was waited for"
        if result.already_there:
            target.lease_id = None  # the dead one's ends by itself; nothing is written any more
        assert_done(target)

    @pytest.mark.parametrize("arrived", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("number", range(1, 10))
    def test_a_resumed_upload(self, number: int, arrived: bool) -> None:
        target = MemoryTarget()
        self.kill(target, 7, arrived=True)
        assert target.lease_id is not None
        self.kill(target, number, arrived=arrived)
        self.kill(target, number, arrived=not arrived)
        result = upload(target)
        assert_done(target)
        assert result.retries == 0

    @pytest.mark.parametrize("arrived", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("number", range(1, 8))
    def test_an_overwriting_upload(self, number: int, arrived: bool) -> None:
        target = MemoryTarget()
        self.kill(target, 7, arrived=True)
        self.kill(target, number, arrived=arrived, overwrite=True)
        upload(target, overwrite=True)
        assert_done(target)

    def test_two_that_take_over_at_once_do_not_both_go_on(self) -> None:
        target = MemoryTarget()
        self.kill(target, 7, arrived=True)
        dead = decode_owners(target.metadata[OWNER_KEY])
        theirs = replace(Owner.current(), lease_id="01234567-89ab-cdef-0123-456789abcdef")

        def other(operation: str, _offset: int) -> None:
            if operation == "acquire_lease":
                target.metadata[OWNER_KEY] = encode_owners(theirs, *dead)

        target.after = other
        with pytest.raises(TargetBusyError, match="on this machine"):
            upload(target)
        assert decode_owners(target.metadata[OWNER_KEY])[0] == theirs

    def test_the_new_owner_is_known_before_it_holds_the_lease(self) -> None:
        target = MemoryTarget()
        self.kill(target, 7, arrived=True)
        dead = decode_owners(target.metadata[OWNER_KEY])
        known: list[str] = []

        def look(operation: str, _offset: int) -> None:
            if operation == "acquire_lease" and target.lease_id != dead[0].lease_id:
                known.extend(o.lease_id for o in decode_owners(target.metadata[OWNER_KEY]))
                assert target.lease_id in known

        target.after = look
        upload(target)
        assert known
        assert_done(target)


class TestContentMd5:
    def test_it_is_that_of_the_whole_blob(self) -> None:
        target = MemoryTarget()
        result = upload(target, content_md5=True)
        expected = hashlib.md5(whole(), usedforsecurity=False).digest()
        assert target.md5 == result.content_md5 == expected

    def test_it_can_be_added_to_a_finished_upload(self) -> None:
        target = MemoryTarget()
        assert upload(target).content_md5 is None
        assert target.md5 is None
        result = upload(target, content_md5=True)
        assert result.already_there
        assert target.md5 == result.content_md5

    @pytest.mark.parametrize("operation", ["page_ranges", "set_metadata"])
    def test_it_is_set_after_everything_else(self, operation: str) -> None:
        target = MemoryTarget()
        target.before = Once(operation, lambda: TargetRefusedError("t", "no"), always=True)
        with pytest.raises(TargetRefusedError):
            upload(target, content_md5=True)
        assert target.md5 is None

    def test_a_failure_to_set_it_leaves_a_finished_upload(self) -> None:
        target = MemoryTarget()
        target.before = Once("set_content_md5", lambda: TargetRefusedError("t", "no"))
        with pytest.raises(TargetRefusedError):
            upload(target, content_md5=True)
        assert CHECKPOINT_KEY not in target.metadata
        assert target.lease_id is None
        assert upload(target).already_there


class TestManagedDisk:
    def there(self, *pages: tuple[int, bytes]) -> MemoryTarget:
        target = MemoryTarget(DISK)
        target.exists_with(len(whole()), *pages)
        return target

    def test_pages_are_all_that_is_written(self) -> None:
        target = self.there()
        result = upload(target)
        assert target.held() == whole()
        assert set(target.calls) == {"state", "page_ranges", "write", "finish"}
        assert target.writes[-1].offset == len(CONTENT), "the footer comes last"
        assert result.sent_bytes == TO_SEND

    def test_the_size_must_be_right_and_the_remedy_names_it(self) -> None:
        target = MemoryTarget(DISK)
        target.exists_with(len(whole()) + MIB)
        with pytest.raises(TargetRefusedError, match=f"--upload-size-bytes {len(whole())}"):
            upload(target)
        assert target.calls == ["state"]

    def test_no_disk_is_an_error_with_a_remedy(self) -> None:
        with pytest.raises(TargetMissingError, match="az disk create"):
            upload(MemoryTarget(DISK))

    def test_it_cannot_be_read_back_and_says_so_first(self) -> None:
        target = self.there()
        with pytest.raises(UsageError, match="--verify"):
            upload(target, verify=True)
        assert not target.writes

    @pytest.mark.parametrize("writes", [1, 3, 6, 11])
    def test_it_goes_on_by_page_ranges(self, writes: int) -> None:
        target = stopped_after(writes, self.there())
        before = sum(item.length for item in target.writes)
        result = upload(target)
        assert target.held() == whole()
        assert not result.resumed_proven
        assert result.resumed_bytes > 0
        again = sum(item.length for item in target.writes) - TO_SEND
        assert 0 <= again <= WINDOW * RUN
        assert result.sent_bytes == sum(item.length for item in target.writes) - before
        assert target.writes[-1].offset == len(CONTENT)

    def test_a_hole_between_written_pages_is_where_it_goes_on(self) -> None:
        parts = [(at, CONTENT[at : at + RUN]) for at in (0, 2 * MIB, 6 * MIB, 8 * MIB)]
        target = self.there(*parts)
        result = upload(target)
        assert 2 * MIB + RUN <= result.resumed_bytes <= 4 * MIB
        assert target.held() == whole()

    def test_when_all_is_there_nothing_is_sent(self) -> None:
        target = self.there()
        upload(target)
        writes = list(target.writes)
        result = upload(target)
        assert result.already_there
        assert not result.resumed_proven
        assert target.writes == writes

    def test_when_all_but_the_footer_is_there_the_footer_is_sent(self) -> None:
        content = CONTENT[:-PAGE] + b"\1" * PAGE
        target = MemoryTarget(DISK)
        runs = [(at, content[at : at + RUN]) for at in range(0, len(content), 2 * MIB)]
        target.exists_with(len(whole()), *runs, (len(content) - PAGE, content[-PAGE:]))
        result = upload(target, content)
        assert result.sent_bytes == PAGE
        assert target.held() == whole(content)

    def test_pages_of_another_disk_are_refused(self) -> None:
        target = self.there((0, CONTENT[:RUN]), (MIB, b"\7" * PAGE))
        target.store(2 * MIB, CONTENT[2 * MIB : 2 * MIB + RUN])
        with pytest.raises(TargetExistsError, match="--overwrite"):
            upload(target)
        assert not target.writes

    def test_overwriting_writes_zeros_where_something_was(self) -> None:
        target = self.there(
            (MIB, b"\7" * MIB), (19 * MIB, b"\7" * 1536), (len(CONTENT), b"x" * PAGE)
        )
        upload(target, overwrite=True)
        assert target.held() == whole()
        assert "clear" not in target.calls

    def test_strange_pages_above_are_written_over_with_zeros(self) -> None:
        target = self.there((0, CONTENT[:RUN]), (21 * MIB, b"\7" * PAGE))
        upload(target)
        assert target.held() == whole()


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": -1},
        {"max_rate": 0.0},
        {"max_rate": -5.0},
        {"max_rate": float("nan")},
        {"checkpoint_seconds": 0.0},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        UploadOptions(**wrong)


def test_requests_without_a_checksum_in_the_answer_are_counted() -> None:
    target = MemoryTarget()
    target.confirms = False
    result = upload(target)
    assert result.unconfirmed_requests == result.requests > 0
    assert_done(target)

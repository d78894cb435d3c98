"""What is recorded when an upload is finished, and what it proves later."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from tests.support.doubles import MemoryImage, MemoryTarget
from tests.support.uploads import QUICK
from vhdtools.errors import VerificationError
from vhdtools.ranges import PAGE
from vhdtools.target.page_target import TargetState
from vhdtools.transfer.checkpoint import (
    CRC64_KEY,
    MODIFIED_KEY,
    finished_crc64,
    finished_metadata,
    recorded_time,
)
from vhdtools.transfer.connection import Connection
from vhdtools.transfer.finishing import LONG_SECONDS, is_unmodified, record_time
from vhdtools.transfer.job import UploadOptions
from vhdtools.transfer.pacing import Pacer
from vhdtools.transfer.upload import upload_image

MIB = 1 << 20
CONTENT = b"\7" * (64 * 1024) + bytes(2 * MIB - 64 * 1024)
OPTIONS = UploadOptions(workers=2, retry=QUICK)
SECOND = timedelta(seconds=1)


def uploaded() -> MemoryTarget:
    target = MemoryTarget()
    upload_image(MemoryImage(CONTENT), target, OPTIONS)
    return target


def record(target: MemoryTarget, *, took: float = LONG_SECONDS) -> list[float]:
    """Record the time of a finished upload, as its end would; the waits."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        assert target.lease_id is not None, "nothing keeps others from writing meanwhile"
        waits.append(seconds)
        target.now += SECOND

    crc = finished_crc64(target.metadata)
    assert crc is not None
    target.acquire_lease("ours")
    connection = Connection(target, QUICK, Pacer(1), threading.Event())
    connection.holds_lease = True
    record_time(connection, target.metadata, crc, took=took, wait=wait)
    target.release_lease()
    return waits


def state_of(target: MemoryTarget) -> TargetState:
    state = target.state()
    assert state is not None
    return state


def test_nobody_wrote_since() -> None:
    target = uploaded()
    assert record(target) == [pytest.approx(1.05)]
    assert is_unmodified(state_of(target))
    target.calls.clear()
    result = upload_image(MemoryImage(CONTENT), target, OPTIONS)
    assert (result.already_there_by, result.verified) == ("not modified since", None)
    assert "read_into" not in target.calls


def test_the_lease_is_renewed_before_it_is_relied_on() -> None:
    target = uploaded()
    target.calls.clear()
    record(target)
    assert target.calls.index("renew_lease") < target.calls.index("set_metadata")


def test_a_write_in_the_next_moment_is_seen() -> None:
    target = uploaded()
    record(target)
    target.store(PAGE, b"\1" * PAGE)
    assert not is_unmodified(state_of(target))
    with pytest.raises(VerificationError) as caught:
        upload_image(MemoryImage(CONTENT), target, OPTIONS)
    assert [(item.offset, item.length) for item in caught.value.ranges] == [(PAGE, PAGE)]
    assert caught.value.changed == "target"


def test_a_second_that_ends_meanwhile_is_tried_again() -> None:
    target = uploaded()
    late = iter([True, True])

    def after(operation: str, _offset: int) -> None:
        if operation == "state" and next(late, False):
            target.now += SECOND

    target.after = after
    record(target)
    assert is_unmodified(state_of(target))


def test_a_service_whose_every_request_takes_seconds_is_not_recorded() -> None:
    target = uploaded()

    def after(operation: str, _offset: int) -> None:
        if operation in ("state", "set_metadata"):
            target.now += 2 * SECOND

    target.after = after
    assert record(target) == []
    assert MODIFIED_KEY not in target.metadata
    assert finished_crc64(target.metadata) is not None


def test_a_short_upload_waits_for_nothing_and_is_read_back() -> None:
    target = uploaded()
    assert record(target, took=LONG_SECONDS - 0.1) == []
    assert target.metadata.keys() == {CRC64_KEY}
    result = upload_image(MemoryImage(CONTENT), target, OPTIONS)
    assert (result.already_there_by, result.verified) == ("read back", True)


def test_an_upload_that_goes_on_forgets_the_time() -> None:
    target = uploaded()
    record(target)
    upload_image(MemoryImage(CONTENT), target, UploadOptions(retry=QUICK, overwrite=True))
    assert target.metadata.keys() == {CRC64_KEY}


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "9" * 12, "٥"])
def test_hostile_text_is_no_time(text: str) -> None:
    assert recorded_time({CRC64_KEY: "0" * 16, MODIFIED_KEY: text}) is None


def test_the_longest_text_is_a_time() -> None:
    assert recorded_time({CRC64_KEY: "0" * 16, MODIFIED_KEY: "9" * 11}) is not None


def test_a_time_without_a_crc_is_none() -> None:
    assert recorded_time({MODIFIED_KEY: "100"}) is None
    state = TargetState(size=0, metadata=finished_metadata({}, 1))
    assert not is_unmodified(state)

"""Nothing secret leaves by a message, a traceback, a log, a repr or a cause."""

from __future__ import annotations

import itertools
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.pageblob_server import (
    CutBody,
    CutHeaders,
    Match,
    Moment,
    PageBlobServer,
    Refuse,
    Reset,
    Rule,
    Stall,
    bad_request,
    server_busy,
)
from tests.pageblob_server.errors import ServiceError
from tests.support.azurite import Azurite
from vhdtools.checksums import crc64
from vhdtools.errors import TargetError, VhdToolsError
from vhdtools.target.destination import open_target
from vhdtools.target.http_connection import Timeouts
from vhdtools.target.page_target import PageTarget

pytest_plugins = ["tests.pageblob_server.fixtures"]

SIGNATURE = "S3CRETc2lnbmF0dXJl"
SAS = f"sv=2024-11-04&sr=b&sp=racwdl&sig={SIGNATURE}"
KEY = "S3CRET" + "A" * 80 + "=="
SIZE = 1 << 20
DATA = memoryview(bytes(512))
FAULTS: list[Any] = [
    server_busy(3),
    bad_request(),
    Refuse(ServiceError(403, "AuthenticationFailed", "x", {"AuthenticationErrorDetail": SAS})),
    Refuse(ServiceError(409, "SomethingNew", f"for https://x/y?{SAS}")),
    Reset(Moment.BEFORE_EFFECT),
    Stall(None),
    CutHeaders(),
    CutBody(3),
]


def calls_on(target: PageTarget) -> list[Callable[[], object]]:
    return [
        target.state,
        lambda: target.create(SIZE, {}, replace=True),
        lambda: target.acquire_lease("11111111-2222-4333-8444-555555555555"),
        lambda: target.write(0, DATA, crc64(DATA)),
        lambda: target.clear(0, 512),
        lambda: list(target.page_ranges(0, SIZE)),
        lambda: target.read_into(0, bytearray(512)),
        lambda: target.set_metadata({"a": "b"}),
        lambda: target.set_content_md5(bytes(16)),
    ]


def texts_of(error: BaseException) -> Iterator[str]:
    """All that can be seen of an error and of those it came from."""
    yield "".join(traceback.format_exception(error))
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield from (str(current), repr(current), repr(current.args), repr(vars(current)))
        pending += [current.__cause__, current.__context__]


def assert_clean(error: BaseException) -> None:
    for text in texts_of(error):
        assert "S3CRET" not in text
        assert "sig=" not in text.replace("sig=REDACTED", "")


@pytest.mark.parametrize(
    "credential",
    [{"sas": SAS}, {"sas": None, "credential": KEY}, {"sas": None, "credential": SAS}],
    ids=["SAS in the URL", "key", "SAS"],
)
def test_errors_and_logs(
    page_blob_server: PageBlobServer, caplog: pytest.LogCaptureFixture, credential: dict[str, Any]
) -> None:
    caplog.set_level(logging.DEBUG)
    page_blob_server.create_blob("disks/disk.vhd", SIZE)
    options = {key: value for key, value in credential.items() if key != "sas"}
    target = open_target(
        page_blob_server.blob_url("disks/disk.vhd", credential["sas"]),
        timeouts=Timeouts(connect=5, stall=0.1, slowest=1 << 40),
        **options,
    )
    target.state()
    failed = 0
    for fault, call in itertools.product(FAULTS, calls_on(target)):
        page_blob_server.clear_faults()
        page_blob_server.inject(Rule(fault, Match()))
        try:
            call()
        except VhdToolsError as error:
            assert_clean(error)
            failed += 1
        finally:
            page_blob_server.release()
    assert failed >= len(FAULTS) * 7  # some answers have no body that could be cut
    target.close()
    assert "PUT /devstoreaccount1/disks/disk.vhd" in caplog.text
    assert "S3CRET" not in caplog.text
    assert "sig=" not in caplog.text
    # Nothing is said of faults but by errors: a command's output is its own.
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_against_azurite(azurite: Azurite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sas = azurite.sas("no-such-container", "x.vhd")
    signature = sas.rpartition("sig=")[2].partition("&")[0]
    wrong = sas.replace(signature, SIGNATURE)
    for text in (sas, wrong, wrong + "&sp=x"):
        target = open_target(f"{azurite.blob_url('no-such-container', 'x.vhd')}?{text}")
        for call in calls_on(target):
            with pytest.raises(TargetError) as failed:
                call()
            assert_clean(failed.value)
            assert all(signature not in seen for seen in texts_of(failed.value))
        target.close()
    assert signature not in caplog.text
    assert "S3CRET" not in caplog.text


def test_without_a_network() -> None:
    target = open_target(f"http://127.0.0.1:9/devstoreaccount1/disks/x.vhd?{SAS}")
    for call in calls_on(target):
        with pytest.raises(TargetError) as failed:
            call()
        assert_clean(failed.value)
    target.close()

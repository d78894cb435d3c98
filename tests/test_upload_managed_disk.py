"""Uploads to a managed disk's SAS, over HTTP, to a service that keeps the rules of such hosts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import vhdtools
from tests.pageblob_server import (
    Moment,
    Operation,
    PageBlobServer,
    Rule,
    Stall,
    internal_error,
    on,
)
from tests.pageblob_server.options import ManagedDisk
from tests.support.build_vhd import place
from tests.support.uploads import QUICK, dynamic, expected_blob, fixed
from vhdtools.cli import main
from vhdtools.errors import TargetRefusedError
from vhdtools.transfer import UploadOptions

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

NAME = "content/abcd"
WORD = ("A" * 32).ljust(1024, "-") * 16
OPTIONS = UploadOptions(retry=QUICK, workers=4)
ALLOWED = {"get-blob-properties", "get-page-ranges", "put-page"}


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return place(tmp_path / "disk.vhd", dynamic(WORD))


def content(server: PageBlobServer) -> bytes:
    return server.blob(NAME).read(0, server.blob(NAME).size)


def assert_kept_the_rules(server: PageBlobServer) -> None:
    assert not server.violations
    assert set(server.stats().by_operation) <= ALLOWED


def test_a_disk_is_known_by_its_host(
    serve: Serve, lead_here: Callable[[str], None], disk: Path
) -> None:
    size = len(expected_blob(disk))
    server = serve(managed_disks=(ManagedDisk(NAME, size),))
    host = "md-impexp-x1.z1.blob.storage.localhost"
    lead_here(host)
    url = server.blob_url(NAME).replace("127.0.0.1", host).replace("devstoreaccount1/", "")
    result = vhdtools.upload(disk, url, options=OPTIONS)
    assert content(server) == expected_blob(disk)
    assert result.unconfirmed_requests == 0
    assert_kept_the_rules(server)


def test_the_footer_is_written_last(serve: Serve, disk: Path) -> None:
    size = len(expected_blob(disk))
    server = serve(managed_disks=(ManagedDisk(NAME, size),))
    server.inject(Rule(Stall(0.2), on(Operation.PUT_PAGE, offset=0)))
    vhdtools.upload(disk, server.blob_url(NAME), options=OPTIONS, managed_disk=True)
    writes = [item for item in server.requests if item.operation is Operation.PUT_PAGE]
    last = max(writes, key=lambda item: item.started)
    assert last.offset == size - 512
    assert all(item.started + item.seconds <= last.started for item in writes if item is not last)


def test_the_size_must_be_right_and_the_fix_is_told(serve: Serve, disk: Path) -> None:
    size = len(expected_blob(disk))
    server = serve(managed_disks=(ManagedDisk(NAME, size + (1 << 20)),))
    with pytest.raises(TargetRefusedError, match=f"--upload-size-bytes {size}"):
        vhdtools.upload(disk, server.blob_url(NAME), options=OPTIONS, managed_disk=True)
    command = ["upload", str(disk), server.blob_url(NAME), "--managed-disk", "--no-progress"]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 1
    assert f"--upload-size-bytes {size}" in found.stderr
    assert server.stats().written_bytes == 0
    assert_kept_the_rules(server)


def test_verify_is_refused_before_anything_is_sent(serve: Serve, disk: Path) -> None:
    server = serve(managed_disks=(ManagedDisk(NAME, len(expected_blob(disk))),))
    command = ["upload", str(disk), server.blob_url(NAME), "--managed-disk", "--verify"]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 2
    assert server.stats().written_bytes == 0


@pytest.mark.parametrize("skip", [0, 3, 9, 16])
def test_killed_anywhere_it_goes_on_by_page_ranges(serve: Serve, disk: Path, skip: int) -> None:
    expected = expected_blob(disk)
    server = serve(managed_disks=(ManagedDisk(NAME, len(expected)),))
    server.inject(Rule(Stall(None, Moment.AFTER_EFFECT), on(Operation.PUT_PAGE), skip=skip))
    command = [sys.executable, "-m", "vhdtools", "upload", str(disk), server.blob_url(NAME)]
    with subprocess.Popen(
        [*command, "--managed-disk", "--no-progress", "--workers", "2"],
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            while not server.stats().faults:
                assert process.poll() is None
                time.sleep(0.005)
        finally:
            process.kill()
    server.clear_faults()
    server.release()
    result = vhdtools.upload(disk, server.blob_url(NAME), options=OPTIONS, managed_disk=True)
    assert content(server) == expected
    assert not result.resumed_proven
    assert server.blob(NAME).rewritten_bytes <= 2 * 4 * 16384
    assert_kept_the_rules(server)


def test_faults_are_got_over_within_the_rules(serve: Serve, tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", fixed(WORD))
    expected = expected_blob(disk)
    server = serve(managed_disks=(ManagedDisk(NAME, len(expected)),), page_ranges_per_answer=3)
    server.inject(Rule(internal_error(Moment.AFTER_EFFECT), on(), times=None, probability=0.3))
    result = vhdtools.upload(disk, server.blob_url(NAME), options=OPTIONS, managed_disk=True)
    assert result.retries > 0
    assert content(server) == expected
    assert_kept_the_rules(server)


def test_a_dry_run_says_what_it_would_be(serve: Serve, disk: Path) -> None:
    server = serve(managed_disks=(ManagedDisk(NAME, len(expected_blob(disk))),))
    command = ["upload", str(disk), server.blob_url(NAME), "--managed-disk", "--dry-run"]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 0
    assert "managed disk" in found.output
    assert server.stats().written_bytes == 0
    assert_kept_the_rules(server)

"""`vhdtool upload` and `vhdtool verify` as scripts and people use them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.pageblob_server import (
    SAS,
    Operation,
    PageBlobServer,
    Refuse,
    Rule,
    Stall,
    on,
    server_busy,
)
from tests.pageblob_server.errors import ServiceError
from tests.support.build_vhd import Recipe, place
from tests.support.uploads import dynamic, expected_blob, target_at
from vhdtools.checksums import crc64
from vhdtools.cli import main
from vhdtools.inspection import inspect
from vhdtools.transfer.footer import fixed_footer

NAME = "disks/disk.vhd"
MIB = 1 << 20
WORD = ("A" * 32).ljust(1024, "-") * 16
FRESH = SAS.rpartition("sig=")[0] + "sig=ZnJlc2g%3D"


@pytest.fixture
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer() as running:
        running.create_container("disks")
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return place(tmp_path / "disk.vhd", dynamic(WORD))


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No account in the environment, no thread of ours left, logging as it was."""
    for variable in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(variable)
    root, ours = logging.getLogger(), logging.getLogger("vhdtools")
    handlers, level = root.handlers[:], ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("vhdtools")]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(item) for item in arguments])


def content(server: PageBlobServer) -> bytes:
    return server.blob(NAME).read(0, server.blob(NAME).size)


def terminal() -> tuple[int, int]:
    """Both ends of a terminal of 100 columns: ours, and the one that a process writes to."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    return ours, theirs


def shown_on(ours: int, theirs: int) -> str:
    """All that was written to a terminal, which is closed then."""
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
        while piece := terminal.read(1 << 16):
            shown += piece
    return shown.decode()


class Process:
    """`vhdtool` in a process of its own."""

    def __init__(self, *arguments: object, stderr: int = subprocess.PIPE) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vhdtools", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, as it will be while the process runs."""
        while not condition():
            assert self._process.poll() is None, self._process.communicate()
            time.sleep(0.002)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        output, errors = self._process.communicate(timeout=60)
        return self._process.returncode, output, errors or ""


class TestJson:
    def test_of_an_upload(self, server: PageBlobServer, disk: Path) -> None:
        found = run("upload", disk, server.blob_url(NAME), "--json", "--no-progress")
        assert found.exit_code == 0
        assert found.stderr == ""
        result = json.loads(found.stdout)
        blob = content(server)
        expected = {
            "blob_url": server.blob_url(NAME, sas=None),
            "blob_size": len(blob),
            "virtual_size": 8 << 20,
            "sent_bytes": 16 * 32 * 512 + 512,
            "requests": 17,
            "zero_bytes": len(blob) - 16 * 32 * 512 - 512,
            "resumed_bytes": 0,
            "retries": 0,
            "crc64": f"{crc64(blob):016x}",
            "verified": None,
            "already_there": False,
            "already_there_by": None,
            "path": None,
            "padded_bytes": 0,
            "resumed_proven": True,
            "unconfirmed_requests": 0,
            "retry_reasons": {},
            "content_md5": None,
        }
        assert isinstance(result.pop("elapsed_seconds"), float)
        reading = result.pop("reading")
        assert reading["size"]["choice"] == "current"
        assert reading["base"] is None
        assert reading["bitmaps"]["contested"] is False
        assert [item["code"] for item in result.pop("findings")] == [
            finding.code for finding in inspect(disk).findings
        ]
        readiness = result.pop("readiness")
        assert {purpose: each["ready"] for purpose, each in readiness.items()} == {
            "page_blob": True,
            "managed_disk": False,
            "boot_gen1": False,
            "boot_gen2": False,
        }
        assert result == expected
        assert blob == expected_blob(disk)

    def test_of_one_that_is_verified_and_hashed(self, server: PageBlobServer, disk: Path) -> None:
        url = server.blob_url(NAME)
        found = run("upload", disk, url, "--json", "--verify", "--content-md5", "--no-progress")
        result = json.loads(found.stdout)
        assert result["verified"] is True
        assert re.fullmatch("[0-9a-f]{32}", result["content_md5"])

    def test_of_one_that_was_there(self, server: PageBlobServer, disk: Path) -> None:
        run("upload", disk, server.blob_url(NAME))
        result = json.loads(run("upload", disk, server.blob_url(NAME), "--json").stdout)
        assert result["already_there"] is True
        assert result["resumed_bytes"] == result["blob_size"]
        assert result["sent_bytes"] == result["requests"] == result["zero_bytes"] == 0

    def test_of_a_difference(self, server: PageBlobServer, disk: Path, tmp_path: Path) -> None:
        run("upload", disk, server.blob_url(NAME))
        other = place(tmp_path / "other.vhd", dynamic(WORD.replace("A", "B")))
        found = run("verify", other, server.blob_url(NAME), "--json", "--no-progress")
        assert found.exit_code == 1
        told = json.loads(found.stdout)
        assert told["verified"] is False
        assert told["changed"] == "disk"
        assert told["difference_offset"] == 8
        assert told["ranges"] == [[MIB // 2 * i, 32 * 512] for i in range(16)]
        assert "16 ranges differ, 262,144 bytes: (0, 16,384), (524,288, 16,384), " in found.stderr
        assert "and 8 more" in found.stderr

    def test_of_a_verification(self, server: PageBlobServer, disk: Path) -> None:
        run("upload", disk, server.blob_url(NAME))
        result = json.loads(run("verify", disk, server.blob_url(NAME), "--json").stdout)
        assert result["verified"] is True
        assert result["blob_url"] == server.blob_url(NAME, sas=None)
        assert result["crc64"] == f"{crc64(content(server)):016x}"

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_a_failure_says_nothing_on_stdout(
        self, options: list[str], server: PageBlobServer, disk: Path
    ) -> None:
        found = run("upload", disk, server.blob_url("nowhere/disk.vhd"), *options)
        assert found.exit_code == 1
        assert found.stdout == ""
        assert re.search("^Error: ", found.stderr, re.MULTILINE)

    def test_of_a_dry_run(self, server: PageBlobServer, disk: Path) -> None:
        found = run("upload", disk, server.blob_url(NAME), "--dry-run", "--json")
        result = json.loads(found.stdout)
        assert result["dry_run"] is True
        assert result["outlook"] == "create"
        assert result["data_bytes"] >= 16 * 32 * 512 + 512
        assert "SAS" in result["credentials"]


class TestCompare:
    """What is said of a blob that is not, or not yet, the disk."""

    def test_a_write_since_is_seen_and_never_called_verified(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        run("upload", disk, server.blob_url(NAME))
        write_page(server, 512)
        found = run("upload", disk, server.blob_url(NAME), "--json")
        assert found.exit_code == 1
        told = json.loads(found.stdout)
        assert told["ranges"] == [[512, 512]]
        assert told["changed"] == "target"
        assert "was written to since (last modified 20" in found.stderr
        assert "with the same arguments, and --overwrite" in found.stderr
        assert "sig=" not in found.stderr

    def test_the_command_that_helps_is_named_and_works(
        self, server: PageBlobServer, disk: Path, tmp_path: Path
    ) -> None:
        sas = tmp_path / "sas"
        sas.write_text(SAS)
        url = server.blob_url(NAME, sas=None)
        run("upload", disk, url, "--sas-file", sas)
        write_page(server, 512)
        found = run("verify", disk, url, "--sas-file", sas)
        assert found.exit_code == 1
        (command,) = re.findall(r"`(vhdtool .+)`", found.stderr)
        assert command == f"vhdtool upload {disk} {url} --sas-file {sas} --overwrite"
        assert run(*shlex.split(command)[1:]).exit_code == 0
        assert content(server) == expected_blob(disk)

    def test_an_unfinished_upload_is_to_be_resumed(
        self, server: PageBlobServer, disk: Path, tmp_path: Path
    ) -> None:
        no = Refuse(ServiceError(400, "InvalidInput", "No."))
        server.inject(Rule(no, on(Operation.PUT_PAGE), skip=8))
        run("upload", disk, server.blob_url(NAME), "--workers", "1")
        server.clear_faults()
        at = checkpoint(server)
        assert at > 0
        sas = tmp_path / "sas"
        sas.write_text(SAS)
        url = server.blob_url(NAME, sas=None)
        found = run("verify", disk, url, "--sas-file", sas, "--json")
        assert found.exit_code == 1
        assert json.loads(found.stdout)["unfinished_at"] == at
        assert f"unfinished upload: {at:,} of 8,389,120 bytes are confirmed" in found.stderr
        assert "--overwrite" not in found.stderr
        (command,) = re.findall(r"`(vhdtool .+)`", found.stderr)
        assert run(*shlex.split(command)[1:]).exit_code == 0
        assert run("verify", disk, url, "--sas-file", sas).exit_code == 0

    def test_one_that_runs_is_to_be_waited_for(self, server: PageBlobServer, disk: Path) -> None:
        options = ("--max-rate", "64K", "--checkpoint-interval", "0.1")
        process = Process("upload", disk, server.blob_url(NAME), *options)
        process.until(lambda: checkpoint(server) > 0)
        found = run("verify", disk, server.blob_url(NAME))
        process.signal(signal.SIGINT)
        process.end()
        assert found.exit_code == 1
        assert "an upload to it is running" in found.stderr
        assert "Wait until it has finished" in found.stderr
        assert "--overwrite" not in found.stderr


def write_page(server: PageBlobServer, offset: int) -> None:
    """Write a page as another client does."""
    with target_at(server.blob_url(NAME)) as target:
        page = b"\7" * 512
        assert target.write(offset, memoryview(page), crc64(page))


class TestFile:
    """Words for files where a file is written."""

    def test_text(self, disk: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.vhd"
        said = run("upload", disk, f"file:{out}", "--dry-run").stdout
        said += run("upload", disk, f"file:{out}").stdout
        said += run("verify", disk, f"file:{out}").stdout
        assert f"Wrote: {out}\n" in said
        for word in ("service", "sent", "send", "Uploaded", "request", "page ranges"):
            assert word not in said, word
        assert "  blob " not in said

    def test_json_has_the_path(self, disk: Path, tmp_path: Path) -> None:
        out = tmp_path / "out.vhd"
        for command in (
            ["upload", disk, f"file:{out}", "--dry-run"],
            ["upload", disk, f"file:{out}"],
            ["verify", disk, f"file:{out}"],
        ):
            told = json.loads(run(*command, "--json").stdout)
            assert told["path"] == told["blob_url"] == str(out)


class TestText:
    def test_it_says_what_was_sent_skipped_and_confirmed(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        said = run("upload", disk, server.blob_url(NAME)).stdout
        assert said.startswith(f"Uploaded: {server.blob_url(NAME, sas=None)}\n")
        for part in ("262,656", "17 requests", "skipped", "confirmed by the service for every"):
            assert part in said
        again = run("upload", disk, server.blob_url(NAME)).stdout
        assert again.startswith("Already there: ")
        assert "the whole blob was read back, and is equal to the disk" in again

    def test_a_disk_that_is_no_whole_mib_is_padded_and_that_is_said(
        self, server: PageBlobServer, tmp_path: Path
    ) -> None:
        disk = place(tmp_path / "disk.vhd", dynamic("A" * 2047))
        assert "512 bytes of zeros" in run("upload", disk, server.blob_url(NAME)).stdout

    def test_retries_are_said(self, server: PageBlobServer, disk: Path) -> None:
        server.inject(Rule(server_busy(), on(Operation.PUT_PAGE), times=3))
        said = run("upload", disk, server.blob_url(NAME), "--retry-delay", "0.01").stdout
        assert re.search(r"tried again\s+3 \(3 × 503\)", said)

    def test_progress_without_a_terminal_is_a_line_at_the_end(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        said = run("upload", disk, server.blob_url(NAME), "--verify").stderr
        assert "Uploading disk.vhd: 100% (0.3 of 0.3 MiB" in said
        assert "Verifying disk.vhd: 100% (0.3 of 0.3 MiB" in said
        assert "not ready: managed disk: requires at least 20 MiB, found 8 MiB\n" in said
        assert run("upload", disk, server.blob_url(NAME), "--no-progress").stderr == ""

    def test_progress_on_a_terminal_ends_at_100_percent(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        ours, theirs = terminal()
        process = Process("upload", disk, server.blob_url(NAME), stderr=theirs)
        code, output, _ = process.end()
        shown = shown_on(ours, theirs)
        assert code == 0
        assert output.startswith("Uploaded: ")
        assert "Uploading disk.vhd 100%" in shown
        assert shown.endswith("\r\n")

    def test_an_error_is_on_a_line_of_its_own_on_a_terminal(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        no = Refuse(ServiceError(400, "InvalidInput", "No."))
        server.inject(Rule(no, on(Operation.PUT_PAGE), skip=5))
        ours, theirs = terminal()
        code, _, _ = Process("upload", disk, server.blob_url(NAME), stderr=theirs).end()
        shown = shown_on(ours, theirs)
        assert code == 1
        assert re.search(r"\n(\x1b\[[0-9;]*m)*Error: ", shown)


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--dry-run"]])
def test_what_no_page_blob_holds_is_refused_before_any_request(
    options: list[str], server: PageBlobServer, tmp_path: Path
) -> None:
    disk = tmp_path / "huge.vhd"
    with disk.open("wb") as file:
        file.truncate(8 << 40)
        file.seek(0, os.SEEK_END)
        file.write(fixed_footer(None, 8 << 40))
    found = run("upload", disk, server.blob_url(NAME), *options)
    assert found.exit_code == 1
    assert "at most 8,796,093,022,208 bytes" in found.stderr
    assert "az disk create" in found.stderr
    assert not server.requests


class TestDryRun:
    @pytest.mark.parametrize("before", ["nothing", "finished", "unfinished", "foreign", "other"])
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_it_changes_nothing(
        self,
        before: str,
        overwrite: bool,
        server: PageBlobServer,
        disk: Path,
        tmp_path: Path,
    ) -> None:
        if before == "foreign":
            server.create_blob(NAME, 8 << 20, (0, b"\7" * 512))
        if before == "finished":
            run("upload", disk, server.blob_url(NAME))
        if before == "other":
            other = place(tmp_path / "other.vhd", dynamic("B" * 2048))
            run("upload", other, server.blob_url(NAME))
        if before == "unfinished":
            no = Refuse(ServiceError(400, "InvalidInput", "No."))
            server.inject(Rule(no, on(Operation.PUT_PAGE), skip=8))
            run("upload", disk, server.blob_url(NAME))
        view = server.blob(NAME)
        was = (view.etag, view.lease_state, content(server)) if view.exists else None
        requests = len(server.requests)
        command = ["upload", disk, server.blob_url(NAME), "--dry-run"]
        found = run(*command, *(["--overwrite"] if overwrite else []))
        assert found.exit_code == 0
        assert {item.operation for item in server.requests[requests:]} == {Operation.GET_PROPERTIES}
        now = (view.etag, view.lease_state, content(server)) if view.exists else None
        assert now == was
        expected = {
            "nothing": "it would be created",
            "finished": "compared by CRC-64",
            "unfinished": "it would be resumed at",
            "foreign": "it would be refused",
            "other": "it would be refused",
        }[before]
        if overwrite and before != "nothing":
            expected = "would be replaced"
        assert expected in found.stdout
        assert "SAS in the URL" in found.stdout

    def test_to_a_file_it_makes_none(self, disk: Path, tmp_path: Path) -> None:
        found = run("upload", disk, f"file:{tmp_path / 'out.vhd'}", "--dry-run")
        assert found.exit_code == 0
        assert [path.name for path in tmp_path.iterdir()] == ["disk.vhd"]


class TestExitCodes:
    def test_1_for_a_disk_that_must_not_be_uploaded(
        self, server: PageBlobServer, tmp_path: Path
    ) -> None:
        bad = Recipe("A" * 64, header={"max_table_entries": 1}, block_size=4096)
        disk = place(tmp_path / "bad.vhd", bad)
        found = run("upload", disk, server.blob_url(NAME))
        assert found.exit_code == 1
        assert "Error: " in found.stderr
        assert not server.requests

    def test_1_for_a_file_that_is_not_there(self, server: PageBlobServer, tmp_path: Path) -> None:
        found = run("upload", tmp_path / "no.vhd", server.blob_url(NAME))
        assert found.exit_code == 1
        assert "no such file" in found.stderr

    def test_1_for_a_blob_of_somebody_else(self, server: PageBlobServer, disk: Path) -> None:
        server.create_blob(NAME, 512)
        found = run("upload", disk, server.blob_url(NAME))
        assert found.exit_code == 1
        assert "--overwrite" in found.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ["upload"],
            ["upload", "DISK"],
            ["upload", "DISK", "URL", "--workers", "0"],
            ["upload", "DISK", "URL", "--max-rate", "fast"],
            ["upload", "DISK", "URL", "--max-rate", "0"],
            ["upload", "DISK", "URL", "--max-rate", "10"],
            ["upload", "DISK", "URL", "--frobnicate"],
            ["upload", "DISK", "ftp://example.invalid/c/b"],
            ["upload", "DISK", "nonsense"],
            ["upload", "DISK", "file:out.img"],
            ["upload", "DISK", "container/blob.vhd"],
            ["verify", "DISK", "https://a.blob.core.windows.net/"],
            ["upload", "DISK", "URL", "--connection-string", "nonsense"],
        ],
    )
    def test_2_for_a_call_that_cannot_be_meant(
        self, arguments: list[str], server: PageBlobServer, disk: Path
    ) -> None:
        known = {"DISK": str(disk), "URL": server.blob_url(NAME)}
        found = run(*[known.get(item, item) for item in arguments])
        assert found.exit_code == 2
        assert found.stdout == ""
        assert not server.requests

    def test_3_when_patience_ends_and_again_goes_on(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        server.inject(Rule(server_busy(), on(Operation.PUT_PAGE), skip=8, times=None))
        command = ["upload", disk, server.blob_url(NAME), "--retry-delay", "0.01"]
        found = run(*command, "--patience", "0.1", "--workers", "1")
        assert found.exit_code == 3
        assert "same command again" in found.stderr
        server.clear_faults()
        again = run(*command, "--json", "--no-progress")
        assert again.exit_code == 0
        assert json.loads(again.stdout)["resumed_bytes"] > 0
        assert content(server) == expected_blob(disk)

    def test_3_when_the_sas_expires_with_what_to_do(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        server.expire_sas(after=12)
        found = run("upload", disk, server.blob_url(NAME), "--workers", "1")
        assert found.exit_code == 3
        assert "the SAS has expired" in found.stderr
        assert "Make a new SAS" in found.stderr
        assert "same command again" in found.stderr

    def test_1_for_a_difference_and_the_next_upload_begins_anew(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        from tests.pageblob_server import FlipRequest

        server.inject(Rule(FlipRequest(100, unnoticed=True), on(Operation.PUT_PAGE)))
        found = run("upload", disk, server.blob_url(NAME), "--verify", "--json")
        assert found.exit_code == 1
        assert json.loads(found.stdout)["verified"] is False
        again = run("upload", disk, server.blob_url(NAME), "--verify", "--json", "--no-progress")
        assert json.loads(again.stdout)["resumed_bytes"] == 0
        assert content(server) == expected_blob(disk)


def checkpoint(server: PageBlobServer) -> int:
    """How far an unfinished upload has come, by the blob's metadata; 0 without a blob."""
    blob = server.blob(NAME)
    return int(blob.metadata["vhdtools_checkpoint"].partition(",")[0]) if blob.exists else 0


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_once_ends_in_order_and_says_how_to_go_on(
        self, number: int, server: PageBlobServer, disk: Path
    ) -> None:
        options = ("--max-rate", "256K", "--checkpoint-interval", "0.1")
        process = Process("upload", disk, server.blob_url(NAME), *options)
        process.until(lambda: checkpoint(server) > 0)
        process.signal(number)
        code, output, errors = process.end()
        assert code == 130
        assert output == ""
        assert "Stopping" in errors
        assert "Error" not in errors
        assert "Run the same command again to resume from there" in errors
        assert "Traceback" not in errors
        blob = server.blob(NAME)
        assert blob.lease_state == "available"
        at = checkpoint(server)
        assert f"{at:,}" in errors
        assert at > 0
        again = run("upload", disk, server.blob_url(NAME), "--json", "--no-progress")
        assert json.loads(again.stdout)["resumed_bytes"] == at
        assert content(server) == expected_blob(disk)

    def test_twice_ends_at_once(self, server: PageBlobServer, disk: Path) -> None:
        server.inject(Rule(Stall(None), on(Operation.PUT_PAGE), skip=4, times=None))
        process = Process("upload", disk, server.blob_url(NAME))
        process.until(lambda: bool(server.stats().faults))
        process.signal(signal.SIGINT)
        time.sleep(0.1)
        process.signal(signal.SIGINT)
        code, output, errors = process.end()
        assert code == 130
        assert output == ""
        assert "Traceback" not in errors
        server.clear_faults()
        server.release()
        assert run("upload", disk, server.blob_url(NAME)).exit_code == 0
        assert content(server) == expected_blob(disk)

    def test_once_while_the_service_does_not_answer(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        server.inject(Rule(server_busy(), on(), times=None))
        process = Process("upload", disk, server.blob_url(NAME), "--retry-delay", "30")
        process.until(lambda: bool(server.stats().faults))
        process.signal(signal.SIGINT)
        code, _, errors = process.end()
        assert code == 130
        assert "before anything was sent" in errors

    def test_once_while_verifying(self, server: PageBlobServer, disk: Path) -> None:
        run("upload", disk, server.blob_url(NAME))
        server.inject(Rule(server_busy(), on(Operation.GET_BLOB), times=None))
        process = Process("verify", disk, server.blob_url(NAME), "--retry-delay", "30")
        process.until(lambda: bool(server.stats().faults))
        process.signal(signal.SIGTERM)
        code, output, errors = process.end()
        assert (code, output) == (130, "")
        assert "Traceback" not in errors


class TestFreshSas:
    def test_the_file_is_read_again(
        self, server: PageBlobServer, disk: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "sas.txt"
        file.write_text(SAS + "\n")
        url = server.blob_url(NAME, sas=None)
        process = Process("upload", disk, url, "--sas-file", file, "--max-rate", "256K", "--json")
        process.until(lambda: server.stats().by_operation.get("put-page", 0) >= 4)
        file.write_text(FRESH)
        server.set_sas(FRESH)
        code, output, errors = process.end()
        assert code == 0, errors
        assert json.loads(output)["retry_reasons"]["access"] >= 1
        assert content(server) == expected_blob(disk)
        assert "sig=" not in output + errors

    def test_without_a_fresh_one_it_says_what_to_do(
        self, server: PageBlobServer, disk: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "sas.txt"
        file.write_text(SAS)
        server.expire_sas(after=12)
        url = server.blob_url(NAME, sas=None)
        found = run("upload", disk, url, "--sas-file", file, "--workers", "1")
        assert found.exit_code == 3
        file.write_text(FRESH)
        server.set_sas(FRESH)
        server.pass_time(61)
        assert run("upload", disk, url, "--sas-file", file).exit_code == 0
        assert content(server) == expected_blob(disk)


class TestLogging:
    @pytest.mark.parametrize("options", [["-v"], ["-vv"]])
    def test_it_goes_to_stderr_by_the_logging_module(
        self, options: list[str], server: PageBlobServer, disk: Path
    ) -> None:
        server.inject(Rule(server_busy(), on(Operation.PUT_PAGE)))
        logged: list[Any] = []

        class Collect(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                logged.append((record.name, record.levelno))

        handler = Collect()
        logging.getLogger().addHandler(handler)
        url = server.blob_url(NAME)
        found = run(*options, "upload", disk, url, "--json", "--retry-delay", "0.01")
        assert found.exit_code == 0
        json.loads(found.stdout)
        assert {name.partition(".")[0] for name, _ in logged} == {"vhdtools"}
        levels = {level for _, level in logged}
        assert logging.INFO in levels
        assert (logging.DEBUG in levels) == (options == ["-vv"])

    def test_a_process_logs_what_is_tried_again(self, server: PageBlobServer, disk: Path) -> None:
        server.inject(Rule(server_busy(), on(Operation.PUT_PAGE)))
        url = server.blob_url(NAME)
        code, _, errors = Process("-v", "upload", disk, url, "--retry-delay", "0.01").end()
        assert code == 0
        assert "trying again" in errors
        assert "sig=" not in errors

"""What a user sees while a command works, and while it waits: on a terminal, without, as JSON."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
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

import vhdtools
from tests.pageblob_server import Operation, PageBlobServer, Refuse, Rule, on, server_busy
from tests.pageblob_server.errors import ServiceError
from tests.support.build_vhd import place
from tests.support.clock import FakeClock
from tests.support.uploads import dynamic, expected_blob
from vhdtools.cli.meter import Meter, amounts_text, clock_text, rate_text
from vhdtools.cli.outage_text import Announcer, Countdown, seconds_text
from vhdtools.progress import RecoveredEvent, RetryEvent
from vhdtools.transfer.plan import Chunk, plan

NAME = "disks/disk.vhd"
WORD = ("A" * 32).ljust(1024, "-") * 16
MIB = 1 << 20

EVENT = RetryEvent("writing pages", "https://host/c/b", "it is busy", "503", 3, 12.0, 600.0, 9.0)


@pytest.fixture
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer() as running:
        running.create_container("disks")
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return place(tmp_path / "disk.vhd", dynamic(WORD))


class Command:
    """`vhdtool` in a process, its stderr read as it comes: from a terminal, or from a pipe."""

    def __init__(self, *arguments: object, terminal: bool = False) -> None:
        ours, theirs = pty.openpty() if terminal else os.pipe()
        if terminal:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 160, 0, 0))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AZURE_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vhdtools", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            start_new_session=True,
            env={**environment, "PYTHONWARNINGS": "error"},
        )
        os.close(theirs)
        self._shown = b""
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, ours: int) -> None:
        # At its end a terminal fails with EIO.
        with open(ours, "rb", buffering=0) as stream, contextlib.suppress(OSError):
            while piece := stream.read(1 << 16):
                self._shown += piece

    @property
    def shown(self) -> str:
        return self._shown.decode()

    def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            assert self._process.poll() is None, (self.shown, self._process.communicate())
            time.sleep(0.01)

    def until_shown(self, pattern: str) -> None:
        self.until(lambda: re.search(pattern, self.shown))

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """The exit code and stdout."""
        output, _ = self._process.communicate(timeout=60)
        self._reader.join(60)
        return self._process.returncode, output


def outage(server: PageBlobServer, skip: int = 4) -> None:
    """Every Put Page after the first ones is refused, until `clear_faults`."""
    server.inject(Rule(server_busy(), on(Operation.PUT_PAGE), skip=skip, times=None))


def rows(shown: str) -> list[str]:
    """What stood in a terminal's lines at some time."""
    return [row.strip() for row in re.split(r"[\r\n]|\x1b\[A", shown) if row.strip()]


class TestOutage:
    def test_on_a_terminal_the_clock_runs_and_the_end_is_told(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        outage(server)
        url = server.blob_url(NAME)
        command = Command("upload", disk, url, "--retry-delay", "8", terminal=True)
        command.until_shown(r"Retrying: writing pages failed once")
        command.until_shown(r"attempt 2 in \d s, giving up in 14:5\d")
        first = re.findall(r"giving up in (14:\d\d)", command.shown)[-1]
        command.until(lambda: re.findall(r"giving up in (14:\d\d)", command.shown)[-1] < first)
        server.clear_faults()
        code, output = command.end()
        assert code == 0
        assert output.startswith("Uploaded: ")
        assert "Recovered after" in command.shown
        shown = rows(command.shown)
        for row in shown:
            for note in ("Retrying: ", "Recovered after"):
                assert note not in row or row.startswith(note), row
        waiting = [row for row in shown if "attempt 2 in" in row]
        assert all("disk.vhd" in row and "MiB/s" not in row.split("attempt")[1] for row in waiting)
        assert shown[-1].startswith("Uploading disk.vhd 100%")

    def test_without_a_terminal_there_are_lines_at_once(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        outage(server)
        command = Command("upload", disk, server.blob_url(NAME), "--retry-delay", "0.5")
        command.until_shown(
            r"\Anot ready: managed disk: .+\n"
            r"Retrying: writing pages failed once: .+ Next try in 0\.\d s, giving up in 15:00\.\n"
        )
        server.clear_faults()
        assert command.end()[0] == 0
        lines = command.shown.splitlines()
        assert sum(line.startswith("Retrying") for line in lines) == 1, "eight workers, one outage"
        assert sum(line.startswith("Recovered after") for line in lines) == 1
        assert "sig=" not in command.shown

    def test_a_service_that_is_away_before_the_first_request(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        server.inject(Rule(server_busy(), on(), times=None))
        command = Command("upload", disk, server.blob_url(NAME), terminal=True)
        command.until_shown(r"Retrying: reading the properties failed once: ")
        command.until_shown(r"Waiting: attempt \d+ in \d+ s, giving up in 14:\d\d: ")
        command.signal(signal.SIGTERM)
        assert command.end()[0] == 130
        assert "reading the properties was failing: " in command.shown
        assert "Error:" not in command.shown

    def test_a_server_that_goes_while_pages_are_sent(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        command = Command("upload", disk, server.blob_url(NAME), "--max-rate", "64K")
        command.until(lambda: server.stats().by_operation.get("put-page", 0) >= 2)
        server.stop()
        command.until_shown("Retrying: writing pages failed once: ")
        command.signal(signal.SIGTERM)
        assert command.end()[0] == 130
        assert "was failing: " in command.shown

    @pytest.mark.parametrize("verb", ["verify", "inspect"])
    def test_reading_commands_tell_as_well(
        self, verb: str, server: PageBlobServer, disk: Path
    ) -> None:
        assert Command("upload", disk, server.blob_url(NAME), "--no-progress").end()[0] == 0
        server.inject(Rule(server_busy(), on(Operation.GET_PROPERTIES)))
        disks = [disk] if verb == "verify" else []
        command = Command(verb, *disks, server.blob_url(NAME), "--retry-delay", "0.01")
        assert command.end()[0] == 0
        assert "Retrying: reading the properties failed once: " in command.shown
        assert "Recovered after 0.0 s: " in command.shown

    def test_a_dry_run_retries(self, server: PageBlobServer, disk: Path) -> None:
        server.inject(Rule(server_busy(), on(Operation.GET_PROPERTIES)))
        command = Command(
            "upload", disk, server.blob_url(NAME), "--dry-run", "--retry-delay", "0.01"
        )
        assert command.end()[0] == 0

    def test_the_cause_is_given_after_sigterm(self, server: PageBlobServer, disk: Path) -> None:
        outage(server)
        options = ("--retry-delay", "30", "--checkpoint-interval", "0.1")
        command = Command("upload", disk, server.blob_url(NAME), *options)
        command.until_shown("Retrying")
        command.signal(signal.SIGTERM)
        assert command.end()[0] == 130
        stopped = [line for line in command.shown.splitlines() if ": stopped at " in line]
        assert len(stopped) == 1
        assert "; writing pages was failing: " in stopped[0]


class TestStopping:
    @pytest.mark.parametrize("terminal", [False, True])
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_it_says_what_is_safe_and_the_command_that_resumes(
        self, number: int, terminal: bool, server: PageBlobServer, tmp_path: Path
    ) -> None:
        disk = place(tmp_path / "my disk.vhd", dynamic(WORD))
        sas = tmp_path / "sas"
        sas.write_text(server.blob_url(NAME).partition("?")[2])
        url = server.blob_url(NAME, sas=None)
        options = ("--sas-file", sas, "--checkpoint-interval", "0.1")
        slow = ("--max-rate", "256K")
        command = Command("upload", disk, url, *options, *slow, terminal=terminal)
        command.until(lambda: checkpoint(server) > 0)
        command.signal(number)
        assert command.end()[0] == 130
        at = checkpoint(server)
        assert at > 0
        assert "Error" not in command.shown
        assert f": stopped at {at:,} of 8,389,120 bytes, which are safe." in command.shown
        again = [row for row in rows(command.shown) if row.startswith("vhdtool upload ")]
        tail = f"--sas-file {sas} --checkpoint-interval 0.1 --max-rate 256K"
        assert again == [f"vhdtool upload '{disk}' {url} {tail}"]
        second = Command("upload", disk, url, *options, "--json", "--no-progress")
        code, output = second.end()
        assert code == 0
        assert json.loads(output)["resumed_bytes"] == at
        blob = server.blob(NAME)
        assert blob.read(0, blob.size) == expected_blob(disk)

    def test_a_secret_is_not_repeated(self, server: PageBlobServer, disk: Path) -> None:
        command = Command("upload", disk, server.blob_url(NAME), "--max-rate", "256K")
        command.until(lambda: server.stats().by_operation.get("put-page", 0) >= 2)
        command.signal(signal.SIGINT)
        assert command.end()[0] == 130
        assert "sig=" not in command.shown
        assert "Run the same command again" in command.shown

    def test_a_hangup_that_is_ignored_stays_ignored(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            command = Command("upload", disk, server.blob_url(NAME), "--max-rate", "256K")
        finally:
            signal.signal(signal.SIGHUP, before)
        command.until(lambda: server.stats().by_operation.get("put-page", 0) >= 2)
        command.signal(signal.SIGHUP)
        assert command.end()[0] == 0

    def test_a_second_hangup_is_not_impatience(self, server: PageBlobServer, disk: Path) -> None:
        options = ("--max-rate", "256K", "--checkpoint-interval", "0.1")
        command = Command("upload", disk, server.blob_url(NAME), *options)
        command.until(lambda: checkpoint(server) > 0)
        command.signal(signal.SIGTERM)
        command.signal(signal.SIGHUP)
        assert command.end()[0] == 130
        assert "which are safe" in command.shown


def checkpoint(server: PageBlobServer) -> int:
    blob = server.blob(NAME)
    return int(blob.metadata["vhdtools_checkpoint"].partition(",")[0]) if blob.exists else 0


class TestResumed:
    def test_the_bar_starts_where_it_was(self, server: PageBlobServer, disk: Path) -> None:
        no = Refuse(ServiceError(400, "InvalidInput", "No."))
        server.inject(Rule(no, on(Operation.PUT_PAGE), skip=8))
        url = server.blob_url(NAME)
        assert Command("upload", disk, url, "--workers", "1").end()[0] == 1
        assert checkpoint(server) > 0
        command = Command("upload", disk, url, "--progress", "json")
        assert command.end()[0] == 0
        events = [json.loads(line) for line in command.shown.splitlines()]
        (start,) = [e for e in events if e["event"] == "start" and e["name"] == "uploading"]
        with vhdtools.open(disk) as image:  # its extents follow the file system's holes
            steps = list(plan(image.extents(), image.virtual_size))
        chunks = [step.length for step in steps if isinstance(step, Chunk)]
        assert len(chunks) == 16
        assert start["done"] == sum(chunks[:8])
        assert start["total"] == sum(chunks) + 512


class TestJson:
    def test_every_line_is_an_event(self, server: PageBlobServer, disk: Path) -> None:
        server.inject(Rule(server_busy(), on(Operation.PUT_PAGE), skip=2, times=2))
        url = server.blob_url(NAME)
        options = ("--progress", "json", "--retry-delay", "0.05", "--max-rate", "200K", "--verify")
        command = Command("-v", "upload", disk, url, *options)
        assert command.end()[0] == 0
        events = [json.loads(line) for line in command.shown.splitlines()]
        kinds = [event["event"] for event in events]
        assert {"start", "progress", "retry", "recovered", "note", "end"} == set(kinds)
        starts = [event for event in events if event["event"] == "start"]
        assert [event["name"] for event in starts] == ["uploading", "verifying"]
        assert starts[0]["disk"] == str(disk)
        ends = [event for event in events if event["event"] == "end"]
        assert [event["task"] for event in ends] == [1, 2]
        assert all(event["complete"] and event["done"] == event["total"] for event in ends)
        retry = next(event for event in events if event["event"] == "retry")
        assert retry["operation"] == "writing pages"
        assert retry["cause"] == "503"
        assert retry["attempts"] == 1
        assert retry["subject"] == server.blob_url(NAME, sas=None)

    def test_none_is_none(self, server: PageBlobServer, disk: Path) -> None:
        command = Command("upload", disk, server.blob_url(NAME), "--progress", "none")
        assert command.end()[0] == 0
        assert command.shown == ""


def test_log_lines_are_not_glued_to_the_bar(server: PageBlobServer, disk: Path) -> None:
    url = server.blob_url(NAME)
    options = ("--max-rate", "200K", "--checkpoint-interval", "0.1")
    command = Command("-vv", "upload", disk, url, *options, terminal=True)
    assert command.end()[0] == 0
    logged = [row for row in rows(command.shown) if "checkpoint at byte" in row]
    assert logged
    assert all(re.match(r"\d{4}-\d\d-\d\d ", row) for row in logged)


class TestMeter:
    def test_a_rate_needs_movement(self) -> None:
        clock = FakeClock()
        meter = Meter(100 * MIB, 40 * MIB, clock)
        assert meter.rate() is None
        assert meter.percent == 40
        clock.now += 2
        meter.advance(10 * MIB)
        assert meter.rate() == 5 * MIB
        assert meter.seconds_left() == 10
        clock.now += 5.5
        assert meter.rate() is None
        assert meter.seconds_left() is None

    def test_what_is_long_ago_does_not_count(self) -> None:
        clock = FakeClock()
        meter = Meter(1000 * MIB, clock=clock)
        for _ in range(60):
            clock.now += 1
            meter.advance(1 * MIB)
            meter.rate()
        for _ in range(30):
            clock.now += 1
            meter.advance(3 * MIB)
            rate = meter.rate()
        assert rate == 3 * MIB

    def test_100_percent_is_all(self) -> None:
        meter = Meter(1000)
        meter.advance(999)
        assert meter.percent == 99
        meter.advance(1)
        assert meter.percent == 100
        assert Meter(0).percent == 100

    def test_texts(self) -> None:
        assert amounts_text(3 * MIB + MIB // 2, 8 * MIB) == "3.5 of 8.0 MiB"
        assert amounts_text(1 << 29, 30 << 30) == "0.50 of 30.00 GiB"
        assert rate_text(12.34 * MIB) == "12.3 MiB/s"
        assert rate_text(None) == clock_text(None) == "–"
        assert [clock_text(s) for s in (0, 0.2, 59.5, 61, 3600)] == [
            "0:00",
            "0:01",
            "1:00",
            "1:01",
            "1:00:00",
        ]
        assert [seconds_text(s) for s in (0.04, 9.96, 119, 121)] == [
            "0.0 s",
            "10 s",
            "119 s",
            "2:01",
        ]


class TestAnnouncer:
    def event(self, **changes: Any) -> RetryEvent:
        from dataclasses import replace

        return replace(EVENT, **changes)

    def test_the_first_at_once_then_one_each_half_minute(self) -> None:
        clock = FakeClock()
        announcer = Announcer(clock)
        assert announcer.retrying(self.event(attempts=1, failing_seconds=0.0)) == (
            "Retrying: writing pages failed once: it is busy (https://host/c/b). "
            "Next try in 12 s, giving up in 10:00."
        )
        clock.now += 29
        assert announcer.retrying(self.event(attempts=5)) is None
        clock.now += 2
        again = announcer.retrying(self.event(attempts=6))
        assert again is not None
        assert "failed 6 times" in again
        over = announcer.recovered(RecoveredEvent("https://host/c/b", 31.0))
        assert over == "Recovered after 31 s: https://host/c/b"

    def test_what_follows_soon_is_told_when_it_lasts(self) -> None:
        clock = FakeClock()
        announcer = Announcer(clock)
        announcer.retrying(self.event(failing_seconds=0.0))
        announcer.recovered(RecoveredEvent("x", 0.1))
        clock.now += 1
        assert announcer.retrying(self.event(failing_seconds=0.0)) is None
        assert announcer.recovered(RecoveredEvent("x", 0.1)) is None
        clock.now += 1
        assert announcer.retrying(self.event(failing_seconds=0.0)) is None
        clock.now += 6
        assert announcer.retrying(self.event(failing_seconds=6.0)) is not None
        assert announcer.recovered(RecoveredEvent("x", 7.0)) is not None

    def test_the_countdown_runs(self) -> None:
        clock = FakeClock()
        countdown = Countdown(EVENT, clock)
        assert str(countdown) == "attempt 4 in 12 s, giving up in 10:00: it is busy"
        clock.now += 3
        assert str(countdown) == "attempt 4 in 9 s, giving up in 9:57: it is busy"
        clock.now += 9
        assert str(countdown) == "attempt 4 now, giving up in 9:48: it is busy"
        clock.now += 1000
        assert str(countdown) == "attempt 4 now, giving up in 0:00: it is busy"

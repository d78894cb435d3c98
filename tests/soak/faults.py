"""Uploads of small disks to a service that fails at random, by the command as users run it.

Each upload is repeated, as its exit code says: 3 and 130 mean "the same command again", 1 means
that something must change first (here: the faults end, and --overwrite). After every single run the
blob is looked at: a mark that says it is finished must be true, exit code 0 must be true, and
nothing secret may have been said anywhere.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner

from tests.pageblob_server import (
    SAS,
    CutBody,
    CutHeaders,
    Fault,
    FlipReply,
    FlipRequest,
    ManagedDisk,
    Match,
    Moment,
    NoChecksum,
    Operation,
    PageBlobServer,
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
from tests.pageblob_server.faults import kind_of
from tests.soak.disks import KINDS, Disk, make_disk
from tests.soak.report import Report
from vhdtools.cli import main
from vhdtools.target.http_connection import Timeouts

DONE, FAILED, RESUMABLE, INTERRUPTED = 0, 1, 3, 130
PER_SERVER = 40
MOST_RUNS = 12

_SECRET = SAS.rpartition("sig=")[2]
_MOMENTS = tuple(Moment)


def run_faults(
    folder: Path, seed: int, count: int, say: Callable[[str], object] = lambda _text: None
) -> Report:
    """*count* uploads under schedules of faults drawn from *seed*."""
    rng = random.Random(seed)
    report = Report({"seed": seed, "uploads": count})
    disks = [make_disk(folder / f"{n}", kind, rng, 1 + n % 3) for n, kind in enumerate(KINDS * 2)]
    started = time.monotonic()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with _quick_time_outs(), _all_logs() as logs, _deaf_to_interrupts():
        for first in range(0, count, PER_SERVER):
            _run_on_one_server(report, rng, disks, min(PER_SERVER, count - first), logs)
            say(f"{count - first} uploads to go")
    figures = report.figures
    figures["seconds"] = round(time.monotonic() - started)
    figures["memory at the end, MiB"] = round(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    figures["memory before the first upload, MiB"] = round(memory / 1024)
    return report


def _run_on_one_server(
    report: Report, rng: random.Random, disks: list[Disk], count: int, logs: list[str]
) -> None:
    chosen = [rng.choice(disks) for _ in range(count)]
    managed = {n for n in range(count) if rng.random() < 0.15}
    options = ServerOptions(
        page_ranges_per_answer=rng.choice([2, 10_000]),
        managed_disks=tuple(
            ManagedDisk(f"managed/{n}", chosen[n].blob_size) for n in sorted(managed)
        ),
    )
    with PageBlobServer(options) as server:
        server.create_container("disks")
        for number, disk in enumerate(chosen):
            name = f"managed/{number}" if number in managed else f"disks/{number}.vhd"
            _Upload(report, server, rng, disk, name, managed=number in managed, logs=logs).run()
        stats = server.stats()
        report.require(not server.violations, f"sent to managed disks: {server.violations}")
    for kind, number in stats.faults.items():
        report.count("faults injected", kind, number)
    report.count("bytes", "written", stats.written_bytes)
    report.count("bytes", "written again", stats.rewritten_bytes)
    report.count("requests", "all", stats.requests)


class _Upload:
    """One disk on its way to one blob."""

    def __init__(
        self,
        report: Report,
        server: PageBlobServer,
        rng: random.Random,
        disk: Disk,
        name: str,
        *,
        managed: bool,
        logs: list[str],
    ) -> None:
        self._report = report
        self._server = server
        self._rng = rng
        self._disk = disk
        self._name = name
        self._managed = managed
        self._logs = logs
        self._verify = not managed and rng.random() < 0.4
        self._rules = _draw_rules(rng, name, verify=self._verify, managed=managed)

    def run(self) -> None:
        """Upload until it is done."""
        self._server.inject(*self._rules)
        overwrite = False
        for turn in range(MOST_RUNS):
            last = turn >= MOST_RUNS - 2
            if last:
                self._mend()  # whatever was wrong, it must end well now, if nobody interrupts
            code = self._run_once(overwrite=overwrite, interrupted=not last)
            if code == DONE:
                break
            if code == FAILED:
                self._mend()
                overwrite = True
        else:
            self._report.require(False, f"{self._what}: not done after {MOST_RUNS} runs")
        self._server.clear_faults()
        self._server.release()
        self._check_content("in the end")
        self._report.count("runs until done", str(turn + 1))

    def _mend(self) -> None:
        """End the faults, and let a lease run out that was granted without an answer.

        A new process would take it over; but here the process is the same.
        """
        self._server.clear_faults()
        self._server.pass_time(61)

    def _run_once(self, *, overwrite: bool, interrupted: bool) -> int:
        url = self._server.blob_url(self._name)
        command = ["-vv", "upload", str(self._disk.path), url, "--json", "--no-progress"]
        command += ["--workers", str(self._rng.choice([1, 2, 4, 8]))]
        command += ["--checkpoint-interval", "0.1", "--retry-delay", "0.001"]
        command += ["--max-retry-delay", "0.01", "--patience", self._rng.choice(["0.05", "0.5"])]
        for option, wanted in (
            ("--overwrite", overwrite),
            ("--verify", self._verify),
            ("--managed-disk", self._managed),
            ("--content-md5", self._rng.random() < 0.2),
        ):
            command += [option] if wanted else []
        interrupter = self._interrupter() if interrupted else None
        self._logs.clear()
        found = CliRunner().invoke(main, command)
        if interrupter:
            interrupter.cancel()
            interrupter.join()
        code = found.exit_code
        self._check_run(code, found.stdout, found.stderr, found.exception)
        if code == INTERRUPTED:
            self._report.require(interrupter is not None, f"{self._what}: 130 without a reason")
        if code == FAILED:
            for_good = self._may_fail or "holds the lease" in found.stderr
            self._report.require(for_good, f"{self._what}: 1 without a reason: {found.stderr}")
        return code

    @property
    def _may_fail(self) -> bool:
        """Whether a fault is drawn that no further try of the same could get over."""
        faults = [rule.fault for rule in self._rules]
        final = {status for status, _ in _FINAL}
        return any(
            isinstance(fault, FlipReply)
            or (isinstance(fault, FlipRequest) and fault.unnoticed)
            or (isinstance(fault, Refuse) and fault.error.status in final)
            for fault in faults
        )

    def _interrupter(self) -> threading.Timer | None:
        if self._rng.random() > 0.1:
            return None
        interrupt = partial(os.kill, os.getpid(), signal.SIGINT)
        timer = threading.Timer(self._rng.uniform(0.0, 0.05), interrupt)
        timer.start()
        return timer

    def _check_run(
        self, code: int, output: str, errors: str, exception: BaseException | None
    ) -> None:
        require, what = self._report.require, self._what
        self._report.count("exit codes", str(code))
        require(
            exception is None or isinstance(exception, SystemExit),
            f"{what}: {exception!r} came out",
        )
        require(code in (DONE, FAILED, RESUMABLE, INTERRUPTED), f"{what}: exit code {code}")
        require("a bug" not in errors, f"{what}: {errors}")
        # Who interrupts an upload is told how it is resumed, and of no error.
        fine = code in (DONE, INTERRUPTED)
        require(fine == ("Error: " not in errors), f"{what}: {code} and {errors}")
        if code == INTERRUPTED:
            require("Run the same command again" in errors, f"{what}: {code} and {errors}")
        everything = output + errors + "\n".join(self._logs)
        require(_SECRET not in everything, f"{what}: the signature was said")
        require("sig=" not in everything, f"{what}: a signature was said")
        alive = [t.name for t in threading.enumerate() if t.name.startswith("vhdtools")]
        require(not alive, f"{what}: threads left: {alive}")
        if code == DONE:
            self._check_result(json.loads(output))
        if self._says_finished() is not None:
            self._check_content(f"marked finished, exit code {code}")

    def _check_result(self, result: dict[str, Any]) -> None:
        require, what = self._report.require, self._what
        for reason, number in result["retry_reasons"].items():
            self._report.count("retries", reason, number)
        self._report.count("answers", "without a checksum", result["unconfirmed_requests"])
        self._report.count("answers", "with a checksum", result["requests"])
        require(bool(result["verified"]) == self._verify, f"{what}: verified {result['verified']}")
        require(_SECRET not in json.dumps(result), f"{what}: the signature is in the result")
        self._check_content("exit code 0")
        claimed = int(result["crc64"], 16)
        require(claimed == self._server.blob(self._name).crc64(), f"{what}: a wrong CRC-64")
        finished = self._says_finished()
        if not self._managed:
            require(finished == result["crc64"], f"{what}: not marked finished")

    def _check_content(self, when: str) -> None:
        blob = self._server.blob(self._name)
        same = blob.content_hash() == self._disk.sha256
        self._report.require(same, f"{self._what}: {when}, and the content is another")

    def _says_finished(self) -> str | None:
        blob = self._server.blob(self._name)
        return blob.metadata.get("vhdtools_crc64") if blob.exists else None

    @property
    def _what(self) -> str:
        drawn = [
            f"{kind_of(rule.fault)} of {', '.join(o.value for o in rule.match.operations) or 'all'}"
            f" after {rule.skip}, {rule.times} times, {rule.probability:.0%}"
            for rule in self._rules
        ]
        return f"{self._name} ({self._disk.kind}; {'; '.join(drawn)})"


def _draw_rules(rng: random.Random, name: str, *, verify: bool, managed: bool) -> list[Rule]:
    """One to five kinds of fault, on one kind of request or all, once, often or for ever."""
    rules = []
    for _ in range(rng.randint(1, 5)):
        operations = rng.choice(
            [
                (Operation.PUT_PAGE,),
                (Operation.PUT_PAGE,),
                (Operation.PUT_BLOB,),
                (Operation.GET_PROPERTIES,),
                (Operation.SET_METADATA,),
                (Operation.GET_PAGE_RANGES,),
                (Operation.GET_BLOB,),
                (Operation.ACQUIRE_LEASE, Operation.CHANGE_LEASE, Operation.RENEW_LEASE),
                (Operation.RELEASE_LEASE,),
                (),
            ]
        )
        match: Match = on(*operations, blob=name)
        rules.append(
            Rule(
                _draw_fault(rng, verify=verify, managed=managed),
                match,
                skip=rng.choice([0, 0, 1, 3, 8]),
                times=rng.choice([1, 1, 2, 5, 20, None]),
                probability=rng.choice([1.0, 0.5, 0.2, 0.05]),
            )
        )
    return rules


def _draw_fault(rng: random.Random, *, verify: bool, managed: bool) -> Fault:
    moment = rng.choice(_MOMENTS)
    late = rng.choice([Moment.BEFORE_EFFECT, Moment.AFTER_EFFECT])
    faults: list[Fault] = [
        server_busy(rng.choice([None, 0])),
        too_many_requests(rng.choice([None, 0])),
        operation_timed_out(late),
        internal_error(late),
        request_timeout(),
        Reset(moment, rng.choice([0, 1000])),
        Stall(rng.choice([0.01, 0.5]), moment),
        CutBody(rng.choice([0, 100])),
        CutHeaders(rng.choice([0, 5, 60])),
        WrongChecksum(),
        NoChecksum(),
        FlipRequest(rng.randrange(4096)),
        # Hardly ever: what ends a run for good.
        Refuse(ServiceError(*rng.choice(_FINAL), "No.")) if rng.random() < 0.3 else server_busy(),
    ]
    if not managed:
        # Of a managed disk nothing is known but its page ranges, which have no checksum.
        faults.append(FlipReply(rng.randrange(4096)))
    if verify:
        # Without reading back nobody can know.
        faults.append(FlipRequest(rng.randrange(4096), unnoticed=True))
    return rng.choice(faults)


_FINAL = [
    (400, "InvalidInput"),
    (403, "AuthenticationFailed"),
    (403, "AuthorizationPermissionMismatch"),
    (404, "BlobNotFound"),
    (409, "BlobImmutableDueToPolicy"),
    (412, "LeaseIdMismatchWithBlobOperation"),
    (413, "RequestBodyTooLarge"),
]


@contextmanager
def _quick_time_outs() -> Iterator[None]:
    """Connections stall for as long as users' do, divided by three hundred."""
    with patch("vhdtools.target.destination.Timeouts", partial(Timeouts, stall=0.2)):
        yield


@contextmanager
def _all_logs() -> Iterator[list[str]]:
    """Everything that anybody logs, of every level."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    root = logging.getLogger()
    handler, level = Collect(), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        logging.getLogger("vhdtools").setLevel(logging.NOTSET)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """An interrupt that comes when no upload runs any more is for nobody."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

"""Uploads killed with SIGKILL at random points, and resumed until they are done.

Two ways to choose the point. *By request*: one request of the upload, drawn at random, is held
up by the service before or after it takes effect; then the process is killed; and the request goes
on at once, or when the next run has begun, or when it is done: a write of the dead. *By time*: some
milliseconds after the first request, with the rate limited so that the upload is still running.
Against Azurite all are by time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobLeaseClient, BlobServiceClient

from tests.pageblob_server import (
    Moment,
    Operation,
    PageBlobServer,
    Record,
    Rule,
    Stall,
    on,
)
from tests.soak.disks import KINDS, Disk, make_disk
from tests.soak.report import Report
from tests.support.azurite import Azurite, start_azurite

MIB = 1 << 20
SECTOR = 512
CHUNK = 4 * MIB
RATE = 24 * MIB
INTERVAL = 0.2
PATIENCE = 60.0
CASES_PER_SERVER = 8


def run_kills(
    folder: Path,
    seed: int,
    count: int,
    azurite_count: int,
    say: Callable[[str], object] = lambda _text: None,
) -> Report:
    """*count* kill points, *azurite_count* of them against Azurite; all drawn from *seed*."""
    rng = random.Random(seed)
    report = Report({"seed": seed})
    sizes = [6] if count < 50 else [8, 20, 36]
    disks = [make_disk(folder / f"{kind}-{mib}", kind, rng, mib) for kind in KINDS for mib in sizes]
    started = time.monotonic()
    left, cases = count - azurite_count, 0
    while left > 0:
        with PageBlobServer() as server:  # anew, as it keeps all that it is sent
            server.create_container("disks")
            for _ in range(CASES_PER_SERVER):
                cases += 1
                one = _Strict(report, server, rng, rng.choice(disks), f"disks/{cases}.vhd")
                left -= one.run(min(left, rng.choice([1, 1, 1, 2, 3])))
                say(f"{left + azurite_count} kill points to go")
                if not left:
                    break
            report.count("bytes", "written", server.stats().written_bytes)
            report.count("bytes", "written again", server.stats().rewritten_bytes)
    if azurite_count:
        with start_azurite() as azurite, _container(azurite) as container:
            while azurite_count > 0:
                cases += 1
                other = _Emulated(
                    report, azurite, container, rng, rng.choice(disks), f"{cases}.vhd"
                )
                azurite_count -= other.run(min(azurite_count, rng.choice([1, 1, 2])))
                say(f"{azurite_count} kill points to go, against Azurite")
    report.figures["seconds"] = round(time.monotonic() - started)
    return report


class _Upload:
    """`vhdtool upload` as a process."""

    def __init__(self, report: Report, disk: Disk, url: str, workers: int, *, slow: bool) -> None:
        self._report = report
        command = [sys.executable, "-m", "vhdtools", "upload", str(disk.path), url, "--json"]
        command += ["--no-progress", "--workers", str(workers)]
        command += ["--checkpoint-interval", str(INTERVAL), "--patience", "20"]
        if slow:
            command += ["--max-rate", str(RATE)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )

    @property
    def is_running(self) -> bool:
        self._look_at_memory()
        return self._process.poll() is None

    def kill(self) -> bool:
        """Kill it; False where it was done by itself."""
        was_running = self.is_running
        self._process.kill()
        with self._process:
            self._process.wait()
        return was_running

    def result(self) -> tuple[int, dict[str, Any], str]:
        """Its exit code, its JSON and what it said, once it is done."""
        while self.is_running:
            time.sleep(0.05)
        output, errors = self._process.communicate(timeout=PATIENCE)
        result = json.loads(output) if output.strip() else {}
        return self._process.returncode, result, errors

    def _look_at_memory(self) -> None:
        # Not ru_maxrss, which a process inherits from the one that started it.
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    mib = int(line.split()[1]) // 1024
                    self._report.most("most memory of an upload, MiB", mib)


class _Strict:
    """One blob of the strict service, killed and resumed."""

    def __init__(
        self, report: Report, server: PageBlobServer, rng: random.Random, disk: Disk, name: str
    ) -> None:
        self._report = report
        self._server = server
        self._rng = rng
        self._disk = disk
        self._name = name
        self._may_rewrite = 0

    def run(self, most: int) -> int:
        """Kill at most so often, and come to the end; the number of kills that struck."""
        kills = 0
        for _ in range(most):
            workers = self._rng.choice([1, 2, 4, 8])
            by_request = self._rng.random() < 0.6
            if not (self._kill_at_request if by_request else self._kill_at_time)(workers):
                break
            kills += 1
        self._report.count("kill points by kind of disk", self._disk.kind, kills)
        self._report.count("uploads by kills", str(kills))
        upload = _Upload(
            self._report, self._disk, self._url, self._rng.choice([2, 4, 8]), slow=False
        )
        if self._rng.random() < 0.5:
            before = self._server.stats().requests
            while upload.is_running and self._server.stats().requests < before + 6:
                time.sleep(0.002)
            self._server.release()  # the dead one's request, in the middle of the next run
        code, result, errors = upload.result()
        self._server.release()
        self._check(code, result, errors)
        return kills

    def _check(self, code: int, result: dict[str, Any], errors: str) -> None:
        require, name = self._report.require, f"{self._name} ({self._disk.kind})"
        require(code == 0, f"{name}: exit code {code}: {errors}")
        if code != 0:
            return
        blob = self._server.blob(self._name)
        require(blob.content_hash() == self._disk.sha256, f"{name}: the content is another")
        require(
            blob.metadata == {"vhdtools_crc64": result["crc64"]}, f"{name}: {blob.metadata} is left"
        )
        require(int(result["crc64"], 16) == blob.crc64(), f"{name}: another CRC-64 is claimed")
        again = blob.rewritten_bytes
        require(again <= self._may_rewrite, f"{name}: {again} > {self._may_rewrite} sent again")
        self._report.most("most bytes written again in one upload", again)
        if result["already_there"]:
            self._report.count("last runs", "found it finished")
        else:
            resumed = result["resumed_bytes"] > 0
            self._report.count("last runs", "went on" if resumed else "began at 0")

    def _kill_at_request(self, workers: int) -> bool:
        seen = len(self._records())
        # More requests than there can be: some are never reached, and the upload ends.
        skip = self._rng.randrange(1 + 2 * self._disk.data_size // CHUNK + 12)
        moment = self._rng.choice([Moment.BEFORE_EFFECT, Moment.AFTER_EFFECT])
        before = self._stalls()
        self._server.inject(Rule(Stall(None, moment), on(blob=self._name), skip=skip))
        upload = _Upload(self._report, self._disk, self._url, workers, slow=False)
        while upload.is_running and self._stalls() == before:
            time.sleep(0.002)
        if self._rng.random() < 0.5:
            time.sleep(self._rng.uniform(0, 0.1))  # the others go on a little
        killed = self._finish(upload, workers, seen)
        self._server.clear_faults()
        if self._rng.random() < 0.5:
            self._server.release()
        return killed

    def _kill_at_time(self, workers: int) -> bool:
        seen, before = len(self._records()), self._server.stats().requests
        upload = _Upload(self._report, self._disk, self._url, workers, slow=True)
        while upload.is_running and self._server.stats().requests == before:
            time.sleep(0.002)
        time.sleep(self._rng.uniform(0, 1.2 * self._disk.data_size / RATE + 0.1))
        return self._finish(upload, workers, seen)

    def _finish(self, upload: _Upload, workers: int, seen: int) -> bool:
        killed = upload.kill()
        records = self._records()[seen:]
        if killed:
            phase = _phase(records, self._disk.blob_size - SECTOR)
            self._report.count("phase at the kill", phase)
        sent = _sent_since_checkpoint(records)
        self._report.most("most bytes between checkpoint and kill", sent)
        self._may_rewrite += sent + workers * CHUNK
        return killed

    @property
    def _url(self) -> str:
        return self._server.blob_url(self._name)

    def _stalls(self) -> int:
        faults = Counter(self._server.stats().faults)
        return sum(number for kind, number in faults.items() if kind.startswith("Stall"))

    def _records(self) -> list[Record]:
        return [item for item in self._server.requests if item.name == self._name]


def _phase(records: list[Record], footer: int) -> str:
    """How far a run had come, by the requests that were answered."""
    done = {item.operation for item in records}
    writes = [item.offset for item in records if item.operation is Operation.PUT_PAGE]
    resumes = Operation.PUT_BLOB not in done
    if Operation.RELEASE_LEASE in done:
        return "at the end"
    if footer in writes:
        return "finishing"
    if writes:
        return "sending again" if resumes else "sending"
    if Operation.ACQUIRE_LEASE in done or Operation.CHANGE_LEASE in done:
        return "resuming, before the first write" if resumes else "before the first write"
    return "resuming, before the lease" if resumes and records else "before the lease"


def _sent_since_checkpoint(records: list[Record]) -> int:
    """Bytes of the writes that were under way or done after the last checkpoint was begun."""
    saved = [item.started for item in records if item.operation is Operation.SET_METADATA]
    since = saved[-1] if saved else 0.0
    return sum(
        item.length or 0
        for item in records
        if item.operation is Operation.PUT_PAGE and item.started + item.seconds >= since
    )


@contextlib.contextmanager
def _container(azurite: Azurite) -> Iterator[str]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        service.create_container("disks").close()
        yield "disks"


class _Emulated:
    """One blob of Azurite, killed and resumed."""

    def __init__(
        self,
        report: Report,
        azurite: Azurite,
        container: str,
        rng: random.Random,
        disk: Disk,
        name: str,
    ) -> None:
        self._report = report
        self._rng = rng
        self._disk = disk
        self._url = f"{azurite.blob_url(container, name)}?{azurite.sas(container, name)}"

    def run(self, most: int) -> int:
        """Kill at most so often, and come to the end; the number of kills that struck."""
        kills = 0
        with BlobClient.from_blob_url(self._url) as blob:
            for _ in range(most):
                upload = _Upload(
                    self._report, self._disk, self._url, self._rng.choice([1, 4, 8]), slow=True
                )
                last = self._state(blob)
                while upload.is_running and self._state(blob) == last:
                    time.sleep(0.02)
                time.sleep(self._rng.uniform(0, self._disk.data_size / RATE + 0.1))
                if not upload.kill():
                    break
                kills += 1
                at = self._state(blob)
                where = "checkpoint 0" if at.startswith("0,") else "checkpoint above 0"
                known = at if at in ("nothing", "finished") else where
                self._report.count("state at the kill, Azurite", known)
            self._report.count("kill points against Azurite", self._disk.kind, kills)
            upload = _Upload(self._report, self._disk, self._url, 4, slow=False)
            code, result, errors = upload.result()
            name = f"Azurite {self._disk.kind}"
            self._report.require(code == 0, f"{name}: exit code {code}: {errors}")
            if code != 0:
                return kills
            content = blob.download_blob().readall()
            same = hashlib.sha256(content).hexdigest() == self._disk.sha256
            self._report.require(same, f"{name}: the content is another")
            state = self._state(blob)
            self._report.require(state == "finished", f"{name}: its metadata says {state}")
            how = "went on" if result["resumed_bytes"] else "began at 0"
            how = "found it finished" if result["already_there"] else how
            self._report.count("last runs, Azurite", how)
            with contextlib.suppress(HttpResponseError):
                BlobLeaseClient(blob).break_lease(0)  # of one that was killed at the very end
            blob.delete_blob()
        return kills

    def _state(self, blob: BlobClient) -> str:
        if not blob.exists():
            return "nothing"
        metadata = blob.get_blob_properties().metadata or {}
        if "vhdtools_crc64" in metadata:
            return "finished"
        return str(metadata.get("vhdtools_checkpoint")) + metadata.get("vhdtools_owner", "")

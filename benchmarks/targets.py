"""The places to upload to, by name: on the loopback interface, new for each run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.content import content_of_blob
from benchmarks.discarding import start_discarding
from benchmarks.disks import Disk
from benchmarks.places import PROJECT
from benchmarks.push import Write, push
from benchmarks.service import BLOB, CONTAINER, Service, StartService, footer_problem, size_problem
from benchmarks.tools import azurite, npm_packages
from tests.support.azurite import start_azurite
from vhdtools.checksums import crc64, crc64_combine
from vhdtools.layout import FOOTER_SIZE, parse_footer
from vhdtools.transfer.footer import fixed_footer

NEAR, FAR = 0.02, 0.1
"""Seconds that the strict server takes to answer, as a service some way off does."""

_WARM_UP = 16
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A place to upload to. `relay`: bytes on the wire have to be counted in between."""

    description: str
    start: StartService
    relay: bool


@contextmanager
def _azurite(home: Path, *arguments: str) -> Iterator[Service]:
    with start_azurite(*arguments, home=home) as emulator:
        service = Service(emulator.endpoint, lambda disk, _: _blob_problem(service, disk))
        service.create_container()
        _warm_up(service)
        yield service


def _warm_up(service: Service) -> None:
    """Let its JavaScript be compiled before anything is measured."""
    size = 4 * 1024 * 1024
    data = random.Random(0).randbytes(size)
    writes = [Write(index * size, data, crc64(data)) for index in range(_WARM_UP)]
    with service.blob("warm-up") as blob:
        blob.create_page_blob(_WARM_UP * size)
        push(writes, service.url("warm-up"), 8, service.ca_file)
        blob.delete_blob()


def _blob_problem(service: Service, disk: Disk) -> str | None:
    known = disk.known
    with service.blob() as blob:
        size = blob.get_blob_properties().size
        if found := size_problem(size, known.size):
            return found
        footer = blob.download_blob(offset=known.size, length=FOOTER_SIZE).readall()
        if found := footer_problem(footer, known.size):
            return found
        content = content_of_blob(blob, known.size)
    return None if content == known else f"the blob holds {content}, and the disk {known}"


@contextmanager
def _strict(latency: float) -> Iterator[Service]:
    """The tests' own server: Azure's limits for one blob, and *latency* in seconds."""
    command = [
        *(sys.executable, "-m", "tests.pageblob_server"),
        *("--azure-limits", "--latency", str(latency), "--discard"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        service = Service(
            ready["connection_string"].partition("BlobEndpoint=")[2].rstrip(";"),
            lambda disk, sent: report_problem(_report(ready["report"]), disk, sent),
            lambda: report_counts(_report(ready["report"])),
        )
        service.create_container()
        yield service
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _report(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url) as answer:
        report: dict[str, Any] = json.load(answer)
    return report


def report_problem(report: dict[str, Any], disk: Disk, sent: Path | None) -> str | None:
    """The server keeps no data but its CRC-64, which must be that of the disk and its footer."""
    known, found = disk.known, report["blobs"][f"{CONTAINER}/{BLOB}"]
    if problem := size_problem(found["size"], known.size):
        return problem
    footer = _last_page(sent or disk.path)
    if sent is None:
        footer = fixed_footer(parse_footer(footer), known.size)
    expected = crc64_combine(int(known.crc64, 16), crc64(footer), FOOTER_SIZE)
    if int(found["crc64"] or "0", 16) == expected:
        return None
    return f"CRC-64 {found['crc64']}, and {expected:016x} was expected"


def _last_page(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-FOOTER_SIZE, 2)
        return file.read()


def report_counts(report: dict[str, Any]) -> dict[str, int]:
    stats = report["stats"]
    return {
        "body_bytes": stats["received_bytes"],
        "page_writes": stats["by_operation"].get("put-page", 0),
        "refused": sum(stats["by_status"].get(status, 0) for status in ("500", "503")),
    }


TARGETS = {
    "azurite335": Target(
        "Azurite 3.35.0 --loose, in memory, HTTP (computes no CRC-64)",
        lambda: _azurite(npm_packages(), "--loose"),
        relay=True,
    ),
    "azurite337": Target(
        "Azurite 3.37.0, in memory, HTTP (computes every CRC-64, in JavaScript)",
        lambda: _azurite(azurite()),
        relay=True,
    ),
    "discard-http": Target(
        "nginx that drops what it is sent, HTTP",
        lambda: start_discarding(tls=False),
        relay=False,
    ),
    "discard-tls": Target(
        "nginx that drops what it is sent, TLS",
        lambda: start_discarding(tls=True),
        relay=False,
    ),
    "strict": Target(
        "the tests' page-blob server: 60 MiB/s and 500 requests/s per blob, 20 ms, HTTP",
        lambda: _strict(NEAR),
        relay=False,
    ),
    "strict-far": Target(
        "the same server with 100 ms",
        lambda: _strict(FAR),
        relay=False,
    ),
}
"""Every target by its name."""

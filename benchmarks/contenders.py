"""Who uploads: the command lines, as their users type them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import installed
from benchmarks.disks import Disk
from benchmarks.recording import recorded_places
from benchmarks.service import Service
from benchmarks.tools import azcopy, program

WORKERS = 8

_FIGURES = ("elapsed_seconds", "sent_bytes", "requests", "retries")


@dataclass(frozen=True, slots=True)
class Job:
    """A disk, where it goes, and a folder for whatever lies in between."""

    disk: Disk
    service: Service
    folder: Path


Commands = Callable[[Job], Sequence[Sequence[str]]]
"""The commands to run one after the other."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that is timed.

    `own_clock`: the `elapsed_seconds` that it says count, not what the whole command took.
    Without `uploads` it only reads the disk. `sends`: the fixed VHD whose bytes it sends as they
    are; None where it makes a footer.
    """

    title: str
    commands: Commands
    environment: Callable[[Job], Mapping[str, str]] = lambda _: {}
    own_clock: bool = False
    uploads: bool = True
    sends: Callable[[Job], Path | None] = lambda _: None


def contender(name: str) -> Contender:
    """The contender of this name; `vhdtool-32` and the like have another number of workers.

    Raises ValueError for a name that is not known.
    """
    kind, _, number = name.partition("-")
    made = _KINDS.get(kind)
    if made is None or not (number.isdigit() or not number):
        raise ValueError(f"no contender {name!r}; there are {', '.join(_KINDS)}")
    return made(int(number or WORKERS))


def names() -> list[str]:
    """Every contender, at the usual number of workers."""
    return list(_KINDS)


def _vhdtool(workers: int) -> Contender:
    def commands(job: Job) -> Sequence[Sequence[str]]:
        options = ("--workers", str(workers), "--no-progress", "--json")
        disk = str(job.disk.path)
        return [[installed.vhdtool(), "upload", disk, job.service.url(), *options]]

    return Contender(f"vhdtool upload, {_workers(workers)}", commands, _authority)


def _azcopy(_: int) -> Contender:
    """As it comes."""
    return Contender(
        "AzCopy",
        lambda job: [_azcopy_command(job.disk.path, job)],
        _azcopy_environment,
        sends=_the_disk,
    )


def _azcopy_tuned(workers: int) -> Contender:
    """Without the pacing that it starts slowly with, and with fewer connections."""
    tuning = {"AZCOPY_PACE_PAGE_BLOBS": "false", "AZCOPY_CONCURRENCY_VALUE": str(workers)}
    return Contender(
        f"AzCopy, unpaced, {workers} connections",
        lambda job: [_azcopy_command(job.disk.path, job)],
        lambda job: _azcopy_environment(job) | tuning,
        sends=_the_disk,
    )


def _convert_azcopy(_: int) -> Contender:
    """What people do with a dynamic disk."""

    def fixed(job: Job) -> Path:
        return job.folder / "fixed.vhd"

    def commands(job: Job) -> Sequence[Sequence[str]]:
        convert = [
            *(program("qemu-img"), "convert", "-f", "vpc", "-O", "vpc"),
            *("-o", "subformat=fixed,force_size=on", str(job.disk.path), str(fixed(job))),
        ]
        return [convert, _azcopy_command(fixed(job), job)]

    title = "qemu-img convert, then AzCopy"
    return Contender(title, commands, _azcopy_environment, sends=fixed)


def _upload_blob(workers: int) -> Contender:
    def commands(job: Job) -> Sequence[Sequence[str]]:
        return [_module(installed.python(), "benchmarks.sdk_upload", job, workers)]

    return Contender(
        f"azure-storage-blob's upload_blob, {_workers(workers)}", commands, sends=_the_disk
    )


def _limit(workers: int) -> Contender:
    def commands(job: Job) -> Sequence[Sequence[str]]:
        return [_module(sys.executable, "benchmarks.limit", job, workers)]

    title = f"the limit: the same requests from memory, {workers} connections"
    return Contender(title, commands, own_clock=True)


def _bare(workers: int) -> Contender:
    def commands(job: Job) -> Sequence[Sequence[str]]:
        places = job.folder / "places"
        lines = [f"{place.offset} {place.length}\n" for place in recorded_places(job.disk.path)]
        places.write_text("".join(lines), encoding="ascii")
        return [_module(installed.python(), "benchmarks.bare", job, workers, str(places))]

    title = f"a bare client that starts, reads and digests, {workers} connections"
    return Contender(title, commands)


def _the_disk(job: Job) -> Path:
    return job.disk.path


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"


def _cat(_: int) -> Contender:
    return Contender(
        "cat FILE >/dev/null",
        lambda job: [["sh", "-c", 'exec cat "$0" >/dev/null', str(job.disk.path)]],
        uploads=False,
    )


def _qemu_read(_: int) -> Contender:
    """Read the whole guest's view, compare each cluster with zeros, write nothing."""

    def commands(job: Job) -> Sequence[Sequence[str]]:
        nowhere = f"driver=null-co,size={job.disk.known.size},read-zeroes=on"
        convert = (program("qemu-img"), "convert", "-n", "-f", "vpc", str(job.disk.path))
        return [[*convert, "--target-image-opts", nowhere]]

    return Contender("qemu-img convert to nowhere", commands, uploads=False)


def _inspect(_: int) -> Contender:
    return Contender(
        "vhdtool inspect",
        lambda job: [[installed.vhdtool(), "inspect", str(job.disk.path)]],
        uploads=False,
    )


def _imports(_: int) -> Contender:
    """The least that a Python tool with these two dependencies can take."""
    return Contender(
        'python -c "import construct, click"',
        lambda _: [[installed.python(), "-c", "import construct, click"]],
        uploads=False,
    )


def _qemu_info(_: int) -> Contender:
    return Contender(
        "qemu-img info",
        lambda job: [[program("qemu-img"), "info", "-f", "vpc", str(job.disk.path)]],
        uploads=False,
    )


def _vhdiinfo(_: int) -> Contender:
    return Contender(
        "vhdiinfo", lambda job: [[program("vhdiinfo"), str(job.disk.path)]], uploads=False
    )


def _module(python: str, module: str, job: Job, workers: int, *first: str) -> list[str]:
    ca_file = [] if job.service.ca_file is None else [str(job.service.ca_file)]
    arguments = (str(job.disk.path), job.service.url(), str(workers))
    return [python, "-m", module, *first, *arguments, *ca_file]


def _azcopy_command(path: Path, job: Job) -> list[str]:
    return [
        *(azcopy(), "copy", str(path), job.service.url(), "--from-to=LocalBlob"),
        *("--blob-type=PageBlob", "--log-level=ERROR", "--skip-version-check"),
    ]


def _azcopy_environment(job: Job) -> dict[str, str]:
    return _authority(job) | {
        "AZCOPY_LOG_LOCATION": str(job.folder),
        "AZCOPY_JOB_PLAN_LOCATION": str(job.folder),
        "AZCOPY_DISABLE_SYSLOG": "true",
    }


def _authority(job: Job) -> dict[str, str]:
    if job.service.ca_file is None:
        return {}
    # The second goes before the first where a machine has it set.
    return dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), str(job.service.ca_file))


def figures(output: str) -> dict[str, float]:
    """The numbers that a contender says of itself, if it prints a JSON object with some."""
    try:
        found = json.loads(output)
    except ValueError:
        return {}
    said = found if isinstance(found, dict) else {}
    return {name: said[name] for name in _FIGURES if name in said}


_KINDS: Mapping[str, Callable[[int], Contender]] = {
    "vhdtool": _vhdtool,
    "azcopy": _azcopy,
    "azcopy_tuned": _azcopy_tuned,
    "convert_azcopy": _convert_azcopy,
    "upload_blob": _upload_blob,
    "limit": _limit,
    "bare": _bare,
    "cat": _cat,
    "qemu_read": _qemu_read,
    "inspect": _inspect,
    "imports": _imports,
    "qemu_info": _qemu_info,
    "vhdiinfo": _vhdiinfo,
}

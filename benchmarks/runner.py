"""Measuring a case: contenders take turns, every result is checked, nothing stops the others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.cases import MOST_ROUNDS, Case, Entry
from benchmarks.contenders import Job, contender, figures
from benchmarks.disks import get_disk, warm
from benchmarks.machine import machine, versions
from benchmarks.measure import CommandError, measure_all
from benchmarks.places import work
from benchmarks.relay import counting_relay
from benchmarks.results import CaseResult, EntryResult, Run
from benchmarks.service import Service
from benchmarks.targets import TARGETS

_UNCOUNTED = ("limit", "bare", "upload_blob")
"""Whose bytes on the wire are not counted apart: two send ours, the third takes minutes."""

_NOWHERE = Service(endpoint="", problem=lambda *_: None)


def measure_case(case: Case, *, wire: bool = True) -> CaseResult:
    """Run a case. With *wire*, bytes that a target cannot count are counted in a run of their own.

    The order within a round changes from round to round, so that none always comes first.
    """
    collected = {entry: _Collected() for entry in case.entries}
    for entry in case.entries:
        get_disk(entry.disk)
    for number in range(case.rounds):
        turn = number % len(case.entries)
        for entry in (*case.entries[turn:], *case.entries[:turn]):
            if number < MOST_ROUNDS.get(entry.contender, case.rounds):
                _take_turn(case, entry, collected[entry], f"{number + 1}/{case.rounds}")
    if wire and case.target is not None and TARGETS[case.target].relay:
        for entry in case.entries:
            if contender(entry.contender).uploads and entry.contender not in _UNCOUNTED:
                collected[entry].wire_bytes = _wire_bytes(case.target, entry)
    return CaseResult(
        case=case.name,
        title=case.title,
        target=case.target,
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=machine(),
        versions=versions(),
        entries=[_result(entry, collected[entry]) for entry in case.entries],
    )


class _Collected:
    """What is known of an entry so far."""

    def __init__(self) -> None:
        self.runs = list[Run]()
        self.problems = list[str]()
        self.command = list[str]()
        self.wire_bytes: int | None = None


def _take_turn(case: Case, entry: Entry, collected: _Collected, number: str) -> None:
    disk, taking = get_disk(entry.disk), contender(entry.contender)
    warm(disk.path)
    with _service(case.target) as service, _folder() as folder:
        job = Job(disk, service, folder)
        commands = taking.commands(job)
        collected.command = [_shown(command, job) for command in commands]
        try:
            taken = measure_all(commands, taking.environment(job))
        except CommandError as error:
            collected.problems.append(_without_paths(str(error), job))
            print(f"  {case.name} {number} {entry.contender} {entry.disk}: FAILED {error}")
            return
        said = figures(taken.output)
        own = said.pop("elapsed_seconds", None)
        seconds = own if taking.own_clock and own is not None else taken.seconds
        problem = service.problem(disk, taking.sends(job)) if taking.uploads else None
        counts = {**said, **(service.counts() if taking.uploads else {})}
    run = Run(seconds, taken.seconds, taken.cpu_seconds, taken.peak_bytes, own, counts)
    if problem:
        collected.problems.append(problem)
    else:
        collected.runs.append(run)
    print(
        f"  {case.name} {number} {entry.contender} {entry.disk}: {seconds:.3f} s, "
        f"{taken.cpu_seconds:.2f} s of processor, {taken.peak_bytes / 2**20:.0f} MiB"
        + (f": WRONG, {problem}" if problem else ""),
        flush=True,
    )


def _wire_bytes(target: str, entry: Entry) -> int | None:
    """Bytes that a contender sends, through a relay that counts; not timed."""
    disk, taking = get_disk(entry.disk), contender(entry.contender)
    with (
        _service(target) as service,
        _folder() as folder,
        counting_relay(service.endpoint) as relay,
    ):
        job = Job(disk, service.at(relay.endpoint), folder)
        try:
            measure_all(taking.commands(job), taking.environment(job))
        except CommandError:
            return None
        print(f"  {entry.contender} {entry.disk}: {relay.sent:,} bytes on the wire", flush=True)
        return relay.sent


def _result(entry: Entry, collected: _Collected) -> EntryResult:
    content = get_disk(entry.disk).content
    counted = [
        int(run.counts["wire_bytes"]) for run in collected.runs if "wire_bytes" in run.counts
    ]
    return EntryResult(
        contender=entry.contender,
        disk=entry.disk,
        title=contender(entry.contender).title,
        command=collected.command,
        data_bytes=0 if content is None else content.data_bytes,
        runs=collected.runs,
        wire_bytes=max(counted, default=collected.wire_bytes),
        problems=collected.problems,
    )


def _service(target: str | None) -> AbstractContextManager[Service]:
    return nullcontext(_NOWHERE) if target is None else TARGETS[target].start()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=work(), prefix="run-") as name:
        yield Path(name)


def _shown(command: Sequence[str], job: Job) -> str:
    """A command as a reader would type it: no paths of this machine, no tokens."""
    return " ".join([Path(command[0]).name, *(_word(word, job) for word in command[1:])])


def _word(word: str, job: Job) -> str:
    if job.service.endpoint and word.startswith(job.service.endpoint):
        return f"URL/{urlsplit(word).path.partition('/')[2].partition('/')[2]}?SAS"
    return _without_paths(word, job)


def _without_paths(text: str, job: Job) -> str:
    folders = [job.folder, job.disk.path.parent]
    if job.service.ca_file is not None:
        folders.append(job.service.ca_file.parent)
    for folder in folders:
        text = text.replace(f"{folder}/", "")
    return text

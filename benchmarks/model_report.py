"""The model beside what was measured, and beyond it: tables for the method page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.contenders import WORKERS
from benchmarks.model import (
    EMULATED,
    GIB,
    MIB,
    TIB,
    Account,
    Limits,
    Prediction,
    Upload,
    Way,
    predict,
    predict_many,
)
from benchmarks.results import CaseResult, EntryResult
from benchmarks.table import table
from benchmarks.targets import FAR, NEAR

TOLERANCE = 0.15
"""How far the model may be from what was measured."""

_LATENCIES = {"strict": NEAR, "strict-far": FAR}
_HANDLING_SECONDS = 0.003
"""What the emulated service, in Python beside its client, takes over a request besides its latency:
from the limit, which needs 23 ms for each single page at 20 ms."""
_START_SECONDS = 0.5
_CHUNK = 4 * MIB
_GIGABIT, _OFFICE = 1e9 / 8, 1e8 / 8
_TEN_GIGABIT = 1e10 / 8


@dataclass(frozen=True, slots=True)
class Check:
    """A prediction beside its measurement."""

    upload: Upload
    disk: str
    latency: float
    predicted: Prediction
    measured: float

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted.seconds / self.measured - 1


def checks(results: Mapping[str, CaseResult]) -> list[Check]:
    """Every emulated run of ours that was measured, with the model's word."""
    return [check for result in results.values() for check in _checks_of(result)]


def _checks_of(result: CaseResult) -> Iterator[Check]:
    latency = _LATENCIES.get(result.target or "")
    for entry in result.entries if latency is not None else ():
        kind, _, number = entry.contender.partition("-")
        upload = _upload(entry, int(number or WORKERS))
        if kind != "vhdtool" or upload is None or latency is None:
            continue
        start = entry.seconds - (entry.own_seconds or entry.seconds)
        predicted = predict(upload, EMULATED, Way(latency + _HANDLING_SECONDS), start)
        yield Check(upload, entry.disk, latency, predicted, entry.seconds)


def _upload(entry: EntryResult, workers: int) -> Upload | None:
    data, requests = entry.count("sent_bytes"), entry.count("requests")
    return None if data is None or requests is None else Upload(data, requests, workers)


def model_text(results: Mapping[str, CaseResult]) -> str:
    """Two tables with their headings, in Markdown."""
    return "\n\n".join(
        [
            "### Beside the emulated runs",
            checks_table(checks(results)),
            "### Beyond them",
            beyond_table(_known_upload(results)),
        ]
    )


def checks_table(found: list[Check]) -> str:
    """Predicted and measured seconds."""
    if not found:
        return "*(no emulated run has been measured)*"
    rows = [
        [
            check.disk,
            f"{check.upload.data_bytes / 1e6:,.0f}",
            f"{check.upload.requests:,.0f}",
            f"{check.upload.workers}",
            f"{check.latency * 1000:.0f}",
            check.predicted.bound,
            f"{check.predicted.seconds:.1f}",
            f"{check.measured:.1f}",
            f"{check.error:+.0%}",
        ]
        for check in found
    ]
    heads = ["disk", "MB", "requests", "workers", "latency ms", "bound by", "model s", "measured s"]
    return table([*heads, "error"], rows)


def beyond_table(os_disk: Upload) -> str:
    """What no emulation here can show: large disks, long ways, many disks."""
    blob, account = Limits(), Account()
    near, far = Way(0.005, _TEN_GIGABIT), Way(0.1, _OFFICE)
    quarter = Upload(TIB, TIB / _CHUNK)
    full = Upload(4 * TIB, 4 * TIB / _CHUNK)
    fragments = Upload(TIB, TIB / (64 * 1024))
    many = (os_disk, 1000)
    rows = [
        _row("30 GiB OS disk", "same region", predict(os_disk, blob, near, _START_SECONDS)),
        _row("30 GiB OS disk", "100 Mbit/s, 100 ms", predict(os_disk, blob, far, _START_SECONDS)),
        _row("4 TiB with 1 TiB of data", "same region", predict(quarter, blob, near)),
        _row(
            "4 TiB with 1 TiB of data in runs of 64 KiB",
            "same region",
            predict(fragments, blob, near),
        ),
        _row(
            "the same, 100 ms away over 1 Gbit/s",
            "8 workers",
            predict(fragments, blob, Way(0.1, _GIGABIT)),
        ),
        _row(
            "the same, 100 ms away over 1 Gbit/s",
            "64 workers",
            predict(Upload(fragments.data_bytes, fragments.requests, 64), blob, Way(0.1, _GIGABIT)),
        ),
        _row("4 TiB, full", "same region", predict(full, blob, near)),
        _row(
            "a thousand 30 GiB OS disks, one by one",
            "same region",
            predict_many(*many, 1, blob, account, near, _START_SECONDS),
        ),
        _row(
            "a thousand 30 GiB OS disks, 16 at once",
            "same region, 10 Gbit/s",
            predict_many(*many, 16, blob, account, near, _START_SECONDS),
        ),
        _row(
            "a thousand 30 GiB OS disks, 100 at once from ten machines",
            "same region",
            predict_many(*many, 100, blob, account, Way(0.005, 10 * _TEN_GIGABIT), _START_SECONDS),
        ),
    ]
    return table(["what", "how", "time", "bound by"], rows)


def _row(what: str, how: str, found: Prediction) -> list[str]:
    return [what, how, _time(found.seconds), found.bound]


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _known_upload(results: Mapping[str, CaseResult]) -> Upload:
    """The OS disk as it was sent, or about as it would be."""
    result = results.get("os-strict")
    entry = result.entry("vhdtool") if result else None
    return (entry and _upload(entry, WORKERS)) or Upload(GIB, 280)

"""A model on paper: what an upload to Azure takes, from a few numbers.

Four things bound an upload, and the slowest one counts: the bytes per second that one blob takes,
its requests per second, the time that requests wait for their answers, shared by the workers, and
the way there. Before and after it are the program's start and the calls that open and close a blob.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MIB = 1024**2
GIB, TIB = 1024**3, 1024**4

CONTROL_CALLS = 8
"""Calls one after the other besides the page writes: state, create, lease, footer, page ranges,
metadata twice, release."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What goes to one blob: body bytes, in so many page writes, from so many workers."""

    data_bytes: float
    requests: float
    workers: int = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """What one blob takes per second, and what it saves up for a burst while it rests.

    Azure publishes 60 MiB/s and 500 requests/s ("Scalability and performance targets for Blob
    storage") and nothing about bursts; the emulated service saves a quarter of a second.
    """

    bytes_per_second: float = 60 * MIB
    requests_per_second: float = 500
    burst_seconds: float = 0.0


EMULATED = Limits(burst_seconds=0.25)


@dataclass(frozen=True, slots=True)
class Way:
    """The way to the service: seconds from a request to its answer, and bytes per second."""

    latency: float
    bytes_per_second: float = float("inf")


@dataclass(frozen=True, slots=True)
class Prediction:
    """How long it takes, and what the time goes to."""

    seconds: float
    bound: str


def predict(upload: Upload, limits: Limits, way: Way, start_seconds: float = 0.0) -> Prediction:
    """The time of one upload; `start_seconds` is the program's own start."""
    parts = {
        "the blob's bytes/s": upload.data_bytes / limits.bytes_per_second - limits.burst_seconds,
        "the blob's requests/s": upload.requests / limits.requests_per_second
        - limits.burst_seconds,
        "latency": upload.requests * way.latency / upload.workers,
        "the way": upload.data_bytes / way.bytes_per_second,
    }
    bound = max(parts, key=lambda name: parts[name])
    around = start_seconds + CONTROL_CALLS * way.latency
    return Prediction(around + max(parts[bound], 0.0), bound)


@dataclass(frozen=True, slots=True)
class Account:
    """What all blobs of a storage account take together, per second.

    Azure's default for a standard account in most regions is 25 Gbit/s in, and 20,000 requests/s
    ("Scalability and performance targets for standard storage accounts").
    """

    bytes_per_second: float = 25e9 / 8
    requests_per_second: float = 20_000


def predict_many(
    upload: Upload,
    disks: int,
    at_once: int,
    limits: Limits,
    account: Account,
    way: Way,
    start_seconds: float = 0.0,
) -> Prediction:
    """The time of many equal uploads, *at_once* of them side by side over the same way."""
    share = replace(way, bytes_per_second=way.bytes_per_second / at_once)
    one = predict(upload, limits, share, start_seconds)
    parts = {
        one.bound: one.seconds * -(-disks // at_once),
        "the account's bytes/s": upload.data_bytes * disks / account.bytes_per_second,
        "the account's requests/s": upload.requests * disks / account.requests_per_second,
    }
    bound = max(parts, key=lambda name: parts[name])
    return Prediction(parts[bound], bound)

"""How a server behaves from its start; what changes under way is asked of the server itself."""

from __future__ import annotations

from dataclasses import dataclass

from .storage import MIB


@dataclass(frozen=True, slots=True)
class BlobLimits:
    """What one blob takes; beyond it the service answers 503 ServerBusy.

    Azure publishes 60 MiB/s and 500 requests/s for a standard page blob ("Scalability and
    performance targets for Blob storage"). A blob that rests saves up `burst_seconds` of its rates
    (one 4 MiB request at least). A request that must wait for its share is queued when the wait is
    at most `queue_seconds`, and refused otherwise.
    """

    bytes_per_second: float = 60 * MIB
    requests_per_second: float = 500
    burst_seconds: float = 0.25
    queue_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ManagedDisk:
    """A managed disk's page blob that exists beforehand and obeys the `md-` rules.

    `name` is "container/blob", `size` includes the footer's 512 bytes, `pages` are (offset, data)
    pairs that the disk already holds. Get Blob counts as a violation unless it is `readable`.
    """

    name: str
    size: int
    pages: tuple[tuple[int, bytes], ...] = ()
    readable: bool = False


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Everything a server is started with. Rates are bytes per second, times are seconds.

    `discard` drops the data and keeps the ranges and checksums. `page_ranges_per_answer` is where
    Get Page Ranges starts to page; `page_ranges_timeout` is the number of ranges in the part asked
    for above which it answers 500 OperationTimedOut. `link_rate` bounds each connection's request
    bodies and `total_rate` all of them together. `sas` and `token`, where given, are the only ones
    accepted. `api_version`, where given, is the newest that is known (later ones get 400).
    `head_error_codes` says whether a refused HEAD, which has no body, names its code in a header.
    `container_protection` is "legal hold" or "immutability policy", for every container: blobs can
    be made there, and neither changed nor deleted. `log_size` bounds the log of requests.
    """

    host: str = "127.0.0.1"
    port: int = 0
    account: str = "devstoreaccount1"
    tls: bool = False
    discard: bool = False
    latency: float = 0.0
    link_rate: float | None = None
    total_rate: float | None = None
    limits: BlobLimits | None = None
    page_ranges_per_answer: int = 10_000
    page_ranges_timeout: int | None = None
    managed_disks: tuple[ManagedDisk, ...] = ()
    sas: str | None = None
    token: str | None = None
    api_version: str | None = None
    head_error_codes: bool = True
    container_protection: str | None = None
    log_size: int = 100_000

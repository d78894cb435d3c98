"""A strict page-blob service for tests and benchmarks.

It speaks as much of the Azure Blob REST API as page blobs need, keeps the real service's limits,
and can be told to go wrong. Run it in a thread with `PageBlobServer`, or by itself with
`python -m tests.pageblob_server`.
"""

from .calls import Operation
from .faults import (
    WRITES,
    CutBody,
    CutHeaders,
    Fault,
    FlipReply,
    FlipRequest,
    Match,
    Moment,
    NoChecksum,
    Refuse,
    Reset,
    Rule,
    Schedule,
    Stall,
    WrongChecksum,
    bad_request,
    internal_error,
    on,
    operation_timed_out,
    request_timeout,
    server_busy,
    too_many_requests,
)
from .journal import Record, Stats
from .options import BlobLimits, ManagedDisk, ServerOptions
from .server import ACCOUNT_KEY, SAS, PageBlobServer
from .state import Violation
from .view import BlobView

__all__ = [
    "ACCOUNT_KEY",
    "SAS",
    "WRITES",
    "BlobLimits",
    "BlobView",
    "CutBody",
    "CutHeaders",
    "Fault",
    "FlipReply",
    "FlipRequest",
    "ManagedDisk",
    "Match",
    "Moment",
    "NoChecksum",
    "Operation",
    "PageBlobServer",
    "Record",
    "Refuse",
    "Reset",
    "Rule",
    "Schedule",
    "ServerOptions",
    "Stall",
    "Stats",
    "Violation",
    "WrongChecksum",
    "bad_request",
    "internal_error",
    "on",
    "operation_timed_out",
    "request_timeout",
    "server_busy",
    "too_many_requests",
]

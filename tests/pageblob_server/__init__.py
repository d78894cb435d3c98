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
    Foreign,
    Match,
    Moment,
    NoChecksum,
    OldVersion,
    Refuse,
    Repack,
    Reset,
    Rule,
    Schedule,
    Stall,
    WrongChecksum,
    WrongStatus,
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
    "Foreign",
    "ManagedDisk",
    "Match",
    "Moment",
    "NoChecksum",
    "OldVersion",
    "Operation",
    "PageBlobServer",
    "Record",
    "Refuse",
    "Repack",
    "Reset",
    "Rule",
    "Schedule",
    "ServerOptions",
    "Stall",
    "Stats",
    "Violation",
    "WrongChecksum",
    "WrongStatus",
    "bad_request",
    "internal_error",
    "on",
    "operation_timed_out",
    "request_timeout",
    "server_busy",
    "too_many_requests",
]

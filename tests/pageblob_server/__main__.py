"""`python -m tests.pageblob_server`: the server by itself, until it is interrupted."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from .options import BlobLimits, ManagedDisk, ServerOptions
from .server import PageBlobServer
from .storage import MIB


def main(arguments: list[str] | None = None) -> int:
    """Serve; print one line of JSON with the URL and the connection string when listening."""
    options = _parser().parse_args(arguments)
    server = PageBlobServer(_server_options(options))
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with server:
        if server.ca_pem is not None:
            options.ca_file.write_bytes(server.ca_pem)
        ready = {
            "url": server.url,
            "connection_string": server.connection_string,
            "report": server.report_url,
        }
        print(json.dumps(ready), flush=True)
        stopped.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.pageblob_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--discard", action="store_true", help="keep ranges and checksums, no data")
    parser.add_argument("--latency", type=float, default=0, metavar="SECONDS")
    parser.add_argument(
        "--azure-limits", action="store_true", help="60 MiB/s and 500 requests/s per blob"
    )
    parser.add_argument("--rate-limit", type=float, metavar="MIB_PER_S", help="per blob, else 503")
    parser.add_argument("--request-limit", type=float, metavar="PER_S", help="per blob, else 503")
    parser.add_argument("--burst", type=float, default=0.25, metavar="SECONDS")
    parser.add_argument(
        "--queue", type=float, default=0, metavar="SECONDS", help="wait so long before a 503"
    )
    parser.add_argument("--link-rate", type=float, metavar="MIB_PER_S", help="of each connection")
    parser.add_argument("--total-rate", type=float, metavar="MIB_PER_S", help="of all connections")
    parser.add_argument(
        "--managed-disk", action="append", default=[], metavar="CONTAINER/BLOB=BYTES"
    )
    parser.add_argument(
        "--tls", action="store_true", help="with a certificate of its own authority"
    )
    parser.add_argument(
        "--ca-file", type=Path, default=Path("pageblob-ca.pem"), help="where --tls writes it"
    )
    return parser


def _server_options(given: argparse.Namespace) -> ServerOptions:
    limits = None
    if given.azure_limits or given.rate_limit or given.request_limit:
        unlimited = float("inf")
        ours = BlobLimits()
        limits = BlobLimits(
            given.rate_limit * MIB
            if given.rate_limit
            else ours.bytes_per_second
            if given.azure_limits
            else unlimited,
            given.request_limit or (ours.requests_per_second if given.azure_limits else unlimited),
            given.burst,
            given.queue,
        )
    disks = [text.rpartition("=") for text in given.managed_disk]
    return ServerOptions(
        host=given.host,
        port=given.port,
        tls=given.tls,
        discard=given.discard,
        latency=given.latency,
        link_rate=given.link_rate and given.link_rate * MIB,
        total_rate=given.total_rate and given.total_rate * MIB,
        limits=limits,
        managed_disks=tuple(ManagedDisk(name, int(size)) for name, _, size in disks),
    )


if __name__ == "__main__":
    sys.exit(main())

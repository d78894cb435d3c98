"""A server that takes Put Page as fast as any can, and drops the data: nginx, over HTTP or TLS.

nginx reads each request's whole body into memory and then answers 201 (the `mirror` directive,
which reads bodies before anything else happens, sends it to a place that does nothing). Its log
keeps each request's length, range and CRC-64: the bytes on the wire, and what was put. All other
requests go to a small server of our own (see `control`).
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import trustme

from benchmarks.content import content_of_pieces
from benchmarks.control import control_server
from benchmarks.disks import Disk
from benchmarks.places import work
from benchmarks.service import BLOB, CONTAINER, Service
from benchmarks.tools import program
from tests.support.azurite import ACCOUNT
from vhdtools.checksums import crc64_combine, crc64_from_base64, crc64_zeros
from vhdtools.layout import FOOTER_SIZE
from vhdtools.ranges import PageRange

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0

_CONFIGURATION = """
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    access_log off;
    server_tokens off;
    client_max_body_size 0;
    client_body_buffer_size 4200k;
    keepalive_requests 1000000;
    keepalive_timeout 60s;
    log_format pages escape=none
        '$request_length $http_x_ms_range $http_x_ms_content_crc64 $request_uri';
    server {{
        listen 127.0.0.1:{port}{tls};
        location / {{
            if ($arg_comp = page) {{ rewrite ^ /-/page last; }}
            proxy_pass http://127.0.0.1:{control};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
        }}
        location = /-/page {{
            internal;
            mirror /-/nowhere;
            root {folder}/nothing;
            error_page 405 404 403 =201 @taken;
        }}
        location = /-/nowhere {{ internal; return 204; }}
        location @taken {{
            access_log {folder}/pages.log pages;
            add_header ETag '"0x8DC0000000000000"' always;
            add_header Last-Modified "Tue, 01 Jul 2025 00:00:00 GMT" always;
            add_header x-ms-version $http_x_ms_version always;
            add_header x-ms-request-id $request_id always;
            add_header x-ms-content-crc64 $http_x_ms_content_crc64 always;
            add_header x-ms-blob-sequence-number 0 always;
            return 201;
        }}
    }}
}}
"""


class DiscardingError(RuntimeError):
    """nginx did not start; the message holds what it wrote."""


@dataclass(frozen=True, slots=True)
class Put:
    """A line of the log: a Put Page's bytes on the wire, its range, its CRC-64 (None: not sent)."""

    wire_bytes: int
    place: PageRange
    crc64: int | None


@contextmanager
def start_discarding(*, tls: bool) -> Iterator[Service]:
    """Run the server for uploads to one blob."""
    nginx = program("nginx")
    with tempfile.TemporaryDirectory(dir=work(), prefix="nginx-") as name:
        folder = Path(name)
        log = folder / "pages.log"
        listen = ""
        if tls:
            listen = (
                f" ssl; ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem"
            )
            _certify(folder)
        with control_server(lambda: [put.place for put in read_log(log)]) as control:
            port = _free_port()
            configuration = folder / "nginx.conf"
            configuration.write_text(
                _CONFIGURATION.format(folder=folder, port=port, tls=listen, control=control)
            )
            with _running([nginx, "-c", str(configuration), "-p", name], port, folder):
                scheme = "https" if tls else "http"
                yield Service(
                    endpoint=f"{scheme}://127.0.0.1:{port}/{ACCOUNT}",
                    problem=lambda disk, sent: puts_problem(read_log(log), disk, sent),
                    counts=lambda: {
                        "wire_bytes": sum(put.wire_bytes for put in read_log(log)),
                        "page_writes": len(read_log(log)),
                    },
                    ca_file=folder / "ca.pem" if tls else None,
                )


def read_log(log: Path) -> list[Put]:
    """What was put to the blob, in the order of the answers."""
    puts = list[Put]()
    wanted = f"/{ACCOUNT}/{CONTAINER}/{BLOB}?"
    for line in log.read_text().splitlines() if log.exists() else ():
        length, place, checksum, path = line.split(" ")
        if not path.startswith(wanted):
            continue
        first, _, last = place.removeprefix("bytes=").partition("-")
        offset = int(first)
        puts.append(
            Put(
                int(length),
                PageRange(offset, int(last) + 1 - offset),
                crc64_from_base64(checksum) if checksum else None,
            )
        )
    return puts


def puts_problem(puts: Sequence[Put], disk: Disk, sent: Path | None) -> str | None:
    """What the requests lack of the disk: data that is gone cannot be compared itself.

    Where all carried checksums, these together must be that of the whole disk. Else what the fixed
    VHD that was sent holds in their ranges must be all that the disk holds.
    """
    known = disk.known
    puts = sorted(puts, key=lambda put: put.place.offset)
    if any(a.place.end > b.place.offset for a, b in pairwise(puts)):
        return "page ranges overlap"
    if not puts or puts[-1].place.end != known.size + FOOTER_SIZE:
        return "the footer was not put"
    if all(put.crc64 is not None for put in puts):
        found = _combined(puts, known.size)
    elif sent is None:
        return "not every request carried a checksum"
    else:
        with sent.open("rb") as file:
            pieces = ((p.place.offset, _read(file.fileno(), p.place, known.size)) for p in puts)
            found = content_of_pieces((p for p in pieces if p[1]), known.size).crc64
    return None if found == known.crc64 else f"CRC-64 {found}, and the disk's is {known.crc64}"


def _combined(puts: Sequence[Put], size: int) -> str | None:
    crc = position = 0
    for put in puts:
        if put.place.end > size:
            if put.place.offset < size:
                return None
            break
        gap = put.place.offset - position
        crc = crc64_combine(crc, crc64_zeros(gap), gap) if gap else crc
        crc = crc64_combine(crc, put.crc64 or 0, put.place.length)
        position = put.place.end
    gap = size - position
    return f"{crc64_combine(crc, crc64_zeros(gap), gap) if gap else crc:016x}"


def _read(descriptor: int, place: PageRange, size: int) -> bytes:
    return os.pread(descriptor, max(0, min(place.end, size) - place.offset), place.offset)


def _certify(folder: Path) -> None:
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server.private_key_pem.write_to_path(str(folder / "key.pem"))
    for part in server.cert_chain_pems:
        part.write_to_path(str(folder / "chain.pem"), append=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@contextmanager
def _running(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    said = folder / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise DiscardingError(f"nginx did not start:\n{said.read_text()}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True

"""What a fault does to an answer and to a connection."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct

from aiohttp import web

from . import faults
from .calls import Body, Reply
from .checksums import crc64_header
from .faults import Fault

_LINGER_SECONDS = 0.02
_NO_LINGER = struct.pack("ii", 1, 0)


class DroppedError(Exception):
    """The connection is gone, or was broken off on purpose; there is nobody to answer."""


def damaged(reply: Reply, fault: Fault | None) -> Reply:
    """The answer as a fault leaves it."""
    if isinstance(fault, faults.FlipReply) and reply.length:
        reply.body = Body(list(reply.body)).flipped(fault.position).pieces
    elif isinstance(fault, (faults.WrongChecksum, faults.NoChecksum)):
        for name, wrong in (
            ("x-ms-content-crc64", crc64_header(0x0123456789ABCDEF)),
            ("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ):
            if name in reply.headers:
                del reply.headers[name]
                if isinstance(fault, faults.WrongChecksum):
                    reply.headers[name] = wrong
    elif isinstance(fault, faults.WrongStatus):
        reply.status = fault.status
    elif isinstance(fault, faults.Repack) and fault.gzip and reply.length:
        packed = gzip.compress(b"".join(reply.body))
        reply.headers["Content-Encoding"] = "gzip"
        reply.body, reply.length = [packed], len(packed)
    return reply


def head(response: web.StreamResponse, version: str = "1.1") -> bytes:
    lines = [f"HTTP/{version} {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def reset(request: web.BaseRequest) -> None:
    """Break the connection off so that the client sees a TCP reset."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    raise DroppedError


def hint(request: web.BaseRequest) -> None:
    """Send an interim answer."""
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")


async def close_later(request: web.BaseRequest, last: bytes) -> None:
    """Send a whole answer, and close when a client that expects more would have asked again."""
    if request.transport is not None:
        request.transport.write(last)
        await asyncio.sleep(_LINGER_SECONDS)
    close_after(request, b"")


def close_after(request: web.BaseRequest, last: bytes) -> None:
    """Send a last few bytes and close in good order."""
    transport = request.transport
    if transport is not None:
        if last:
            transport.write(last)
        transport.close()
    raise DroppedError

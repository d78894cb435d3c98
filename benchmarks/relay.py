"""A relay that counts: what a client sends over its connections, headers and all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

_PIECE = 1 << 18


@dataclass(slots=True)
class Counted:
    """Bytes that clients sent through the relay at `endpoint`."""

    endpoint: str
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def counting_relay(endpoint: str) -> Iterator[Counted]:
    """Pass on connections to *endpoint*, whose URL is repeated with the relay's own port."""
    parts = urlsplit(endpoint)
    place = (parts.hostname or "", parts.port or 0)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    counted = Counted(urlunsplit(parts._replace(netloc=f"127.0.0.1:{port}")))
    accepting = threading.Thread(target=_accept, args=(listener, place, counted))
    accepting.start()
    try:
        yield counted
    finally:
        # Wakes the accept; closing alone would leave it waiting.
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()


def _accept(listener: socket.socket, place: tuple[str, int], counted: Counted) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(client, place, counted), daemon=True).start()


def _relay(client: socket.socket, place: tuple[str, int], counted: Counted) -> None:
    """Carry one connection both ways, until both ends have closed it."""
    with client, socket.create_connection(place) as server:
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=_pump, args=(server, client, None), daemon=True)
        back.start()
        _pump(client, server, counted)
        back.join()


def _pump(source: socket.socket, sink: socket.socket, counted: Counted | None) -> None:
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    with suppress(OSError):
        while count := source.recv_into(buffer):
            if counted is not None:
                with counted.lock:
                    counted.sent += count
            sink.sendall(view[:count])
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)

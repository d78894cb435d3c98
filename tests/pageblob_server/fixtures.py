"""Fixtures: a server for a test, several made to order, and names that lead to this machine.

A test module takes them with `pytest_plugins = ["tests.pageblob_server.fixtures"]`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .faults import Rule
from .options import ServerOptions
from .server import PageBlobServer

Serve = Callable[..., PageBlobServer]
"""`serve(*rules, **options)`: a running server, with the container `disks`."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Servers made to order, with the options of ServerOptions; stopped after the test."""
    with ExitStack() as running:

        def start(*rules: Rule, **options: Any) -> PageBlobServer:
            server = running.enter_context(PageBlobServer(ServerOptions(**options), *rules))
            server.create_container("disks")
            return server

        yield start


@pytest.fixture
def page_blob_server(serve: Serve) -> PageBlobServer:
    """A server without faults or limits on speed, with the container `disks`."""
    return serve()


@pytest.fixture
def lead_here(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`lead_here(name)` makes a host name, such as a managed disk's `md-…`, mean 127.0.0.1."""
    names: set[str] = set()
    ask = socket.getaddrinfo

    def answer(host: Any, *arguments: Any, **keywords: Any) -> Any:
        return ask("127.0.0.1" if host in names else host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return names.add

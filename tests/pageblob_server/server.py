"""The server as tests and benchmarks hold it: starts, is asked and told things, stops."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from types import TracebackType

from aiohttp import web

from . import report
from .auth import Gate
from .faults import Rule, Schedule
from .front import Front
from .journal import Journal, Record, Stats
from .options import ServerOptions
from .state import State, Violation
from .view import BlobView

# The emulator's, which everybody knows; any other key would do, as no signature is computed.
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
SAS = "sv=2024-11-04&sr=b&sp=racwdl&se=2999-01-01T00%3A00%3A00Z&sig=c2lnbmF0dXJl"

_LAST_TURNS = 10
# On a slow line the sender must feel it soon: no more is taken in than this.
_SLOW_BUFFER = 32 * 1024
_BUFFER = 256 * 1024


class PageBlobServer:
    """A page-blob service in a thread of this process; a context manager.

    Options are those it starts with. Everything below may be called from any thread.
    """

    def __init__(self, options: ServerOptions | None = None, *rules: Rule) -> None:
        self.options = options or ServerOptions()
        self.ca_pem: bytes | None = None
        self._state = State(self.options)
        self._gate = Gate(self.options.sas, self.options.token)
        self._schedule = Schedule(rules)
        self._journal = Journal(self.options.log_size)
        self._loop = asyncio.new_event_loop()
        self._front: Front | None = None
        self._runner: web.ServerRunner | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    def __enter__(self) -> PageBlobServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, and serve in a thread of its own."""
        try:
            self._loop.run_until_complete(self._listen())
        except BaseException:
            self._loop.close()
            raise
        self._thread = threading.Thread(target=self._loop.run_forever, name="pageblob-server")
        self._thread.start()

    def stop(self) -> None:
        """Break off what is under way, close, and end the thread.

        Raises what went wrong in the server itself, as a test's client saw no more than a 500.
        """
        if self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._thread = None
        if self._front is not None and self._front.crashes:
            raise self._front.crashes[0]

    async def _listen(self) -> None:
        options = self.options
        self._front = Front(self._state, self._gate, self._schedule, self._journal)
        slow = options.link_rate is not None or options.total_rate is not None
        server = web.Server(
            self._front.handle,
            access_log=None,
            auto_decompress=False,
            read_bufsize=_SLOW_BUFFER if slow else _BUFFER,
            max_field_size=64 * 1024,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        listener = socket.create_server((options.host, options.port), backlog=256)
        if slow:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER)
        self._port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener, ssl_context=self._tls(), backlog=256).start()

    async def _shut(self) -> None:
        assert self._front is not None
        assert self._runner is not None
        self._front.release()
        # The connections that were accepted last must be made before they can be closed.
        await _turns()
        await self._runner.cleanup()
        self._front.abandon()
        # An aborted transport tells its protocol in the next turn.
        await _turns()

    def _tls(self) -> ssl.SSLContext | None:
        if not self.options.tls:
            return None
        import trustme

        authority = trustme.CA()
        self.ca_pem = authority.cert_pem.bytes()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(self.options.host, "localhost", "*.localhost").configure_cert(context)
        return context

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The account's URL, without a slash at its end."""
        scheme = "https" if self.options.tls else "http"
        return f"{scheme}://{self.options.host}:{self._port}/{self.options.account}"

    @property
    def report_url(self) -> str:
        """Where another process reads the counters, and each blob's checksum, as JSON."""
        return self.url.rpartition("/")[0] + report.PATH

    @property
    def connection_string(self) -> str:
        """A connection string with the account's key."""
        scheme = "https" if self.options.tls else "http"
        return (
            f"DefaultEndpointsProtocol={scheme};AccountName={self.options.account};"
            f"AccountKey={ACCOUNT_KEY};BlobEndpoint={self.url};"
        )

    def blob_url(self, name: str, sas: str | None = SAS) -> str:
        """The URL of the blob "container/blob", with a SAS unless that is None."""
        return f"{self.url}/{name}" + (f"?{sas}" if sas else "")

    def create_container(self, name: str) -> None:
        """Make a container if there is none."""
        with self._state.lock:
            self._state.containers.setdefault(name, {})

    def create_blob(self, name: str, size: int, *pages: tuple[int, bytes]) -> BlobView:
        """Make a page blob, without a request, that holds `pages`; and its container."""
        blob = self._state.add_blob(name, size)
        with self._state.lock:
            for offset, data in pages:
                blob.preset(offset, data)
        return self.blob(name)

    def blob(self, name: str) -> BlobView:
        """A look at the blob "container/blob"."""
        return BlobView(self._state, name)

    @property
    def requests(self) -> tuple[Record, ...]:
        """The requests that ended, in the order in which they did."""
        self._settle()
        return self._journal.records()

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What was sent to managed disks and must never be."""
        with self._state.lock:
            return tuple(self._state.violations)

    def stats(self) -> Stats:
        """The counters now."""
        self._settle()
        with self._state.lock:
            written, rewritten = self._state.written_bytes, self._state.rewritten_bytes
        return self._journal.stats(self._schedule.fired(), written, rewritten)

    def _settle(self) -> None:
        """Let the requests whose answers were sent come to their ends in the log, too."""

        async def turn() -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        if self._thread is not None:
            asyncio.run_coroutine_threadsafe(turn(), self._loop).result()

    def inject(self, *rules: Rule) -> None:
        """Add rules to the schedule of faults."""
        self._schedule.add(*rules)

    def clear_faults(self) -> None:
        """Forget the rules."""
        self._schedule.clear()

    def release(self) -> None:
        """Let the requests that are stalled now go on."""
        assert self._front is not None
        self._loop.call_soon_threadsafe(self._front.release)

    def pass_time(self, seconds: float) -> None:
        """Put the service's clock forward, for leases and SAS that expire."""
        self._state.pass_time(seconds)

    def set_sas(self, sas: str | None) -> None:
        """From now on this SAS token alone is good (None: any that has not expired)."""
        self._gate.set_sas(sas)

    def expire_sas(self, after: int = 0) -> None:
        """Let the SAS in force expire after so many more requests."""
        self._gate.expire_sas(after)

    def set_token(self, token: str | None) -> None:
        """From now on this bearer token alone is good (None: any)."""
        self._gate.set_token(token)

    def expire_token(self, after: int = 0) -> None:
        """Let the bearer token in force expire after so many more requests."""
        self._gate.expire_token(after)


async def _turns() -> None:
    for _ in range(_LAST_TURNS):
        await asyncio.sleep(0)

"""The HTTP side: reads requests, lets faults and rates act on them, sends the answers."""

from __future__ import annotations

import asyncio
from asyncio import Transport
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from email.utils import formatdate
from weakref import WeakKeyDictionary

from aiohttp import web

from . import damage, errors, faults, service
from .auth import Gate
from .calls import Body, Call, Operation, Reply, operation_of, span_of
from .errors import RefusedError, ServiceError
from .faults import Fault, Moment
from .journal import Journal, Record
from .pacing import BlobPace, Link
from .report import PATH, report
from .state import State
from .storage import MAX_WRITE, MIB

_BLOCK_BLOB_LIMIT = 64 * MIB
_DROPPED = (ConnectionError, web.RequestPayloadError, asyncio.IncompleteReadError)


@dataclass(slots=True)
class _Outcome:
    """What the log will say of a request."""

    status: int | None = None
    code: str | None = None
    received: int = 0
    sent: int = 0
    waited: float = 0.0


class Front:
    """The handler of all requests. Lives in the event loop's thread.

    `crashes` are errors of its own, which no test may take for the service's.
    """

    def __init__(
        self, state: State, gate: Gate, schedule: faults.Schedule, journal: Journal
    ) -> None:
        self._state = state
        self._gate = gate
        self._schedule = schedule
        self._journal = journal
        self._options = state.options
        self._paces: dict[str, BlobPace] = {}
        self._connections: WeakKeyDictionary[Transport, Link | None] = WeakKeyDictionary()
        self._line = self._new_link(state.options.total_rate)
        self._released = asyncio.Event()
        self.crashes: list[Exception] = []

    def release(self) -> None:
        """Let the requests that are stalled now go on."""
        self._released.set()
        self._released = asyncio.Event()

    def abandon(self) -> None:
        """Break off every connection that is still there."""
        for connection in list(self._connections):
            connection.abort()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.path == PATH:
            return web.json_response(report(self._state, self._journal, self._schedule.fired()))
        self._meet(request.transport)
        number = self._journal.begin()
        started = self._journal.clock()
        call = self._call_of(request)
        fault = self._schedule.choose(call.operation, call.name, call.span)
        outcome = _Outcome()
        try:
            return await self._answer(request, call, fault, number, outcome)
        except (*_DROPPED, damage.DroppedError):
            return web.Response()
        except Exception as error:
            self.crashes.append(error)
            raise
        finally:
            offset, length = call.span or (None, None)
            record = Record(
                number=number,
                method=call.method,
                operation=call.operation,
                name=call.name,
                offset=offset,
                length=length,
                status=outcome.status,
                code=outcome.code,
                fault=None if fault is None else faults.kind_of(fault),
                received=outcome.received,
                sent=outcome.sent,
                waited=outcome.waited,
                started=started,
                seconds=self._journal.clock() - started,
            )
            self._journal.end(record)

    async def _answer(
        self,
        request: web.BaseRequest,
        call: Call,
        fault: Fault | None,
        number: int,
        outcome: _Outcome,
    ) -> web.StreamResponse:
        """All of a request's way, in order: line, body, latency, effect, answer."""
        try:
            await self._strike(request, fault, Moment.BEFORE_BODY, outcome)
            admitted = await self._admit(call, outcome)
            call = await self._receive(request, call, fault, outcome)
            if not admitted:
                raise RefusedError(errors.BUSY)
            await _wait(self._options.latency, outcome)
            await self._strike(request, fault, Moment.BEFORE_EFFECT, outcome)
            if isinstance(fault, faults.Foreign):
                return await self._send(request, _foreign(fault, call), fault, outcome)
            self._check_version(call)
            self._gate.check(call)
            reply = service.perform(self._state, call)
            await self._strike(request, fault, Moment.AFTER_EFFECT, outcome)
        except RefusedError as refused:
            coded = self._options.head_error_codes
            reply = _refusal(refused.error, call, number, coded=coded)
            outcome.code = refused.error.code
        reply.headers["Date"] = formatdate(call.now, usegmt=True)
        reply.headers["x-ms-request-id"] = f"{number:08x}-0000-4000-8000-000000000000"
        for echoed in ("x-ms-version", "x-ms-client-request-id"):
            if echoed in call.headers:
                reply.headers[echoed] = call.headers[echoed]
        return await self._send(request, damage.damaged(reply, fault), fault, outcome)

    def _check_version(self, call: Call) -> None:
        """Refuse a version of the API that is newer than the service."""
        asked, newest = call.headers.get("x-ms-version", ""), self._options.api_version
        if newest is not None and asked > newest:
            raise RefusedError(errors.invalid_header("x-ms-version", asked))

    def _call_of(self, request: web.BaseRequest) -> Call:
        first, _, rest = request.path.lstrip("/").partition("/")
        managed = request.host.startswith("md-")
        disks = {disk.name for disk in self._options.managed_disks}
        if managed or f"{first}/{rest}" in disks:
            account, container, blob = request.host.partition(".")[0], first, rest
        else:
            account = first
            container, _, blob = rest.partition("/")
            managed = account.startswith("md-")
        query = dict(request.query)
        span = span_of(request.headers)
        return Call(
            operation=operation_of(request.method, container, blob, request.headers, query),
            method=request.method,
            account=account,
            container=container,
            blob=blob,
            headers=request.headers,
            query=query,
            managed=managed,
            span=None if span is None or span[1] is None else (span[0], span[1]),
            now=self._state.now(),
        )

    async def _admit(self, call: Call, outcome: _Outcome) -> bool:
        """Wait for the request's share of the blob's limits; False when it is refused."""
        limits = self._options.limits
        if limits is None or not call.blob:
            return True
        now = asyncio.get_running_loop().time()
        pace = self._paces.get(call.name)
        if pace is None:
            pace = self._paces[call.name] = BlobPace(limits, now)
        moves = call.operation in (Operation.PUT_PAGE, Operation.GET_BLOB)
        waiting = pace.admit(call.span[1] if moves and call.span else 0, now)
        if waiting is None:
            return False
        await _wait(waiting, outcome)
        return True

    async def _receive(
        self, request: web.BaseRequest, call: Call, fault: Fault | None, outcome: _Outcome
    ) -> Call:
        """The call with its body; a body that is too long is read and dropped."""
        declared = request.content_length
        if declared is None:
            if request.method == "PUT":
                raise RefusedError(errors.MISSING_LENGTH)
            declared = 0
        limit = _BLOCK_BLOB_LIMIT if call.operation is Operation.PUT_BLOB else MAX_WRITE
        keep = declared <= limit
        body = Body([piece async for piece in self._pieces(request, outcome) if keep])
        if not keep:
            raise RefusedError(errors.BODY_TOO_LARGE)
        if isinstance(fault, faults.FlipRequest) and body.length:
            flipped = body.flipped(fault.position)
            if fault.unnoticed:
                return replace(call, body=body, stored=flipped)
            return replace(call, body=flipped)
        return replace(call, body=body)

    async def _pieces(self, request: web.BaseRequest, outcome: _Outcome) -> AsyncIterator[bytes]:
        own = None if request.transport is None else self._connections.get(request.transport)
        links = [link for link in (own, self._line) if link is not None]
        while piece := await request.content.readany():
            outcome.received += len(piece)
            for link in links:
                await _wait(link.carry(len(piece)), outcome)
            yield piece

    def _new_link(self, rate: float | None) -> Link | None:
        return None if rate is None else Link(rate, asyncio.get_running_loop().time)

    def _meet(self, connection: Transport | None) -> None:
        """Count a connection, and give it its rate, with its first request."""
        if connection is not None and connection not in self._connections:
            self._connections[connection] = self._new_link(self._options.link_rate)
            self._journal.connected()

    async def _strike(
        self, request: web.BaseRequest, fault: Fault | None, moment: Moment, outcome: _Outcome
    ) -> None:
        """Let a fault that belongs to this moment act."""
        if not isinstance(fault, (faults.Refuse, faults.Reset, faults.Stall)):
            return
        if fault.moment is not moment:
            return
        if isinstance(fault, faults.Refuse):
            raise RefusedError(fault.error)
        if isinstance(fault, faults.Stall):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._released.wait(), fault.seconds)
            return
        if moment is Moment.BEFORE_BODY and fault.body_bytes:
            async for _ in self._pieces(request, outcome):
                if outcome.received >= fault.body_bytes:
                    break
        damage.reset(request)

    async def _send(
        self, request: web.BaseRequest, reply: Reply, fault: Fault | None, outcome: _Outcome
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        length = reply.length
        if isinstance(fault, faults.CutBody):
            length = max(length, fault.keep + 1)
        if reply.status != 304:
            response.headers["Content-Length"] = str(length)
        if isinstance(fault, faults.CutHeaders):
            damage.close_after(request, damage.head(response)[: fault.keep])
        outcome.status = reply.status
        if isinstance(fault, faults.OldVersion):
            body = b"" if request.method == "HEAD" else b"".join(reply.body)
            await damage.close_later(request, damage.head(response, "1.0") + body)
        if isinstance(fault, faults.Repack):
            del response.headers["Content-Length"]
            damage.hint(request)
            if reply.body:
                response.enable_chunked_encoding()
            else:
                response.content_length = reply.length
        await response.prepare(request)
        left = fault.keep if isinstance(fault, faults.CutBody) else None
        if request.method != "HEAD":
            for piece in reply.body:
                part = piece if left is None else piece[:left]
                outcome.sent += len(part)
                await response.write(part)
                if left is not None:
                    left -= len(part)
        if isinstance(fault, faults.CutBody):
            damage.close_after(request, b"")
        await response.write_eof()
        return response


async def _wait(seconds: float, outcome: _Outcome) -> None:
    if seconds:
        outcome.waited += seconds
        await asyncio.sleep(seconds)


def _foreign(fault: faults.Foreign, call: Call) -> Reply:
    body = () if call.method == "HEAD" else (fault.body,)
    headers = {"Server": "elsewhere", **dict(fault.headers)}
    return Reply(fault.status, headers, body, len(fault.body))


def _refusal(error: ServiceError, call: Call, number: int, *, coded: bool) -> Reply:
    time = datetime.fromtimestamp(call.now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
    headers = {"x-ms-error-code": error.code, **error.headers}
    if call.method == "HEAD" and not coded:
        return Reply(error.status, dict(error.headers))
    if call.method == "HEAD" or error.status == 304:
        return Reply(error.status, headers)
    body = error.body(f"{number:08x}-0000-4000-8000-000000000000", time)
    return Reply(error.status, headers | {"Content-Type": "application/xml"}, (body,), len(body))

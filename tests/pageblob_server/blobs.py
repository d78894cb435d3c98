"""The operations on blobs as a whole: create, delete, properties, metadata, leases."""

from __future__ import annotations

import re
from email.utils import formatdate

from . import conditions, errors, leases
from .calls import Call, Operation, Reply
from .checksums import is_md5
from .errors import RefusedError
from .state import State, stamp
from .storage import MAX_BLOB, PAGE, Blob

_METADATA = "x-ms-meta-"
_METADATA_LIMIT = 8 * 1024
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Request header of Put Blob and Set Blob Properties -> response header of Get Properties.
_PROPERTIES = {
    "x-ms-blob-content-type": "Content-Type",
    "x-ms-blob-content-encoding": "Content-Encoding",
    "x-ms-blob-content-language": "Content-Language",
    "x-ms-blob-content-disposition": "Content-Disposition",
    "x-ms-blob-cache-control": "Cache-Control",
    "x-ms-blob-content-md5": "Content-MD5",
}


def put_blob(state: State, call: Call) -> Reply:
    """Put Blob: an empty page blob, or a block blob with its body; over an existing one too."""
    kind = call.headers.get("x-ms-blob-type")
    if kind is None:
        raise RefusedError(errors.missing_header("x-ms-blob-type"))
    if kind == "PageBlob":
        size = _size(call)
        if call.body.length:
            value = call.headers.get("Content-Length", "")
            raise RefusedError(errors.invalid_header("Content-Length", value))
    elif kind == "BlockBlob":
        size = call.body.length
    else:
        raise RefusedError(errors.invalid_header("x-ms-blob-type", kind))
    metadata, properties = metadata_of(call), _properties_of(call)
    sequence_number = call.integer("x-ms-blob-sequence-number") or 0
    blobs = state.container(call)
    old = blobs.get(call.blob)
    made = state.new_blob(size, kind)
    if old is None:
        if "If-Match" in call.headers:
            raise RefusedError(errors.CONDITION_NOT_MET)
    else:
        made.lease = leases.check_write(old.lease, call.headers.get("x-ms-lease-id"), state.now())
        if call.headers.get("If-None-Match") == "*":
            raise RefusedError(errors.BLOB_EXISTS)
        conditions.check(call, old, reading=False)
        made.managed, made.readable = old.managed, old.readable
    made.metadata, made.properties = metadata, properties or {}
    made.sequence_number = sequence_number
    if kind == "BlockBlob":
        made.pages.write(0, call.body.pieces, call.body.crc64(), size)
        made.ranges.add(0, size)
    blobs[call.blob] = made
    return Reply(201, stamp(made) | {"x-ms-request-server-encrypted": "true"})


def delete_blob(state: State, call: Call) -> Reply:
    """Delete Blob."""
    blob = _to_change(state, call)
    del state.container(call)[call.blob]
    blob.pages.clear(0, blob.size)
    return Reply(202, {"x-ms-delete-type-permanent": "true"})


def get_properties(state: State, call: Call) -> Reply:
    """Get Blob Properties. The length is the blob's, though no body comes."""
    blob = state.blob(call)
    leases.check_read(blob.lease, call.headers.get("x-ms-lease-id"), state.now())
    conditions.check(call, blob, reading=True)
    described = describe(blob, state.now())
    return Reply(200, described, (), blob.size)


def describe(blob: Blob, now: float) -> dict[str, str]:
    """The headers that Get Blob and Get Blob Properties share."""
    described = stamp(blob) | {
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": blob.kind,
        "x-ms-creation-time": formatdate(blob.created, usegmt=True),
        "x-ms-server-encrypted": "true",
    }
    if blob.kind == "PageBlob":
        described["x-ms-blob-sequence-number"] = str(blob.sequence_number)
    described |= blob.properties
    described |= {_METADATA + name: value for name, value in blob.metadata.items()}
    return described | leases.headers(blob.lease, now)


def set_metadata(state: State, call: Call) -> Reply:
    """Set Blob Metadata: replaces all of it."""
    metadata = metadata_of(call)
    blob = _to_change(state, call)
    blob.metadata = metadata
    state.touch(blob)
    return Reply(200, stamp(blob) | {"x-ms-request-server-encrypted": "true"})


def set_properties(state: State, call: Call) -> Reply:
    """Set Blob Properties: headers (all of them or none), size, sequence number."""
    properties = _properties_of(call)
    size = _size(call) if "x-ms-blob-content-length" in call.headers else None
    action = call.headers.get("x-ms-sequence-number-action")
    number = call.integer("x-ms-blob-sequence-number")
    blob = state.page_blob(call) if size is not None or action else state.blob(call)
    _to_change(state, call)
    if size is not None:
        blob.resize(size)
    if action is not None:
        blob.sequence_number = _sequence_number(blob, action, number)
    if properties is not None or (size is None and action is None):
        blob.properties = properties or {}
    state.touch(blob)
    headers = stamp(blob)
    if blob.kind == "PageBlob":
        headers["x-ms-blob-sequence-number"] = str(blob.sequence_number)
    return Reply(200, headers)


def lease_blob(state: State, call: Call) -> Reply:
    """Lease Blob, all five actions."""
    blob, now = state.blob(call), state.now()
    conditions.check(call, blob, reading=False)
    given = call.headers.get("x-ms-lease-id")
    proposed = call.headers.get("x-ms-proposed-lease-id")
    if call.operation is Operation.RELEASE_LEASE:
        leases.release(blob.lease, given)
        blob.lease = None
        return Reply(200, stamp(blob))
    if call.operation is Operation.BREAK_LEASE:
        period = call.headers.get("x-ms-lease-break-period")
        blob.lease = leases.break_(blob.lease, period, now)
        left = leases.remaining_seconds(blob.lease, now)
        return Reply(202, stamp(blob) | {"x-ms-lease-time": str(left)})
    status = 200
    if call.operation is Operation.ACQUIRE_LEASE:
        duration = call.headers.get("x-ms-lease-duration")
        blob.lease = leases.acquire(blob.lease, duration, proposed, now)
        status = 201
    elif call.operation is Operation.RENEW_LEASE:
        blob.lease = leases.renew(blob.lease, given, now)
    else:
        blob.lease = leases.change(blob.lease, given, proposed, now)
    return Reply(status, stamp(blob) | {"x-ms-lease-id": blob.lease.lease_id})


def metadata_of(call: Call) -> dict[str, str]:
    """The metadata a request carries; refused when the service would not take it."""
    metadata = {
        name[len(_METADATA) :]: value
        for name, value in call.headers.items()
        if name.lower().startswith(_METADATA)
    }
    for name, value in metadata.items():
        if not name:
            raise RefusedError(errors.EMPTY_METADATA_KEY)
        if not _IDENTIFIER.fullmatch(name) or not value.isascii():
            raise RefusedError(errors.INVALID_METADATA)
    if sum(len(name) + len(value) for name, value in metadata.items()) > _METADATA_LIMIT:
        raise RefusedError(errors.METADATA_TOO_LARGE)
    return metadata


def _properties_of(call: Call) -> dict[str, str] | None:
    """The HTTP headers to store, an empty one meaning none; None when there is no word of them."""
    given = {
        answer: call.headers[header]
        for header, answer in _PROPERTIES.items()
        if header in call.headers
    }
    md5 = given.get("Content-MD5")
    if md5 and not is_md5(md5):
        raise RefusedError(errors.INVALID_MD5)
    return {name: value for name, value in given.items() if value} if given else None


def _size(call: Call) -> int:
    size = call.integer("x-ms-blob-content-length")
    if size is None:
        raise RefusedError(errors.missing_header("x-ms-blob-content-length"))
    if size % PAGE or size > MAX_BLOB:
        raise RefusedError(errors.invalid_header("x-ms-blob-content-length", str(size)))
    return size


def _sequence_number(blob: Blob, action: str, number: int | None) -> int:
    if action == "increment":
        if number is not None:
            raise RefusedError(errors.invalid_header("x-ms-blob-sequence-number", str(number)))
        return blob.sequence_number + 1
    if number is None:
        raise RefusedError(errors.missing_header("x-ms-blob-sequence-number"))
    if action == "update":
        return number
    if action == "max":
        return max(number, blob.sequence_number)
    raise RefusedError(errors.invalid_header("x-ms-sequence-number-action", action))


def _to_change(state: State, call: Call) -> Blob:
    """The blob a request changes, lease and conditions being in order."""
    blob = state.blob(call)
    left = leases.check_write(blob.lease, call.headers.get("x-ms-lease-id"), state.now())
    conditions.check(call, blob, reading=False)
    blob.lease = left
    return blob

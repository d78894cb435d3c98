"""The operations on pages: Put Page, Clear Pages, Get Page Ranges, Get Blob."""

from __future__ import annotations

from collections.abc import Iterator

from . import conditions, errors, leases
from .calls import Body, Call, Reply, span_of
from .checksums import crc64_header, decoded_length, is_md5
from .errors import RefusedError
from .state import State, stamp
from .storage import MAX_WRITE, PAGE, Blob


def put_page(state: State, call: Call) -> Reply:
    """Put Page, update: at most 4 MiB, whole pages, inside the blob, with the right checksum."""
    offset, length = _write_span(call)
    if length > MAX_WRITE or call.body.length > MAX_WRITE:
        raise RefusedError(errors.BODY_TOO_LARGE)
    if call.body.length != length:
        value = call.headers.get("Content-Length", "")
        raise RefusedError(errors.invalid_header("Content-Length", value))
    computed = _checked_body(call)
    blob = _writable(state, call)
    if offset + length > blob.size:
        raise RefusedError(errors.INVALID_PAGE_RANGE)
    stored = call.stored or call.body
    checksum = computed.crc if stored is call.body else stored.crc64()
    state.rewritten_bytes += blob.write(offset, stored.pieces, checksum, length)
    state.written_bytes += length
    reply = _written(state, blob)
    if computed.md5 is not None:
        reply.headers["Content-MD5"] = computed.md5
    else:
        reply.headers["x-ms-content-crc64"] = crc64_header(computed.crc)
    return reply


def clear_pages(state: State, call: Call) -> Reply:
    """Put Page, clear: no body, whole pages, any length inside the blob."""
    offset, length = _write_span(call)
    if call.body.length:
        value = call.headers.get("Content-Length", "")
        raise RefusedError(errors.invalid_header("Content-Length", value))
    blob = _writable(state, call)
    if offset + length > blob.size:
        raise RefusedError(errors.INVALID_PAGE_RANGE)
    blob.clear(offset, length)
    return _written(state, blob)


def get_page_ranges(state: State, call: Call) -> Reply:
    """Get Page Ranges: coalesced, in pages of results, timing out on what is too fragmented."""
    if "prevsnapshot" in call.query or "snapshot" in call.query:
        raise RefusedError(errors.UNSUPPORTED_QUERY)
    blob = state.page_blob(call)
    leases.check_read(blob.lease, call.headers.get("x-ms-lease-id"), state.now())
    conditions.check(call, blob, reading=True)
    offset, end = _listed_part(call, blob)
    limit = state.options.page_ranges_timeout
    if limit is not None and blob.ranges.count(offset, end - offset) > limit:
        raise RefusedError(errors.LIST_TIMED_OUT)
    offset = max(offset, _marker(call, end))
    listed = blob.ranges.overlapping(offset, end - offset)
    most = _most_results(call, state.options.page_ranges_per_answer)
    elements = [
        f"<PageRange><Start>{start}</Start><End>{start + length - 1}</End></PageRange>"
        for start, length in listed[:most]
    ]
    following = str(listed[most][0]) if len(listed) > most else ""
    xml = (
        '<?xml version="1.0" encoding="utf-8"?><PageList>'
        + "".join(elements)
        + (
            f"<NextMarker>{following}</NextMarker></PageList>"
            if following
            else "<NextMarker/></PageList>"
        )
    ).encode()
    headers = stamp(blob) | {
        "Content-Type": "application/xml",
        "x-ms-blob-content-length": str(blob.size),
    }
    return Reply(200, headers, (xml,), len(xml))


def get_blob(state: State, call: Call, described: dict[str, str]) -> Reply:
    """Get Blob, whole or a range; `described` are the headers that Get Properties would send."""
    blob = state.blob(call)
    headers = dict(described)
    asked = span_of(call.headers)
    if asked is None:
        offset, length, status = 0, blob.size, 200
    else:
        offset, wanted = asked
        if offset >= blob.size:
            raise RefusedError(errors.INVALID_RANGE)
        length = blob.size - offset if wanted is None else min(wanted, blob.size - offset)
        status = 206
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{blob.size}"
        whole = headers.pop("Content-MD5", None)
        if whole is not None:
            headers["x-ms-blob-content-md5"] = whole
    headers |= _asked_checksums(call, blob, offset, length, ranged=asked is not None)
    return Reply(status, headers, _locked_chunks(state, blob, offset, length), length)


def _locked_chunks(state: State, blob: Blob, offset: int, length: int) -> Iterator[bytes]:
    chunks = blob.chunks(offset, length)
    while True:
        with state.lock:
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _check_crc64_is_known(call: Call) -> None:
    """Versions of the API before 2019-02-02 know no CRC-64."""
    if call.headers.get("x-ms-version", "9") < "2019-02-02":
        raise RefusedError(errors.UNSUPPORTED_HEADER)


def _asked_checksums(
    call: Call, blob: Blob, offset: int, length: int, *, ranged: bool
) -> dict[str, str]:
    asked = {
        name: call.headers.get(name, "").lower() == "true"
        for name in ("x-ms-range-get-content-md5", "x-ms-range-get-content-crc64")
    }
    if not any(asked.values()):
        return {}
    if asked["x-ms-range-get-content-crc64"]:
        _check_crc64_is_known(call)
    if all(asked.values()):
        raise RefusedError(errors.BOTH_RANGE_CHECKSUMS)
    name = next(name for name, wanted in asked.items() if wanted)
    if not ranged or length > MAX_WRITE:
        raise RefusedError(errors.invalid_header(name, "true"))
    body = Body(list(blob.chunks(offset, length)))
    if name.endswith("md5"):
        return {"Content-MD5": body.md5()}
    return {"x-ms-content-crc64": crc64_header(body.crc64())}


def _write_span(call: Call) -> tuple[int, int]:
    """The range of a write: there, with both ends, and made of whole pages."""
    action = call.headers.get("x-ms-page-write")
    if action is None:
        raise RefusedError(errors.missing_header("x-ms-page-write"))
    if action.lower() not in ("update", "clear"):
        raise RefusedError(errors.invalid_header("x-ms-page-write", action))
    name = "x-ms-range" if "x-ms-range" in call.headers else "Range"
    value = call.headers.get(name)
    if value is None:
        raise RefusedError(errors.missing_header("x-ms-range"))
    span = span_of(call.headers)
    if span is None or span[1] is None or span[0] % PAGE or span[1] % PAGE:
        raise RefusedError(errors.invalid_header(name, value))
    return span[0], span[1]


class _Checksums:
    __slots__ = ("crc", "md5")

    def __init__(self, crc: int, md5: str | None) -> None:
        self.crc = crc
        self.md5 = md5


def _checked_body(call: Call) -> _Checksums:
    """The body's checksums, after comparing them with those the request carries."""
    sent_crc = call.headers.get("x-ms-content-crc64")
    sent_md5 = call.headers.get("Content-MD5")
    if sent_crc is not None:
        _check_crc64_is_known(call)
    if sent_crc is not None and sent_md5 is not None:
        raise RefusedError(errors.BOTH_CHECKSUMS)
    if sent_md5 is not None and not is_md5(sent_md5):
        raise RefusedError(errors.INVALID_MD5)
    if sent_crc is not None and decoded_length(sent_crc) < 8:
        raise RefusedError(errors.invalid_header("x-ms-content-crc64", sent_crc))
    crc = call.body.crc64()
    if sent_crc is not None and sent_crc != crc64_header(crc):
        raise RefusedError(errors.checksum_mismatch("Crc64", sent_crc, crc64_header(crc)))
    md5 = None if sent_md5 is None else call.body.md5()
    if sent_md5 is not None and md5 is not None and sent_md5 != md5:
        raise RefusedError(errors.checksum_mismatch("Md5", sent_md5, md5))
    return _Checksums(crc, md5)


def _writable(state: State, call: Call) -> Blob:
    """The blob to write to, lease and conditions being in order."""
    blob = state.page_blob(call)
    left = leases.check_write(blob.lease, call.headers.get("x-ms-lease-id"), state.now())
    conditions.check(call, blob, reading=False)
    conditions.check_sequence(call, blob)
    blob.lease = left
    return blob


def _written(state: State, blob: Blob) -> Reply:
    state.touch(blob)
    headers = stamp(blob) | {
        "x-ms-blob-sequence-number": str(blob.sequence_number),
        "x-ms-request-server-encrypted": "true",
    }
    return Reply(201, headers)


def _listed_part(call: Call, blob: Blob) -> tuple[int, int]:
    """First byte and end of the part of the blob whose ranges are asked for."""
    asked = span_of(call.headers)
    if asked is None:
        return 0, blob.size
    offset, length = asked
    if offset % PAGE or (length or 0) % PAGE:
        value = call.headers.get("x-ms-range") or call.headers.get("Range", "")
        raise RefusedError(errors.invalid_header("x-ms-range", value))
    if offset >= blob.size:
        raise RefusedError(errors.INVALID_RANGE)
    return offset, blob.size if length is None else min(offset + length, blob.size)


def _marker(call: Call, end: int) -> int:
    value = call.query.get("marker", "")
    if not value:
        return 0
    if not value.isdecimal() or int(value) > end:
        raise RefusedError(errors.invalid_query("marker", value, "Not a marker of this list."))
    return int(value)


def _most_results(call: Call, ours: int) -> int:
    value = call.query.get("maxresults", "")
    if not value:
        return ours
    if not value.isdecimal() or int(value) < 1:
        raise RefusedError(errors.out_of_range_query("maxresults", value, 1, 10_000))
    return min(int(value), ours)

"""Conditional headers: ETag, time and sequence number."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from . import errors
from .calls import Call
from .errors import RefusedError
from .storage import Blob


def check(call: Call, blob: Blob, *, reading: bool) -> None:
    """Refuse a request whose If-… headers do not hold: 412, or 304 for a read not modified.

    "Specifying conditional headers for Blob service operations".
    """
    headers = call.headers
    match, none_match = headers.get("If-Match"), headers.get("If-None-Match")
    unmodified, modified = headers.get("If-Unmodified-Since"), headers.get("If-Modified-Since")
    if match is not None and not _names(match, blob):
        raise RefusedError(errors.CONDITION_NOT_MET)
    if unmodified is not None and int(blob.modified) > _seconds(unmodified):
        raise RefusedError(errors.CONDITION_NOT_MET)
    unchanged = (none_match is not None and _names(none_match, blob)) or (
        modified is not None and int(blob.modified) <= _seconds(modified)
    )
    if unchanged:
        raise RefusedError(errors.NOT_MODIFIED if reading else errors.CONDITION_NOT_MET)


def check_sequence(call: Call, blob: Blob) -> None:
    """Refuse a Put Page whose x-ms-if-sequence-number-… headers do not hold."""
    number = blob.sequence_number
    lower = call.integer("x-ms-if-sequence-number-lt")
    at_most = call.integer("x-ms-if-sequence-number-le")
    equal = call.integer("x-ms-if-sequence-number-eq")
    if (
        (lower is not None and number >= lower)
        or (at_most is not None and number > at_most)
        or (equal is not None and number != equal)
    ):
        raise RefusedError(errors.SEQUENCE_CONDITION_NOT_MET)


def _names(header: str, blob: Blob) -> bool:
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or blob.etag in tags or blob.etag.strip('"') in tags


def _seconds(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        raise RefusedError(errors.invalid_header("If-Modified-Since", date)) from None

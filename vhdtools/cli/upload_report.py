"""What `vhdtool upload` and `vhdtool verify` say at the end, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from vhdtools.cli.formatting import format_size, printable
from vhdtools.cli.output import say_json
from vhdtools.cli.readiness_text import readiness_rows, warning_rows
from vhdtools.errors import VerificationError
from vhdtools.image import Reading
from vhdtools.inspection.as_json import finding_to_json
from vhdtools.inspection.readiness import readiness_to_json
from vhdtools.transfer import UploadResult, VerifyResult
from vhdtools.transfer.preview import Outlook, UploadPreview

__all__ = [
    "json_on_difference",
    "preview_text",
    "preview_to_json",
    "result_text",
    "result_to_json",
    "verify_text",
    "verify_to_json",
]

_OUTLOOKS: dict[Outlook, str] = {
    "create": "nothing is there yet: it would be created",
    "replace": "what is there would be replaced",
    "resume": "an unfinished upload is there: it would be resumed at {at}, once proven equal",
    "recognize": "a finished upload is there: it would be compared by CRC-64, not sent again",
    "refuse": "what is there is not this upload: it would be refused (a blob: see --overwrite)",
    "write": "a managed disk of the right size is there: it would be written",
}


def result_text(result: UploadResult) -> str:
    """The summary of an upload, a line for each thing worth knowing."""
    seconds = max(result.elapsed_seconds, 1e-6)
    if result.already_there:
        proof = (
            "verified by CRC-64: the disk's is the one recorded"
            if result.resumed_proven
            else "by its page ranges, not by content"
        )
        head = f"Already there, {proof}: {result.blob_url}"
    else:
        head = f"Uploaded: {result.blob_url}"
    rows = [("blob", f"{format_size(result.blob_size)}, a fixed VHD")]
    rows += _reading_rows(result.reading)
    if result.padded_bytes:
        rows.append(
            ("padded", f"{result.padded_bytes:,} bytes of zeros after the disk, to a whole MiB")
        )
    if not result.already_there:
        rate = result.sent_bytes / seconds / 2**20
        sent = f"{format_size(result.sent_bytes)} in {result.requests:,} requests"
        rows.append(("sent", f"{sent}, {seconds:.1f} s, {rate:,.1f} MiB/s"))
        rows.append(("skipped", f"{format_size(result.zero_bytes)} of zeros"))
        if result.resumed_bytes:
            how = "proven equal by CRC-64" if result.resumed_proven else "by page ranges, unproven"
            rows.append(("already there", f"{format_size(result.resumed_bytes)}, {how}"))
    if result.retries:
        reasons = ", ".join(f"{n} × {why}" for why, n in sorted(result.retry_reasons.items()))
        rows.append(("tried again", f"{result.retries} ({reasons})"))
    rows.append(("CRC-64", f"{result.crc64:016x}, {_confirmation(result)}"))
    if result.content_md5 is not None:
        rows.append(("Content-MD5", result.content_md5.hex()))
    rows.append(
        (
            "verified",
            "yes: read back, and equal to the disk"
            if result.verified
            else "not read back (--verify does); page ranges are as planned",
        )
    )
    rows += _judgement_rows(result)
    return _table(head, rows)


def result_to_json(result: UploadResult) -> dict[str, Any]:
    """The result as `upload --json` prints it."""
    return {
        **asdict(result),
        "crc64": f"{result.crc64:016x}",
        "content_md5": None if result.content_md5 is None else result.content_md5.hex(),
        "elapsed_seconds": round(result.elapsed_seconds, 3),
        **_judgement_to_json(result),
    }


def verify_text(result: VerifyResult) -> str:
    """The summary of a verification that found no difference."""
    footer = (
        "as vhdtool writes it"
        if result.footer_rebuilt
        else "valid, though not the one that vhdtool would write"
    )
    rows = [
        ("blob", format_size(result.blob_size)),
        *_reading_rows(result.reading),
        ("read back", f"{format_size(result.read_bytes)}; the rest is in no page range"),
        ("footer", footer),
        ("CRC-64", f"{result.crc64:016x}"),
        ("time", f"{result.elapsed_seconds:.1f} s"),
    ]
    if result.retries:
        rows.append(("tried again", str(result.retries)))
    return _table(f"Equal to the disk: {result.blob_url}", rows)


def verify_to_json(result: VerifyResult) -> dict[str, Any]:
    """The result as `verify --json` prints it."""
    return {
        **asdict(result),
        "crc64": f"{result.crc64:016x}",
        "elapsed_seconds": round(result.elapsed_seconds, 3),
        "verified": True,
    }


@contextmanager
def json_on_difference(as_json: bool) -> Iterator[None]:
    """With `--json`, a target that was read back and is not the disk is told on stdout, too."""
    try:
        yield
    except VerificationError as error:
        if as_json:
            told = {
                "blob_url": error.subject,
                "verified": False,
                "difference_offset": error.offset,
                "message": str(error),
            }
            say_json(told, done=str(error))
        raise


def preview_text(preview: UploadPreview, credentials: str) -> str:
    """What a dry run found."""
    rows = [
        ("blob", f"{format_size(preview.blob_size)}, a fixed VHD"),
        ("to send", f"at most {format_size(preview.data_bytes)}; zeros in it are skipped, too"),
        ("now", _OUTLOOKS[preview.outlook].format(at=format_size(preview.resume_at))),
        ("credentials", credentials),
    ]
    rows[1:1] = _reading_rows(preview.reading)
    if preview.padded_bytes:
        rows.insert(
            1, ("padded", f"{preview.padded_bytes:,} bytes of zeros after the disk, to a whole MiB")
        )
    rows += _judgement_rows(preview)
    return _table(f"Dry run, nothing is sent: {preview.blob_url}", rows)


def preview_to_json(preview: UploadPreview, credentials: str) -> dict[str, Any]:
    """What a dry run found, as JSON."""
    return {
        "dry_run": True,
        **asdict(preview),
        **_judgement_to_json(preview),
        "credentials": credentials,
    }


def _judgement_rows(judged: UploadResult | UploadPreview) -> list[tuple[str, str]]:
    rows = [(title, text) for title, text, _ in readiness_rows(judged.readiness)]
    return [*rows, *((name, printable(text)) for name, text in warning_rows(judged.findings))]


def _judgement_to_json(judged: UploadResult | UploadPreview) -> dict[str, Any]:
    return {
        "readiness": readiness_to_json(judged.readiness),
        "findings": [finding_to_json(finding) for finding in judged.findings],
    }


def _reading_rows(reading: Reading) -> list[tuple[str, str]]:
    """A line for each choice that another program may make in another way."""
    return [("reading", choice.text) for choice in reading.contested]


def _confirmation(result: UploadResult) -> str:
    if result.already_there:
        return "as its metadata has it" if result.resumed_proven else "of the disk"
    if not result.unconfirmed_requests:
        return "confirmed by the service for every request"
    return (
        f"not confirmed: the service returned no checksum for {result.unconfirmed_requests:,} of "
        f"{result.requests:,} requests"
    )


def _table(head: str, rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join([head, *(f"  {name:<{width}}  {value}" for name, value in rows)])

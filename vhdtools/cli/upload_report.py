"""What `vhdtool upload` and `vhdtool verify` say at the end, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from vhdtools.cli.formatting import format_size, printable
from vhdtools.cli.readiness_text import readiness_rows, warning_rows
from vhdtools.image import Reading
from vhdtools.inspection.as_json import finding_to_json
from vhdtools.inspection.readiness import readiness_to_json
from vhdtools.transfer import UploadResult, VerifyResult
from vhdtools.transfer.preview import Outlook, UploadPreview
from vhdtools.transfer.result import Evidence

__all__ = [
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
    "resume": "an unfinished upload is there: it would be resumed at {at}, once the disk is found "
    "to be the same up to there",
    "recognize": "a finished upload is there: it would be compared by CRC-64, not sent again",
    "refuse": "what is there is not this upload: it would be refused (--overwrite replaces it)",
    "write": "a managed disk of the right size is there: it would be written",
}


def result_text(result: UploadResult) -> str:
    """The summary of an upload, a line for each thing worth knowing."""
    seconds = max(result.elapsed_seconds, 1e-6)
    local = result.path is not None
    verb = "Already there" if result.already_there else "Wrote" if local else "Uploaded"
    head = f"{verb}: {result.blob_url}"
    rows = [("file" if local else "blob", f"{format_size(result.blob_size)}, a fixed VHD")]
    rows += _reading_rows(result.reading)
    if result.padded_bytes:
        rows.append(
            ("padded", f"{result.padded_bytes:,} bytes of zeros after the disk, to a whole MiB")
        )
    if result.already_there_by is not None:
        rows.append(("compared", _EVIDENCE[result.already_there_by]))
    else:
        rate = result.sent_bytes / seconds / 2**20
        pieces = f"{result.requests:,} {'writes' if local else 'requests'}"
        sent = f"{format_size(result.sent_bytes)} in {pieces}"
        name = "written" if local else "sent"
        rows.append((name, f"{sent}, {seconds:.1f} s, {rate:,.1f} MiB/s"))
        rows.append(("skipped", f"{format_size(result.zero_bytes)} of zeros"))
        if result.resumed_bytes:
            how = (
                "sent by an earlier run from a disk with the same CRC-64"
                if result.resumed_proven
                else "by page ranges, not by content"
            )
            rows.append(("already there", f"{format_size(result.resumed_bytes)}, {how}"))
    if result.retries:
        reasons = ", ".join(f"{n} × {why}" for why, n in sorted(result.retry_reasons.items()))
        rows.append(("tried again", f"{result.retries} ({reasons})"))
    rows.append(("CRC-64", f"{result.crc64:016x}, {_confirmation(result)}"))
    if result.content_md5 is not None:
        rows.append(("Content-MD5", result.content_md5.hex()))
    rows.append(("verified", _verified(result)))
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
    rest = "in no page range" if result.path is None else "a hole"
    rows = [
        ("blob" if result.path is None else "file", format_size(result.blob_size)),
        *_reading_rows(result.reading),
        ("read back", f"{format_size(result.read_bytes)}; the rest is {rest}"),
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


def preview_text(preview: UploadPreview, credentials: str) -> str:
    """What a dry run found."""
    local = preview.path is not None
    rows = [
        ("file" if local else "blob", f"{format_size(preview.blob_size)}, a fixed VHD"),
        (
            "to write" if local else "to send",
            f"at most {format_size(preview.data_bytes)}; zeros in it are skipped, too",
        ),
        ("now", _OUTLOOKS[preview.outlook].format(at=format_size(preview.resume_at))),
        ("credentials", credentials),
    ]
    rows[1:1] = _reading_rows(preview.reading)
    if preview.padded_bytes:
        rows.insert(
            1, ("padded", f"{preview.padded_bytes:,} bytes of zeros after the disk, to a whole MiB")
        )
    rows += _judgement_rows(preview)
    verb = "written" if local else "sent"
    return _table(f"Dry run, nothing is {verb}: {preview.blob_url}", rows)


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


_EVIDENCE: dict[Evidence, str] = {
    "read back": "the whole blob was read back, and is equal to the disk",
    "not modified since": "the disk has the CRC-64 that was recorded when the upload finished, and "
    "the blob was not modified since; it was not read back",
    "page ranges": "the page ranges are the disk's; the content was not compared",
}


def _verified(result: UploadResult) -> str:
    if result.verified:
        return "yes: read back, and equal to the disk"
    if not result.already_there and result.path is None:
        return "not read back (--verify does); page ranges are as planned"
    return "not read back (--verify does)"


def _confirmation(result: UploadResult) -> str:
    if result.already_there:
        return "as it was recorded" if result.resumed_proven else "of the disk"
    if result.path is not None:
        return "of all that was written"
    if not result.unconfirmed_requests:
        return "confirmed by the service for every request"
    return (
        f"not confirmed: the service returned no checksum for {result.unconfirmed_requests:,} of "
        f"{result.requests:,} requests"
    )


def _table(head: str, rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join([head, *(f"  {name:<{width}}  {value}" for name, value in rows)])

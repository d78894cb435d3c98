"""What the server can tell another process: counters, blobs, broken rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from .journal import Journal
from .state import State
from .storage import Blob

PATH = "/-/report"


def report(state: State, journal: Journal, faults: Counter[str]) -> dict[str, object]:
    """The counters, each blob with its checksum, and what was sent to managed disks wrongly."""
    with state.lock:
        blobs = {
            f"{container}/{name}": {
                "size": blob.size,
                "page_ranges": len(blob.ranges),
                "range_bytes": blob.ranges.total,
                "written_bytes": blob.written_bytes,
                "rewritten_bytes": blob.rewritten_bytes,
                "crc64": _crc64_of(blob),
            }
            for container, held in state.containers.items()
            for name, blob in held.items()
        }
        stats = journal.stats(faults, state.written_bytes, state.rewritten_bytes)
        violations = [f"{found.operation.value} {found.name}" for found in state.violations]
    return {"stats": asdict(stats), "blobs": blobs, "violations": violations}


def _crc64_of(blob: Blob) -> str | None:
    try:
        return f"{blob.pages.crc64(blob.size, blob.ranges):016x}"
    except ValueError:
        return None

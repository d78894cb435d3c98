"""An inspection as JSON: what `vhdtool inspect --json` prints, and inspection.schema.json says.

A field stands there decoded, and where that loses something, raw as `…_raw`: bytes as hex digits,
a data offset as 16 of them.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from vhdtools.image.footers import FoundFooter
from vhdtools.image.locators import FoundLocator
from vhdtools.image.reading import Reading
from vhdtools.image.structure import Structure
from vhdtools.inspection.azure import AzureVerdict
from vhdtools.inspection.describe import (
    creator_name,
    disk_type_name,
    host_os_name,
    time_of,
    version_text,
)
from vhdtools.inspection.finding import Finding
from vhdtools.inspection.readiness import readiness_to_json
from vhdtools.inspection.report import Inspection
from vhdtools.layout import EPOCH, NO_DATA_OFFSET, DynamicHeader
from vhdtools.layout.unique_id import guid
from vhdtools.ranges import PAGE

__all__ = ["as_json", "finding_to_json", "reading_as_json"]


def as_json(inspection: Inspection) -> dict[str, Any]:
    """The object for one disk."""
    structure = inspection.structure
    used = None if structure is None else structure.used
    return {
        "path": inspection.path,
        "format": inspection.format,
        "disk_type": inspection.disk_type,
        "virtual_size": inspection.virtual_size,
        "file_size": inspection.file_size,
        "allocated_bytes": inspection.allocated_bytes,
        "sizes": _sizes(inspection),
        "reading": reading_as_json(inspection.reading),
        "footer": _footer(used),
        "footer_used": _which(structure),
        "end_footer": None if structure is None else _footer(structure.end_footer),
        "footer_copy": None if structure is None else _footer(structure.footer_copy),
        "trailing_bytes": None if structure is None else structure.trailing_bytes,
        "dynamic_header": None if structure is None else _header(structure),
        "parent_locators": []
        if structure is None
        else [_locator(found) for found in structure.parent_locators],
        "ancestors": [
            {
                "path": ancestor.path,
                "disk_type": ancestor.disk_type,
                "unique_id_raw": ancestor.unique_id.hex(),
                "virtual_size": ancestor.virtual_size,
                "sound": ancestor.sound,
            }
            for ancestor in inspection.ancestors
        ],
        "bat": _bat(inspection),
        "batmap": None if structure is None else _batmap(structure),
        "findings": [finding_to_json(finding) for finding in inspection.findings],
        "azure": _azure(inspection.azure),
        "readiness": readiness_to_json(inspection.readiness),
        "deep": None if inspection.deep is None else inspection.deep.to_json(),
        "remote": _remote(inspection),
    }


def reading_as_json(reading: Reading) -> dict[str, Any]:
    """What was chosen where a file can be read in two ways; also in the results of transfers."""
    return asdict(reading)


def _which(structure: Structure | None) -> str | None:
    if structure is None or structure.used is None:
        return None
    return "end" if structure.used is structure.end_footer else "copy"


def _sizes(inspection: Inspection) -> dict[str, Any] | None:
    structure, soundness = inspection.structure, inspection.soundness
    footer = None if structure is None else structure.footer
    if footer is None or soundness is None:
        return None
    return {
        "guest": soundness.guest_size,
        "current": footer.current_size,
        "geometry": footer.geometry.size,
        "original": footer.original_size,
        "rule": "current" if soundness.guest_size == footer.current_size else "geometry",
        "surplus": soundness.surplus,
    }


def _footer(found: FoundFooter | None) -> dict[str, Any] | None:
    if found is None:
        return None
    footer = found.footer
    creator = footer.creator_application
    return {
        "offset": found.offset,
        "length": found.size,
        "valid": found.valid,
        "cookie": _text(footer.cookie),
        "cookie_raw": footer.cookie.hex(),
        "features": footer.features,
        "temporary": bool(footer.features & 1),
        "version": version_text(footer.version),
        "version_raw": footer.version,
        **_data_offset(footer.data_offset),
        "timestamp": time_of(footer).isoformat(),
        "timestamp_raw": footer.timestamp,
        "creator_application": creator_name(creator),
        "creator_application_raw": creator.hex(),
        "creator_version": version_text(footer.creator_version),
        "creator_version_raw": footer.creator_version,
        "creator_host_os": host_os_name(footer.creator_host_os),
        "creator_host_os_raw": footer.creator_host_os.hex(),
        "original_size": footer.original_size,
        "current_size": footer.current_size,
        "geometry": {
            "cylinders": footer.cylinders,
            "heads": footer.heads,
            "sectors_per_track": footer.sectors_per_track,
            "size": footer.geometry.size,
            "maximal": footer.geometry.is_maximal,
        },
        "disk_type": disk_type_name(footer.disk_type),
        "disk_type_raw": footer.disk_type,
        "checksum": footer.checksum,
        "checksum_computed": footer.computed_checksum,
        "checksum_ok": footer.checksum_ok,
        "unique_id": guid(footer.unique_id, creator),
        "unique_id_raw": footer.unique_id.hex(),
        "saved_state": footer.saved_state != 0,
        "saved_state_raw": footer.saved_state,
        "hidden": footer.reserved[0],
        "reserved_raw": footer.reserved.rstrip(b"\0").hex(),
    }


def _header(structure: Structure) -> dict[str, Any] | None:
    header, footer = structure.header, structure.footer
    if header is None or footer is None:
        return None
    name = structure.parent_name
    return {
        "offset": structure.header_offset,
        "cookie": _text(header.cookie),
        "cookie_raw": header.cookie.hex(),
        **_data_offset(header.data_offset),
        "table_offset": header.table_offset,
        "version": version_text(header.version),
        "version_raw": header.version,
        "max_table_entries": header.max_table_entries,
        "block_size": header.block_size,
        "checksum": header.checksum,
        "checksum_computed": header.computed_checksum,
        "checksum_ok": header.checksum_ok,
        "parent_unique_id": guid(header.parent_unique_id, footer.creator_application),
        "parent_unique_id_raw": header.parent_unique_id.hex(),
        "parent_timestamp": _parent_time(header),
        "parent_timestamp_raw": header.parent_timestamp,
        "parent_name": None if name is None or not name.encoding else name.text,
        "parent_name_encoding": None if name is None or not name.encoding else name.encoding,
        "parent_name_raw": header.parent_name.rstrip(b"\0").hex(),
        "reserved": header.reserved,
        "reserved_tail_raw": header.reserved_tail.rstrip(b"\0").hex(),
    }


def _parent_time(header: DynamicHeader) -> str | None:
    if not header.parent_timestamp:
        return None
    return (EPOCH + timedelta(seconds=header.parent_timestamp)).isoformat()


def _locator(found: FoundLocator) -> dict[str, Any]:
    locator = found.locator
    return {
        "index": found.index,
        "platform_code": _text(locator.platform_code),
        "platform_code_raw": locator.platform_code.hex(),
        "data_space": locator.data_space,
        "data_length": locator.data_length,
        "data_offset": locator.data_offset,
        "reserved": locator.reserved,
        "path": found.text,
        "path_raw": None if found.data is None else found.data.hex(),
    }


def _bat(inspection: Inspection) -> dict[str, Any] | None:
    structure, soundness = inspection.structure, inspection.soundness
    if structure is None or soundness is None or structure.header is None:
        return None
    header, blocks = structure.header, soundness.blocks
    block_size = header.block_size
    return {
        "offset": header.table_offset,
        "entries": header.max_table_entries,
        "needed": -(-soundness.guest_size // block_size) if block_size else None,
        "allocated": None if blocks is None else blocks.allocated,
        "block_size": block_size,
        "block_span": None if blocks is None else blocks.span,
        "first_block_offset": None if blocks is None else blocks.lowest,
        "last_block_offset": None if blocks is None else blocks.highest,
        "ascending": None if blocks is None else blocks.ascending,
        "gap_bytes": None if blocks is None else blocks.gaps,
        "padding_raw": structure.bat_padding.hex(),
    }


def _batmap(structure: Structure) -> dict[str, Any] | None:
    found = structure.batmap
    if found is None:
        return None
    return {
        "offset": found.offset,
        "version": version_text(found.header.version),
        "map_offset": found.header.map_offset,
        "map_bytes": found.header.map_sectors * PAGE,
        "in_file": found.bitmap is not None,
        "checksum": found.header.checksum,
        "marker": found.header.marker,
        "encrypted": found.header.encrypted,
    }


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """The object for one finding."""
    fields = asdict(finding)
    del fields["reruns"]
    return {**fields, "level": finding.level.value}


def _azure(verdict: AzureVerdict) -> dict[str, Any]:
    return {
        "ready": verdict.ready,
        "ready_as_is": verdict.ready_as_is,
        "upload_size": verdict.upload_size,
        "reasons": list(verdict.reasons),
        "checks": [asdict(check) for check in verdict.checks],
        "partition_table": verdict.partition_table,
    }


def _remote(inspection: Inspection) -> dict[str, Any] | None:
    state = inspection.remote
    if state is None:
        return None
    return {
        "leased": state.leased,
        "leased_forever": state.leased_forever,
        "page_ranges": state.range_count,
        "page_range_bytes": state.range_bytes,
        "checkpoint": state.checkpoint,
        "crc64": None if state.crc64 is None else f"{state.crc64:016x}",
        "content_md5": None if state.content_md5 is None else state.content_md5.hex(),
        "metadata": state.metadata,
    }


def _data_offset(value: int) -> dict[str, Any]:
    return {
        "data_offset": None if value == NO_DATA_OFFSET else value,
        "data_offset_raw": f"{value:016x}",
    }


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").rstrip("\0")

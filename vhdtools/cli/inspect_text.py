"""An inspection as text: a summary first, then the findings, Azure's verdict, and the fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from vhdtools.cli.formatting import (
    format_size,
    heading,
    paragraph,
    printable,
    quantity,
    share_text,
    table,
    terminal_width,
)
from vhdtools.cli.readiness_text import TITLES, readiness_rows
from vhdtools.image.footers import FoundFooter
from vhdtools.image.structure import Structure
from vhdtools.inspection import Finding, Inspection, Level, Readiness
from vhdtools.inspection.deep import DeepResult
from vhdtools.inspection.describe import (
    creator_name,
    disk_type_name,
    host_os_name,
    time_of,
    version_text,
)
from vhdtools.layout import EPOCH, NO_DATA_OFFSET, DiskType, DynamicHeader
from vhdtools.layout.unique_id import guid
from vhdtools.ranges import PAGE

__all__ = ["inspection_text"]

Rows = list[tuple[str, str]]

_COLOURS = {Level.ERROR: "red", Level.WARNING: "yellow", Level.INFO: "cyan"}
_COUNTED = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "note"}
_LEVEL_WIDTH = 9


def inspection_text(inspection: Inspection) -> str:
    """All about one disk, in lines that fit the terminal."""
    width = terminal_width()
    parts = [
        _summary(inspection, width),
        _findings(inspection.findings, width),
        _azure(inspection, width),
        *_fields(inspection),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _summary(inspection: Inspection, width: int) -> list[str]:
    lines = [heading(printable(inspection.path))]
    if inspection.virtual_size is None:
        what = "not readable" if inspection.structure is None else "not a VHD"
        lines.append(f"  {what}")
    else:
        lines.append(paragraph(_what(inspection, inspection.virtual_size), 2, width))
    lines += [
        paragraph(f"Reading: {choice.text}", 2, width) for choice in inspection.reading.contested
    ]
    lines.append("  " + _counts(inspection.findings))
    if inspection.azure.upload_size is not None:
        lines += _azure_summary(inspection, inspection.azure.upload_size, width)
    return lines


def _what(inspection: Inspection, size: int) -> str:
    footer = None if inspection.structure is None else inspection.structure.footer
    kind = inspection.disk_type or "unknown type of"
    creator = "" if footer is None else printable(creator_name(footer.creator_application))
    text = f"{kind} VHD by {creator}, {format_size(size)}"
    if inspection.allocated_bytes is not None and size:
        held = inspection.allocated_bytes
        text += f", {format_size(held)} of it in the {_place(inspection)}"
        text += f" ({share_text(held, size)})"
    return text


def _place(inspection: Inspection) -> str:
    return "file" if inspection.remote is None else "blob"


def _counts(findings: tuple[Finding, ...]) -> str:
    texts = []
    for level in Level:
        number = sum(finding.level is level for finding in findings)
        if number:
            texts.append(click.style(quantity(number, _COUNTED[level]), fg=_COLOURS[level]))
    return ", ".join(texts) if texts else click.style("nothing to find fault with", fg="green")


def _azure_summary(inspection: Inspection, upload_size: int, width: int) -> list[str]:
    """What the disk is ready for: once uploaded by vhdtool, or as the blob that it already is."""
    as_is = inspection.remote is not None
    rows = readiness_rows(inspection.readiness, as_is=as_is)
    if not as_is:
        rows.insert(0, ("vhdtool upload", f"makes a fixed VHD of {format_size(upload_size)}", None))
        rows.append(("file as it is", _as_is(inspection.readiness), None))
    first = max(len(title) for title, _, _ in rows)
    lines = []
    for title, text, ready in rows:
        # Styled once the lines are broken, as styles have no width.
        shown = paragraph(f"{title:<{first}}  {text}", 2, width, hanging=first + 4)
        word = text.partition(":")[0]
        if ready is not None or word == "not known":
            style = click.style(word, fg="green" if ready else "yellow")
            shown = shown.replace(f"  {word}", f"  {style}", 1)
        lines.append(shown)
    return lines


def _as_is(readiness: Sequence[Readiness]) -> str:
    """Whether the file's bytes can be uploaded plainly; the table below has what was found."""
    verdicts = []
    for each in readiness:
        if each.purpose in ("page-blob", "managed-disk"):
            lacking = ", ".join(item.requirement for item in each.lacking_as_is or ())
            verdict = f"not ready: requires {lacking}" if lacking else "ready"
            verdicts.append(f"{TITLES[each.purpose]} {verdict}")
    return "; ".join(verdicts)


def _findings(findings: tuple[Finding, ...], width: int) -> list[str]:
    if not findings:
        return []
    lines = [heading("Findings")]
    for finding in findings:
        level = click.style(f"{finding.level.value:<{_LEVEL_WIDTH}}", fg=_COLOURS[finding.level])
        place = "" if finding.offset is None else f" at byte {finding.offset:,}"
        lines.append(f"  {level}{click.style(finding.code, bold=True)}{place}")
        indent = 2 + _LEVEL_WIDTH
        lines.append(paragraph(_sentence(finding.message), indent, width))
        if finding.level is Level.INFO:
            continue
        lines.append(paragraph(f"Reading: {finding.reading}", indent, width))
        lines.append(paragraph(f"Azure: {finding.azure}", indent, width))
        if finding.remedy:
            # In one line, so that a command can be copied.
            lines.append(" " * indent + printable(f"To do: {finding.remedy}"))
    return lines


def _sentence(text: str) -> str:
    return printable(text[:1].upper() + text[1:] + ".")


def _azure(inspection: Inspection, width: int) -> list[str]:
    azure = inspection.azure
    if azure.upload_size is None:
        return []
    rows = [("Azure requires", "found", "uploaded", "as it is")]
    rows += [
        (check.requirement, check.found, _yes(check.uploaded), _yes(check.as_is))
        for check in azure.checks
    ]
    lines = table([tuple(map(heading, rows[0])), *rows[1:]], indent=0)
    remedies = [check.remedy for check in azure.checks if check.remedy]
    return lines + [paragraph("· " + remedy, 2, width) for remedy in dict.fromkeys(remedies)]


def _yes(good: bool) -> str:
    return click.style("yes", fg="green") if good else click.style("no", fg="yellow")


def _fields(inspection: Inspection) -> Iterator[list[str]]:
    structure = inspection.structure
    if structure is None:
        return
    yield _section("Disk", _disk(inspection, structure))
    if structure.used is not None:
        which = "at the end" if structure.used is structure.end_footer else "copy at the start"
        yield _section(f"Footer ({which})", _footer(structure.used))
    if structure.header is not None:
        yield _section("Dynamic disk header", _header(inspection, structure, structure.header))
    parents = list(_parents(inspection, structure))
    if parents:
        yield _section("Backing chain", parents)
    if inspection.deep is not None:
        yield _section("Content", _deep(inspection.deep))
    if inspection.remote is not None:
        yield _section("Page blob", _remote(inspection))


def _section(title: str, rows: Rows) -> list[str]:
    return [heading(title), *table(rows)]


def _disk(inspection: Inspection, structure: Structure) -> Rows:
    rows: Rows = []
    footer, soundness = structure.footer, inspection.soundness
    if footer is not None and soundness is not None and inspection.virtual_size is not None:
        rows.append(("virtual size", format_size(inspection.virtual_size)))
        if soundness.guest_size != footer.current_size:
            rows.append(("", "by the geometry"))
        rows.append(("current size", format_size(footer.current_size)))
        rows.append(("size by geometry", format_size(footer.geometry.size)))
        if footer.original_size != footer.current_size:
            rows.append(("original size", format_size(footer.original_size)))
    place = _place(inspection)
    rows.append((f"{place} size", format_size(structure.file_size)))
    if inspection.allocated_bytes is not None:
        rows.append((f"held in the {place}", format_size(inspection.allocated_bytes)))
    tables = inspection.azure.partitions
    if tables is not None and tables.scheme is not None:
        sectors = "" if tables.sector_size == PAGE else f", {tables.sector_size}-byte sectors"
        rows.append(("partition table", tables.scheme.upper() + sectors))
    return rows


def _footer(found: FoundFooter) -> Rows:
    footer = found.footer
    creator = printable(creator_name(footer.creator_application))
    host = printable(host_os_name(footer.creator_host_os))
    geometry = footer.geometry
    shape = f"{geometry.cylinders:,} × {geometry.heads} × {geometry.sectors_per_track}"
    good = "good" if found.valid else f"wrong, should be 0x{footer.computed_checksum:08X}"
    return [
        ("place", f"byte {found.offset:,}, {found.size} bytes"),
        ("cookie", printable(footer.cookie.decode("latin-1"))),
        ("format version", version_text(footer.version)),
        ("features", f"0x{footer.features:08X}" + (", temporary" if footer.features & 1 else "")),
        ("disk type", f"{disk_type_name(footer.disk_type)} ({footer.disk_type})"),
        ("data offset", _offset(footer.data_offset)),
        ("creator", f"{creator} {version_text(footer.creator_version)}, host {host}"),
        ("created", f"{time_of(footer):%Y-%m-%d %H:%M:%S} UTC"),
        ("geometry", shape + (" (maximal)" if geometry.is_maximal else "")),
        ("unique id", guid(footer.unique_id, footer.creator_application)),
        ("saved state", "yes" if footer.saved_state else "no"),
        ("checksum", f"0x{footer.checksum:08X}, {good}"),
    ]


def _header(inspection: Inspection, structure: Structure, header: DynamicHeader) -> Rows:
    computed = f"wrong, should be 0x{header.computed_checksum:08X}"
    rows = [
        ("place", f"byte {structure.header_offset:,}"),
        ("header version", version_text(header.version)),
        ("block size", format_size(header.block_size)),
        ("checksum", f"0x{header.checksum:08X}, {'good' if header.checksum_ok else computed}"),
        ("BAT", f"byte {header.table_offset:,}, {header.max_table_entries:,} entries"),
    ]
    blocks = None if inspection.soundness is None else inspection.soundness.blocks
    if blocks is not None:
        share = share_text(blocks.allocated, blocks.entries)
        rows.append(("blocks", f"{blocks.allocated:,} of {blocks.entries:,} allocated: {share}"))
        if blocks.lowest is not None and blocks.highest is not None:
            order = "in order" if blocks.ascending else "in no order"
            gaps = f", {format_size(blocks.gaps)} of gaps" if blocks.gaps else ""
            places = f"bytes {blocks.lowest:,} to {blocks.highest + blocks.span:,}"
            rows.append(("", f"{places}, {order}{gaps}"))
    if structure.batmap is not None:
        version = version_text(structure.batmap.header.version)
        rows.append(("batmap", f"byte {structure.batmap.offset:,}, version {version}"))
    return rows


def _parents(inspection: Inspection, structure: Structure) -> Iterator[tuple[str, str]]:
    header, footer = structure.header, structure.footer
    if header is None or footer is None or footer.disk_type != DiskType.DIFFERENCING:
        return
    yield "parent id", guid(header.parent_unique_id, footer.creator_application)
    if header.parent_timestamp:
        written = EPOCH.timestamp() + header.parent_timestamp
        yield (
            "parent written",
            f"{EPOCH.fromtimestamp(written, EPOCH.tzinfo):%Y-%m-%d %H:%M:%S} UTC",
        )
    if structure.parent_name is not None:
        yield "parent name", printable(structure.parent_name.text) or "none"
    for found in structure.parent_locators:
        code = printable(found.locator.platform_code.decode("latin-1").strip())
        path = "not readable" if found.text is None else printable(found.text)
        yield f"locator {found.index + 1} {code}", path
    for number, ancestor in enumerate(inspection.ancestors, 1):
        state = "" if ancestor.sound else ", damaged"
        size = format_size(ancestor.virtual_size)
        yield f"found {number}", f"{printable(ancestor.path)}: {ancestor.disk_type}, {size}{state}"


def _deep(deep: DeepResult) -> Rows:
    rows = [
        ("CRC-64", f"{deep.crc64:016x}"),
        ("data", format_size(deep.data_pages * PAGE)),
        ("zeros", format_size(deep.zero_pages * PAGE)),
    ]
    blocks = deep.blocks
    if blocks is not None:
        kinds = f"{blocks.full:,} full, {blocks.empty:,} empty, {blocks.all_zero:,} all zeros"
        rows.append(("blocks", f"{blocks.allocated:,}: {kinds}"))
        rows.append(("sectors held", f"{blocks.sectors_set:,}"))
        if blocks.clear_over_data:
            rows.append(("clear over data", quantity(blocks.clear_over_data, "sector")))
    return rows


def _remote(inspection: Inspection) -> Rows:
    state = inspection.remote
    if state is None:
        return []
    held = format_size(state.range_bytes)
    rows = [
        ("page ranges", f"{state.range_count:,}, {held}"),
        ("leased", "yes: somebody may be writing" if state.leased else "no"),
    ]
    if state.checkpoint is not None:
        rows.append(("upload", f"unfinished, at byte {state.checkpoint:,}"))
    elif state.crc64 is not None:
        rows.append(("upload", f"finished by vhdtools, CRC-64 {state.crc64:016x}"))
    if state.content_md5 is not None:
        rows.append(("Content-MD5", state.content_md5.hex()))
    return rows


def _offset(value: int) -> str:
    return "none (all ones)" if value == NO_DATA_OFFSET else f"{value:,}"

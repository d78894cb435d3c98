"""Inspection: everything that is to be said about a disk, from its bytes alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from vhdtools.errors import DamagedImageError, ImageError, SourceReadError
from vhdtools.image import BitmapRule, FixedBase, SizeRule
from vhdtools.image.chain import Chain, Link
from vhdtools.image.deciding import Rules, decide_chain
from vhdtools.image.disk_image import DiskImage
from vhdtools.image.opening import assemble, check_options
from vhdtools.image.parents import find_parent
from vhdtools.image.source import Source, data_runs, open_source
from vhdtools.image.structure import Structure, read_structure
from vhdtools.inputs import local_files, local_folders
from vhdtools.inspection.allocation import allocated_in_blocks
from vhdtools.inspection.azure import judge
from vhdtools.inspection.checks.chain import check_chain, parent_not_found
from vhdtools.inspection.checks.deep import check_deep
from vhdtools.inspection.checks.guest import check_guest
from vhdtools.inspection.checks.structure import check_structure
from vhdtools.inspection.deep import DeepResult, read_all
from vhdtools.inspection.describe import disk_type_name
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.kinds import file as file_kinds
from vhdtools.inspection.outcomes import finished, not_a_vhd, unreadable, unreadable_finding
from vhdtools.inspection.partitions import PartitionTables, read_partitions
from vhdtools.inspection.report import Ancestor, Inspection
from vhdtools.layout import DiskType
from vhdtools.progress import NoProgress, Progress
from vhdtools.ranges import PAGE, align_up

__all__ = ["InspectedImage", "inspect", "inspect_and_open", "partitions_of"]


class _Options(NamedTuple):
    parents: Sequence[Path]
    parent_dirs: Sequence[Path]
    raw_parent: bool
    rules: Rules
    now: datetime
    deep: bool
    progress: Progress


def inspect(
    path: str | os.PathLike[str],
    *,
    deep: bool = False,
    parents: Iterable[str | os.PathLike[str]] = (),
    parent_dirs: Iterable[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
    bitmap_rule: BitmapRule = "auto",
    now: datetime | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Look at everything a disk says of itself, and collect all that is to be said about it.

    `deep` reads the whole disk, too, telling `progress` about it. `parents`, `parent_dirs`,
    `raw_parent`, `size_rule`, `fixed_base` and `bitmap_rule` are as for `vhdtools.open`. Time
    stamps are compared with `now` (None: the clock).

    Neither a damaged disk raises, nor a file that is missing or no VHD: each is a finding. Raises
    UsageError for a URL, for a secret in a path, and for an option's value that does not exist.
    """
    opened = inspect_and_open(
        path,
        deep=deep,
        parents=parents,
        parent_dirs=parent_dirs,
        raw_parent=raw_parent,
        size_rule=size_rule,
        fixed_base=fixed_base,
        bitmap_rule=bitmap_rule,
        now=now,
        progress=progress,
    )
    if opened.image is not None:
        opened.image.close()
    return opened.inspection


@dataclass(frozen=True, slots=True)
class InspectedImage:
    """An inspection, and the disk that it was made from.

    `image` is open, and the caller's to close; None where the disk cannot be read. The findings
    say why not; `refusal` is the error where reading failed, or where an option has to decide, such
    as the base of a fixed disk.
    """

    inspection: Inspection
    image: DiskImage | None = None
    refusal: ImageError | None = None


def inspect_and_open(
    path: str | os.PathLike[str],
    *,
    deep: bool = False,
    parents: Iterable[str | os.PathLike[str]] = (),
    parent_dirs: Iterable[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
    bitmap_rule: BitmapRule = "auto",
    now: datetime | None = None,
    progress: Progress | None = None,
) -> InspectedImage:
    """Inspect a disk, and keep it open: what was judged is then what is read.

    Arguments and errors are those of `inspect`.
    """
    options = _Options(
        local_files(parents),
        local_folders(parent_dirs),
        raw_parent,
        check_options(path, size_rule, fixed_base, bitmap_rule),
        datetime.now(timezone.utc) if now is None else now,
        deep,
        NoProgress() if progress is None else progress,
    )
    try:
        source = open_source(path)
    except SourceReadError as error:
        return InspectedImage(unreadable(str(path), error))
    found: InspectedImage | None = None
    try:
        structure = read_structure(source)
        if structure.footer is None:
            found = InspectedImage(not_a_vhd(source, structure, str(path)))
        else:
            found = _inspect(source, structure, options)
    except SourceReadError as error:
        found = InspectedImage(unreadable(str(path), error))
    finally:
        if found is None or found.image is None:
            source.close()
    return found


def _inspect(source: Source, structure: Structure, options: _Options) -> InspectedImage:
    name = str(source.path)
    chain = decide_chain(
        source,
        structure,
        options.rules,
        parents=options.parents,
        parent_dirs=options.parent_dirs,
        raw_parent=options.raw_parent,
    )
    done: InspectedImage | None = None
    try:
        link = chain.links[0]
        base_known = link.reading.base is not None
        found = check_structure(structure, link.soundness, options.now, link.reading)
        findings = list(found)
        if any(finding.level is not Level.INFO for finding in findings):
            from vhdtools.inspection.advising import advised  # a sound disk needs no repair

            findings = list(advised(findings, structure, source, options.now))
        findings += check_chain(chain, options.now)
        findings += _parent_of_flawed(chain, options)
        sound = not any(finding.level is Level.ERROR for finding in findings)
        read = _read(chain, options) if sound else _Read()
        findings += read.findings
        allocated = None
        try:
            allocated = _allocated(link)
        except SourceReadError as error:
            findings.append(unreadable_finding(name, error))
        findings += _unchanged(chain)
        inspection = Inspection(
            path=name,
            format="vhd",
            structure=structure,
            soundness=link.soundness,
            reading=link.reading,
            allocated_bytes=allocated,
            ancestors=tuple(_ancestors(chain)),
            findings=finished(findings, name),
            azure=judge(
                structure,
                link.soundness,
                findings,
                base_known=base_known,
                partitions=read.partitions,
            ),
            deep=read.deep,
        )
        done = InspectedImage(inspection, None, read.failure)
        if sound and read.failure is None:
            # Inspection looks past what clear bits hide; who reads the disk must not.
            try:
                image = assemble(chain, options.rules.bitmap_rule)
                done = InspectedImage(inspection, image)
            except DamagedImageError as error:
                done = InspectedImage(inspection, None, error)
        return done
    finally:
        if done is None or done.image is None:
            chain.close()


def _parent_of_flawed(chain: Chain, options: _Options) -> Iterator[Finding]:
    """Whether the parent of a disk that is damaged itself can be found."""
    link = chain.links[0]
    footer, header = link.structure.footer, link.structure.header
    if (
        not link.soundness.flaws
        or footer is None
        or header is None
        or footer.disk_type != DiskType.DIFFERENCING
        or not header.checksum_ok
    ):
        return
    search = find_parent(
        link.structure,
        [link.source.fingerprint.identity],
        parents=options.parents,
        parent_dirs=options.parent_dirs,
        raw_parent=options.raw_parent,
    )
    if search.source is None:
        yield parent_not_found(chain.links, search)
    else:
        search.source.close()


class _Read(NamedTuple):
    """What reading the guest's view told."""

    partitions: PartitionTables | None = None
    deep: DeepResult | None = None
    findings: tuple[Finding, ...] = ()
    failure: ImageError | None = None


def _read(chain: Chain, options: _Options) -> _Read:
    try:
        image = assemble(chain, options.rules.bitmap_rule, unsure="absent")
    except DamagedImageError:
        return _Read()  # a fixed disk of unknown base: the findings say so
    partitions = deep = None
    findings: list[Finding] = []
    failure: ImageError | None = None
    link = chain.links[0]
    try:
        partitions = partitions_of(image)
        findings += check_guest(image, link.structure)
        if options.deep:
            deep = read_all(image, link, options.progress)
            findings += check_deep(deep, link)
    except ImageError as error:
        failure = error
        findings.append(unreadable_finding(str(link.structure.path), error))
    return _Read(partitions, deep, tuple(findings), failure)


def partitions_of(image: DiskImage) -> PartitionTables:
    """The partition tables of a disk; raises what reading it raises."""

    def read(offset: int, length: int) -> bytes:
        data = bytearray(length)
        image.read_into(offset, data)
        return bytes(data)

    return read_partitions(read, image.virtual_size)


def _unchanged(chain: Chain) -> Iterator[Finding]:
    sources = [link.source for link in chain.links]
    for source in sources if chain.raw is None else [*sources, chain.raw]:
        try:
            source.check_unchanged()
        except ImageError as error:
            yield file_kinds.FILE_CHANGED.found(f"{_about(chain, error)}{error.problem}")


def _about(chain: Chain, error: ImageError) -> str:
    """Which file of the chain an error is about, where it is not the inspected one."""
    return "" if error.subject == str(chain.links[0].structure.path) else f"'{error.subject}': "


def _allocated(link: Link) -> int | None:
    """Bytes of the disk that the file holds."""
    structure, soundness = link.structure, link.soundness
    if structure.header is not None:
        return allocated_in_blocks(structure, soundness)
    if structure.footer is None or structure.footer.disk_type != DiskType.FIXED:
        return None
    base = link.reading.base
    start = soundness.surplus if base is not None and base.choice == "end" else 0
    end = min(start + align_up(soundness.guest_size, PAGE), structure.data_end)
    runs = data_runs(link.source, start, end)
    return sum(length for _, length, is_data in runs if is_data)


def _ancestors(chain: Chain) -> Iterator[Ancestor]:
    for link in chain.links[1:]:
        footer = link.structure.footer
        if footer is not None:
            yield Ancestor(
                str(link.structure.path),
                disk_type_name(footer.disk_type),
                footer.unique_id,
                align_up(link.soundness.guest_size, PAGE),
                not link.soundness.flaws,
            )
    if chain.raw is not None:
        yield Ancestor(str(chain.raw.path), "raw", b"", chain.raw.size, True)

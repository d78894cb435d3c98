"""What a disk is ready for in Azure, and its warnings, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vhdtools.inspection import Finding, Level, Purpose, Readiness, Shortfall

__all__ = ["TITLES", "readiness_rows", "warning_rows"]

TITLES: dict[Purpose, str] = {
    "page-blob": "page blob",
    "managed-disk": "managed disk",
    "boot-gen1": "boot disk, generation 1",
    "boot-gen2": "boot disk, generation 2",
}
_WORDS = {True: "ready", False: "not ready", None: "not known"}


def readiness_rows(
    readiness: Sequence[Readiness], *, as_is: bool = False
) -> list[tuple[str, str, bool | None]]:
    """For each purpose its title, the verdict with what is lacking, and the verdict itself.

    One row where nothing differs. `as_is` is about the bytes as they are.
    """
    verdicts = [
        (each.ready_as_is, each.lacking_as_is or ()) if as_is else (each.ready, each.lacking)
        for each in readiness
    ]
    if len(set(verdicts)) == 1 and len(readiness) > 1:
        ready, lacking = verdicts[0]
        return [("any purpose", _text(ready, lacking), ready)]
    return [
        (TITLES[each.purpose], _text(ready, lacking), ready)
        for each, (ready, lacking) in zip(readiness, verdicts, strict=True)
    ]


def _text(ready: bool | None, lacking: Iterable[Shortfall]) -> str:
    what = "; ".join(item.text for item in lacking)
    return f"{_WORDS[ready]}: {what}" if what else _WORDS[ready]


def warning_rows(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """The warnings among the findings."""
    return [
        ("warning", f"{finding.message} [{finding.code}]")
        for finding in findings
        if finding.level is Level.WARNING
    ]

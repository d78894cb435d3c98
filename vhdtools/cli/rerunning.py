"""The command that was run, with the options that an error or a finding asks for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from vhdtools.cli.stopping import command_text
from vhdtools.errors import VhdToolsError
from vhdtools.inspection import Inspection
from vhdtools.reruns import Rerun, as_shown

__all__ = ["error_text", "for_command"]


def error_text(error: VhdToolsError, arguments: Sequence[str]) -> str:
    """The whole message, with the commands that would succeed."""
    return error.told(lambda rerun: _command(rerun, arguments))


def for_command(
    inspection: Inspection, arguments: Sequence[str], others: Collection[str] = ()
) -> Inspection:
    """`inspection` with commands in its remedies; `others` are the disks that it is not about."""
    kept = [word for word in arguments if word not in others]
    findings = tuple(
        replace(
            finding,
            remedy=as_shown(finding.remedy, finding.reruns, lambda rerun: _command(rerun, kept)),
        )
        for finding in inspection.findings
    )
    return replace(inspection, findings=findings)


def _command(rerun: Rerun, arguments: Sequence[str]) -> str:
    """The same command with the options of `rerun`, which stand behind the command's name."""
    at = next((at for at, word in enumerate(arguments, 1) if not word.startswith("-")), 0)
    text = command_text([*arguments[:at], *rerun.options, *arguments[at:]])
    if text is None:  # a secret is in it
        return f"run the same command with {' '.join(rerun.options)}"
    return f"`{text}`"

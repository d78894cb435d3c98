"""Everything that is to be said about a disk: its structure, its backing chain, Azure."""

from __future__ import annotations

from vhdtools.inspection.azure import AzureCheck, AzureVerdict
from vhdtools.inspection.deep import DeepResult
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.inspecting import inspect
from vhdtools.inspection.report import Ancestor, Inspection

__all__ = [
    "Ancestor",
    "AzureCheck",
    "AzureVerdict",
    "DeepResult",
    "Finding",
    "Inspection",
    "Level",
    "inspect",
]

"""Everything that is to be said about a disk: its structure, its backing chain, Azure."""

from __future__ import annotations

from vhdtools.inspection.azure import AzureCheck, AzureVerdict
from vhdtools.inspection.deep import DeepResult
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.inspecting import inspect
from vhdtools.inspection.partitions import Partition, PartitionTables
from vhdtools.inspection.readiness import PURPOSES, Purpose, Readiness, Shortfall
from vhdtools.inspection.report import Ancestor, Inspection, RemoteState

__all__ = [
    "PURPOSES",
    "Ancestor",
    "AzureCheck",
    "AzureVerdict",
    "DeepResult",
    "Finding",
    "Inspection",
    "Level",
    "Partition",
    "PartitionTables",
    "Purpose",
    "Readiness",
    "RemoteState",
    "Shortfall",
    "inspect",
]

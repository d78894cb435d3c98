"""What a transfer knows to be done: bytes below an offset, their CRC-64, the ranges written."""

from __future__ import annotations

from dataclasses import dataclass

from vhdtools.checksums import crc64_combine
from vhdtools.ranges import PageRange, RangeList

__all__ = ["Ledger", "StepResult"]


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of the plan, done: [offset, offset + length), its CRC-64, and what it wrote.

    `writes` are the ranges sent (ascending); `unconfirmed` of them came back without a CRC-64.
    """

    offset: int
    length: int
    crc64: int
    writes: tuple[PageRange, ...] = ()
    unconfirmed: int = 0


class Ledger:
    """Steps entered in disk order; all below `offset` is durable, and `crc64` is that stream's.

    `written` are the ranges sent so far.
    """

    def __init__(self) -> None:
        self.offset = 0
        self.crc64 = 0
        self.written = RangeList()

    def enter(self, result: StepResult) -> None:
        """Add the step that begins where the last one ended; ValueError for another."""
        if result.offset != self.offset:
            raise ValueError(f"step at {result.offset} entered at {self.offset}")
        self.crc64 = crc64_combine(self.crc64, result.crc64, result.length)
        for item in result.writes:
            self.written.append(item)
        self.offset += result.length

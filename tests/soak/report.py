"""What a soak run found: figures, and what was wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Report:
    """`figures` are for people; `problems` must be empty."""

    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def require(self, holds: bool, problem: str) -> None:
        """Note *problem* unless something holds."""
        if not holds:
            self.problems.append(problem)

    def count(self, name: str, what: str, number: int = 1) -> None:
        """Add to one of the counters of the figure *name*."""
        self.figures.setdefault(name, Counter())[what] += number

    def most(self, name: str, value: float) -> None:
        """Keep the largest value of the figure *name*."""
        self.figures[name] = max(self.figures.get(name, value), value)

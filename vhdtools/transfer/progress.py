"""How a transfer tells what it is doing."""

from __future__ import annotations

from typing import Protocol

__all__ = ["NoProgress", "Progress"]


class Progress(Protocol):
    """Told of each stage, of bytes done in it, and of what a user should know meanwhile.

    `advance` is called from several threads. In a stage that ends well the amounts sum to its
    total.
    """

    def start(self, stage: str, total: int) -> None:
        """A stage begins that will handle `total` bytes: "checking", "uploading", "verifying"."""
        ...

    def advance(self, amount: int) -> None:
        """`amount` more bytes of the stage are done."""
        ...

    def note(self, text: str) -> None:
        """Something to tell the user, one sentence."""
        ...


class NoProgress:
    """Tells nobody."""

    def start(self, stage: str, total: int) -> None:
        """Nothing."""

    def advance(self, amount: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

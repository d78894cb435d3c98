"""What the operating system has no more of for this process: memory, file descriptors, threads."""

from __future__ import annotations

import errno

from vhdtools.errors import ResourceLimitError as _ResourceLimitError

__all__ = ["resource_limit"]

_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}
_MEMORY = {errno.ENOMEM, errno.ENOBUFS}


def resource_limit(
    error: BaseException | None, subject: str = "this process"
) -> _ResourceLimitError | None:
    """The error that `error`, or what caused it, means if it is about such a limit; else None.

    `subject` is the file or URL that was worked on.
    """
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number in _DESCRIPTORS:
            return _ResourceLimitError(
                subject,
                "no file or connection can be opened: too many are open already",
                "Raise the limit, for instance by `ulimit -n 4096`, or use fewer workers.",
            )
        if isinstance(error, MemoryError) or number in _MEMORY or _unmapped(error):
            return _ResourceLimitError(
                subject,
                "there is not enough memory, or a limit on it is set (ulimit -v, a container's)",
                "Raise the limit, or use fewer workers: each needs about 10 MiB.",
            )
        if isinstance(error, RuntimeError) and "start new thread" in str(error):
            return _ResourceLimitError(
                subject,
                "no thread can be started: a limit on processes or on memory is reached",
                "Raise the limit (ulimit -u, ulimit -v, a container's), or use fewer workers.",
            )
        error = error.__cause__
    return None


def _unmapped(error: BaseException) -> bool:
    """Whether a library cannot be loaded for want of memory: the loader says so in words alone."""
    return isinstance(error, ImportError) and "Cannot allocate memory" in str(error)

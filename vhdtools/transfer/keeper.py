"""What has to happen every few seconds while an upload runs, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from vhdtools.errors import TransferInterruptedError, UnavailableError
from vhdtools.logs import logger

__all__ = ["Keeper"]

_log = logger(__name__)

_RENEW_SECONDS = 15.0


class Keeper:
    """Renews the lease, writes the checkpoint, and looks whether the source is still the same.

    As a context manager: the thread runs inside it. What it cannot mend (a lost lease, a source
    that changed) sets `halt`, and stands in `failure`. A checkpoint that could not be written for
    want of an answer is no failure: the next one will do.
    """

    def __init__(
        self,
        *,
        renew: Callable[[], None],
        save: Callable[[], None],
        check_source: Callable[[], None],
        every: float,
        halt: threading.Event,
    ) -> None:
        self._renew = renew
        self._save = save
        self._check_source = check_source
        self._every = every
        self._halt = halt
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vhdtools-keeper", daemon=True)
        self.failure: BaseException | None = None

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        renewed = time.monotonic()
        while not self._done.wait(min(self._every, _RENEW_SECONDS)):
            try:
                self._check_source()
                if time.monotonic() - renewed >= _RENEW_SECONDS:
                    self._renew()
                    renewed = time.monotonic()
                self._save()
            except UnavailableError as error:
                _log.warning("the checkpoint has to wait: %s", error)
            except TransferInterruptedError:
                return
            except BaseException as error:  # noqa: BLE001  # raised by whoever reads `failure`
                self.failure = error
                self._halt.set()
                return

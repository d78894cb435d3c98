"""One fuzz target under atheris: ``python -m tests.fuzz.fuzzer TARGET [libFuzzer's arguments]``.

Run by ``python -m tests.fuzz``, in a process of its own, as libFuzzer ends the process.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["vhdtools"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.mutate import damage
from tests.fuzz.seeds import place_family

SLOW_SECONDS = 1.0
MOST_MEMORY = 200 * 1024
"""KiB that the whole process may grow by."""

_OWN_MUTATIONS = 0.5


def main() -> None:
    """Run the target that the command line names, until libFuzzer says that it is enough."""
    target = TARGETS[sys.argv[1]]
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="vhdtools-fuzz-", dir=memory) as name:
        folder = Path(name)
        place_family(folder)
        atheris.Setup([sys.argv[0], *sys.argv[2:]], _watched(target, folder), custom_mutator=mutate)
        atheris.Fuzz()


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's own mutations, or ours, which know where the fields are."""
    random = Random(seed)
    if random.random() < _OWN_MUTATIONS:
        mutated: bytes = atheris.Mutate(data, max_size)
        return mutated
    return damage(data, random)[:max_size]


def _watched(target: Callable[[Path, bytes], None], folder: Path) -> Callable[[bytes], None]:
    """The target, failing where an input takes too long or too much memory."""
    target(folder, b"")
    before = _memory()

    def run(data: bytes) -> None:
        # Of the processor's time: the machine may be busy with other things.
        started = time.process_time()
        target(folder, data)
        took = time.process_time() - started
        if took > SLOW_SECONDS:
            raise TimeoutError(f"{took:.1f} s for {len(data)} bytes")
        grown = _memory() - before
        if grown > MOST_MEMORY:
            raise MemoryError(f"{grown} KiB more than at the start")

    return run


def _memory() -> int:
    """The most KiB that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()

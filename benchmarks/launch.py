"""Run one command and write down what it took: ``python -I -S launch.py REPORT COMMAND…``.

A program of its own, importing next to nothing: the system counts a process's peak memory from
before the command replaced it, and so would count the memory of a larger parent.
"""

import json
import os
import sys
import time


def main() -> None:
    """Start the command, wait for it, and write the report."""
    report, *command = sys.argv[1:]
    started = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    taken = time.perf_counter() - started
    found = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "seconds": taken,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    with open(report, "w", encoding="ascii") as file:  # noqa: PTH123
        json.dump(found, file)


if __name__ == "__main__":
    main()

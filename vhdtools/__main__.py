"""`python -m vhdtools` is `vhdtool`."""

from __future__ import annotations

from vhdtools.cli import main

if __name__ == "__main__":
    main()

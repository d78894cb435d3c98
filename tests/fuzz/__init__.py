"""Inputs that nobody thought of: fuzz targets over parsing, inspection and reading.

`targets.py` says what must hold for any bytes whatever, `seeds.py` has small disks to start from,
`mutate.py` damages them in ways that checksums do not give away. ``python -m tests.fuzz`` runs
them under a coverage-guided fuzzer (atheris); tests/test_inspection_fuzz.py tries some on every
test run.
"""

"""Damaged disks by the hundred: nothing may crash, hang, or read other than it should.

The targets are those of the coverage-guided fuzzer; see tests/fuzz.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import TARGETS as FUZZED
from tests.fuzz.mutate import damage
from tests.fuzz.seeds import SEEDS, place_family, unfold
from tests.fuzz.targets import TARGETS


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        place_family(Path(name))
        yield Path(name)


def test_the_fuzzer_knows_every_target() -> None:
    assert set(FUZZED) == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", SEEDS)
def test_seeds_pass(target: str, seed: str, folder: Path) -> None:
    TARGETS[target](folder, SEEDS[seed])


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(sorted(SEEDS)),
    number=st.integers(0, 1 << 32),
    last=st.one_of(st.just(0), st.integers(0, 50)),
    edits=st.lists(st.tuples(st.integers(0, 4095), st.binary(min_size=1, max_size=8)), max_size=3),
)
def test_damaged_disks_pass(
    target: str,
    folder: Path,
    seed: str,
    number: int,
    last: int,
    edits: list[tuple[int, bytes]],
) -> None:
    data = bytearray(damage(SEEDS[seed], Random(number))[:-1])
    for offset, new in edits:
        data[offset : offset + len(new)] = new
    TARGETS[target](folder, bytes(data) + bytes([last]))


@given(st.binary(max_size=3000))
@settings(max_examples=50)
def test_any_bytes_pass(folder: Path, data: bytes) -> None:
    for target in TARGETS.values():
        target(folder, data)


def test_inputs_unfold_to_large_files() -> None:
    data = bytes(range(256)) * 4
    assert unfold(data + b"\0") == (data, 0, b"")
    assert unfold(data + bytes([32])) == (data[:-512], 4096, data[-512:])
    assert unfold(data + bytes([44])) == (data[:-512], 4096 << 12, data[-512:])
    assert unfold(b"") == (b"", 0, b"")

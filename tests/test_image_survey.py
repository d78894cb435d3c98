"""Where the blocks lie: the fast look at a BAT against a slow and plain one."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools.image import survey
from vhdtools.image.survey import BlockSurvey, survey_blocks
from vhdtools.layout import UNALLOCATED

SECTOR = 512
SECTORS = 9  # of a block of 4 KiB with its bitmap
SPAN = SECTORS * SECTOR


def look(
    entries: Sequence[int],
    end: int = 1 << 40,
    metadata: Sequence[tuple[int, int, str]] = (),
    sectors: int = SECTORS,
) -> BlockSurvey:
    return survey_blocks(array("I", entries), sectors * SECTOR, end, metadata)


entries = st.lists(
    st.one_of(
        st.just(UNALLOCATED),
        st.integers(0, 120),
        st.integers(0, 30).map(lambda slot: 4 + slot * SECTORS),
        st.sampled_from([0, 0xFFFF_FFFE, 1 << 31]),
    ),
    max_size=14,
)


@given(entries, st.integers(0, 200 * SECTOR) | st.just(1 << 41), st.integers(0, 60))
def test_it_sees_what_a_plain_look_sees(numbers: list[int], end: int, at: int) -> None:
    seen = look(numbers, end, [(at * SECTOR, 700, "the BAT"), (0, 0, "nothing")])
    blocks = {number: entry for number, entry in enumerate(numbers) if entry != UNALLOCATED}
    past = {n for n, entry in blocks.items() if (entry + SECTORS) * SECTOR > end}
    over = {n for n, entry in blocks.items() if entry < at + 2 and entry + SECTORS > at}
    pairs = {
        (one, other)
        for one, other in combinations(blocks, 2)
        if abs(blocks[one] - blocks[other]) < SECTORS
    }
    assert seen.entries == len(numbers)
    assert seen.allocated == len(blocks)
    assert seen.ascending is all(
        one < other for one, other in zip(blocks.values(), list(blocks.values())[1:], strict=False)
    )
    assert seen.lowest == (min(blocks.values()) * SECTOR if blocks else None)
    assert seen.highest == (max(blocks.values()) * SECTOR if blocks else None)
    assert (seen.past_end is None) is (not past)
    if seen.past_end is not None:
        assert seen.past_end.block in past
        assert seen.past_end.count == len(past)
        assert seen.past_end.place == blocks[seen.past_end.block] * SECTOR
    assert (seen.over_metadata is None) is (not over)
    if seen.over_metadata is not None:
        assert seen.over_metadata.block in over
        assert seen.over_metadata.what == "the BAT"
    assert (seen.overlapping is None) is (not pairs)
    if seen.overlapping is not None:
        assert seen.overlapping.other is not None
        pair = sorted((seen.overlapping.block, seen.overlapping.other))
        assert tuple(pair) in pairs
        assert seen.gaps == 0
    elif blocks:
        length = max(blocks.values()) - min(blocks.values()) + SECTORS
        assert seen.gaps == (length - len(blocks) * SECTORS) * SECTOR


@pytest.mark.parametrize("order", ["sorted", "reversed", "shuffled", "spread"])
@pytest.mark.parametrize("damage", ["none", "twice", "one sector"])
def test_many_blocks_in_any_order(order: str, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_SORTED_AT_ONCE", 1000)
    number = 5000
    places = [8 + SECTORS * slot * (1000 if order == "spread" else 1) for slot in range(number)]
    if order == "reversed":
        places.reverse()
    elif order != "sorted":
        random.Random(7).shuffle(places)
    if damage == "twice":
        places[1234] = places[4321]
    elif damage == "one sector":
        places[1234] += 1 if order != "spread" else 0
        places[4321] = places[1234] + SECTORS - 1
    seen = look(places)
    assert seen.allocated == number
    assert seen.ascending is (order == "sorted" and damage == "none")
    assert (seen.overlapping is None) is (damage == "none")
    if damage == "none":
        assert seen.gaps == (max(places) - min(places)) * SECTOR - (number - 1) * SPAN


def test_blocks_that_seem_evenly_spaced_until_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_SAMPLES", 2)
    monkeypatch.setattr(survey, "_DIVIDED_AT_ONCE", 8)
    for pitch in (SECTORS, SECTORS + 7):
        slots = [5, 3, 9, 0, 1, 8, 2, 6, 4, 7, 12, 10, 11]
        for changed in range(len(slots)):
            for by in (-SECTORS, -pitch, -1, 0, 1, SECTORS, pitch):
                places = [100 + slot * pitch for slot in slots]
                places[changed] += by
                ordered = sorted(places)
                steps = [above - below for below, above in pairwise(ordered)]
                seen = look(places)
                assert (seen.overlapping is None) is (min(steps) >= SECTORS)
                assert seen.lowest == ordered[0] * SECTOR
                assert seen.highest == ordered[-1] * SECTOR


def test_many_blocks_at_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "_SORTED_AT_ONCE", 10)
    found = look([*[500] * 40, 100, *range(1000, 3000, 20)]).overlapping
    assert found is not None
    assert (found.block, found.other, found.count) == (1, 0, 39)


def test_a_block_beside_metadata_touches_it_not() -> None:
    metadata = [(10 * SECTOR, SECTOR, "the BAT")]
    assert look([1], metadata=metadata).over_metadata is None
    assert look([2], metadata=metadata).over_metadata is not None
    assert look([10], metadata=metadata).over_metadata is not None
    assert look([11], metadata=metadata).over_metadata is None


def test_the_last_block_ends_where_the_data_ends() -> None:
    assert look([20], end=29 * SECTOR).past_end is None
    assert look([20], end=29 * SECTOR - 1).past_end is not None
    assert look([0xFFFF_FFFE]).past_end is not None
